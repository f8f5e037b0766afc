"""Compare what is in effect on a host with the description that `manage` applies."""

from __future__ import annotations

from opstasks.core.command import Command
from opstasks.core.errors import OpsError, Refused
from opstasks.core.hints import one_word
from opstasks.core.result import Result
from opstasks.doctor.finding import DoctorFinding
from opstasks.fleet.inventory import HostSpec
from opstasks.manage import effect, people
from opstasks.manage.describe import describe, is_described
from opstasks.manage.effect_facts import EFFECT, EffectFacts
from opstasks.manage.model import Description

NAME = "in effect"


def described(spec: HostSpec) -> Description | None:
    """The description with its people, without their keys; None if there is none for the host.

    An installed opstasks describes no backend: that is not a fault of the host.

    Raises Refused for a description with mistakes.
    """
    if not is_described(spec):
        return None
    wanted = describe(spec)
    return people.with_people(wanted, {name: people.Keyring(()) for name in wanted.listed()})


def command(wanted: Description) -> Command:
    """The command as root."""
    return EFFECT.command(effect.request(wanted))


def judge(spec: HostSpec, wanted: Description, result: Result) -> list[DoctorFinding]:
    """A finding for each difference, or one finding that nothing differs."""
    try:
        facts = EFFECT.decode(result, spec.name)
    except OpsError as error:
        text = f"{error.message}: {error.tail}" if error.tail else error.message
        return [DoctorFinding(NAME, False, text, "run it again; if the error stays, report it")]
    found = [
        DoctorFinding(
            item.thing,
            False,
            f"{item.now} (described: {item.wanted})",
            f"inv -H {spec.name} manage --only {one_word(item.area)}" if item.action else item.hint,
        )
        for item in effect.differences(facts, wanted, is_there=_there(facts, wanted))
    ]
    return found or [DoctorFinding(NAME, True, "everything is as described")]


def _there(facts: EffectFacts, wanted: Description) -> set[str]:
    """Everything described except units that systemd does not know: other checks name those."""
    paths = {file.path for file in wanted.files} | {entry.path for entry in wanted.checkouts}
    absent = {name for name, unit in facts.units.items() if unit.state == "not-found"}
    return {path for path in paths if path.rpartition("/")[2] not in absent}


def no_description(error: Refused) -> DoctorFinding:
    """The finding for a description with mistakes."""
    return DoctorFinding(NAME, False, error.message, error.hint or "correct the description")


def no_backend() -> DoctorFinding:
    """The result for a host without a description."""
    return DoctorFinding(NAME, True, "not compared: no description here (`backend` in hosts.yaml)")
