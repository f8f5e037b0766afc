"""Runs on the host: a step is refused when the host is not what a person agreed to."""

import contextlib

from opstasks.deploy.onhost.checkout import changed_since, head
from opstasks.deploy.onhost.fit import code_version, database_version, misfit
from opstasks.deploy.onhost.record import CHECKOUTS, ReleaseSpec, begun_record, has_begun
from opstasks.deploy.onhost.service import unit_state
from opstasks.onhost.protocol import HostFailure, HostRefusal
from opstasks.onhost.release_records import Record, refuse_unfinished
from opstasks.onhost.unit_control import refuse_unstartable
from opstasks.onhost.unit_state import is_down

# The first steps of a release that is resumed, and how far it has come if it moved nothing yet.
# Going back before anything was moved touches no checkout: it only starts the service again.
UNMOVED = {"begin": ("begun",), "roll_back": ("begun", "stopped")}


def refuse_unwanted(step: str, spec: ReleaseSpec) -> None:
    """Raise HostRefusal when the release has changed since the client inspected the host.

    The client inspected it without the lock: another person may have changed the host since.
    """
    record = begun_record(spec) if has_begun(spec) else {}
    if record.get("outcome"):
        raise HostRefusal(f"release {spec['id']} is {record['outcome']} already")
    if record.get("rolling_back") and step != "roll_back":
        raise HostRefusal(f"release {spec['id']} is being rolled back")
    if record and step in UNMOVED:
        if record["step"] not in UNMOVED[step]:
            for name in CHECKOUTS:
                refuse_moved_by_hand(spec, name)
        refuse_stop_for_good(step, spec, record)


def refuse_stop_for_good(step: str, spec: ReleaseSpec, record: Record) -> None:
    """Raise HostRefusal when a service that is up would be stopped, and would not start again.

    A service that is down must not keep a release from ending. Raises HostFailure.
    """
    stops = step == "begin" or record["step"] != "begun"
    if stops and not is_down(unit_state(spec)):
        refuse_unstartable(spec["unit"])


def refuse_moved_by_hand(spec: ReleaseSpec, name: str) -> None:
    """Raise HostRefusal when a checkout is at neither end of the release."""
    path, now = spec[name], head(spec[name])
    if now not in (spec[f"from_{name}"], spec[f"to_{name}"]):
        raise HostRefusal(
            f"{path} was moved by hand to {now[:10]}, which is not part of"
            f" {spec['from_name']} to {spec['to_name']}: check out one of these"
        )


def refuse_lost(spec: ReleaseSpec) -> None:
    """Raise HostRefusal for a release that moved, but has neither a record nor a snapshot."""
    for name in CHECKOUTS:
        old, new = spec[f"from_{name}"], spec[f"to_{name}"]
        with contextlib.suppress(HostFailure):
            if old != new and head(spec[name]) == new:
                gone = "its record and its snapshot were removed"
                raise HostRefusal(f"{spec[name]} is at {spec['to_name']}, and {gone}")


def refuse_stale(spec: ReleaseSpec) -> None:
    """Raise HostRefusal when a restart would not start what the plan showed, or could not."""
    refuse_unfinished(spec["state_dir"])
    try:
        for name in CHECKOUTS:
            refuse_moved(spec, name)
    except HostFailure as error:
        raise HostRefusal(error.reason, error.detail) from error
    if found := misfit(code_version(spec["code"]), database_version(spec["database"])):
        raise HostRefusal(found)


def refuse_moved(spec: ReleaseSpec, name: str) -> None:
    """Raise HostRefusal when a checkout is not as the plan showed it. Raises HostFailure."""
    path, when = spec[name], "after the plan was shown"
    if (now := head(path)) != spec[f"from_{name}"]:
        raise HostRefusal(f"{path} was moved to {now[:10]} {when}")
    if found := changed_since(path, now):
        raise HostRefusal(f"{found}, {when}")
