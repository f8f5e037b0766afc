"""Runs on the host, as the service account or root: start and stop a unit, and read it afterwards.

As a program, the request is ``unit`` and ``verbs`` (stop and start, in this order); the answer is
the unit's properties afterwards. A client that is lost between a stop and a start does not leave
the unit stopped.
"""

from __future__ import annotations

import os
import re
import time

from opstasks.onhost import unit_state
from opstasks.onhost.accounts import own_name
from opstasks.onhost.commands import attempt, failure, required, was_killed
from opstasks.onhost.protocol import Answer, HostFailure, HostRefusal, Request
from opstasks.onhost.unit_state import (
    START_LIMIT,
    SYSTEMCTL,
    account_problem,
    is_down,
    is_serving,
    parse,
    start_problem,
)

SHOW_TIMEOUT_S = 60.0
# Above systemd's own limit for a service that does not stop, 90 s.
VERB_TIMEOUT_S = 150.0
SETTLE_S = 100.0
# Without the right to reset the limit, it is awaited if it passes soon; systemd's own is 10 s.
LONGEST_LIMIT_S = 60
_SECONDS = re.compile(r"(\d{1,2})s")


def read(unit: str, properties: str = unit_state.PROPERTIES) -> dict[str, str]:
    """A unit's properties. Raises HostFailure."""
    words = ("env", "TZ=UTC", "systemctl", "show", f"--property={properties}", "--", unit)
    return parse(required("cannot read the unit", *words, timeout=SHOW_TIMEOUT_S))


def refuse_unstartable(unit: str, user: str = "") -> None:
    """Raise HostRefusal if systemd would not start the unit, or not as the account `user`.

    Call it before anything stops the unit. Without `user`, it is the account that asks: that of the
    service. A unit that this one requires is started first, so it counts too; it may run as root.
    """
    shown = read(unit, f"{unit_state.ACCOUNT_PROPERTIES},Requires")
    units = [name for name in shown.get("Requires", "").split() if name.endswith(".service")]
    loads = {unit: shown.get("LoadState", "")}
    loads.update((name, read(name, "LoadState").get("LoadState", "")) for name in units)
    for name, load in loads.items():
        if problem := start_problem(name, load):
            raise HostRefusal(problem)
    if problem := account_problem(unit, user or own_name(shown.get("User", "")), shown):
        raise HostRefusal(problem)


def stop(unit: str) -> None:
    """Stop a unit, unless it is already down, and check that it is down. Raises HostFailure."""
    if is_down(read(unit)):
        return
    done = attempt(*_systemctl("stop", unit), timeout_s=VERB_TIMEOUT_S)
    # If systemctl was killed, systemd goes on.
    state = settled(unit) if was_killed(done) else read(unit)
    if is_down(state):
        return
    if done.returncode:
        raise failure(f"cannot stop {unit}", done)
    raise HostFailure(f"{unit} does not stop ({state.get('ActiveState')})")


def start(unit: str) -> None:
    """Start a unit, also one that was started too often. Raises HostFailure."""
    shown = read(unit)
    # A unit that failed for another reason keeps that result when it reaches the limit.
    if shown.get("ActiveState") == "failed" or shown.get("Result") == START_LIMIT:
        _lift_limit(unit, shown)
    done = attempt(*_systemctl("start", unit), timeout_s=VERB_TIMEOUT_S)
    if done.returncode and (shown := read(unit)).get("Result") == START_LIMIT:
        _lift_limit(unit, shown)
        done = attempt(*_systemctl("start", unit), timeout_s=VERB_TIMEOUT_S)
    if done.returncode and not (was_killed(done) and is_serving(settled(unit))):
        raise failure(f"cannot start {unit}", done)


def settled(unit: str) -> dict[str, str]:
    """A unit's properties once systemd has finished a stop or a restart. Raises HostFailure."""
    deadline = time.monotonic() + SETTLE_S
    while True:
        state = read(unit, f"{unit_state.PROPERTIES},Job")
        has_job = state.get("Job", "") not in ("", "0")
        busy = has_job or state.get("ActiveState") == "deactivating"
        if not busy or time.monotonic() > deadline:
            return state
        time.sleep(0.3)


def _lift_limit(unit: str, state: unit_state.State) -> None:
    """Let systemd start a unit again that was started too often. Raises HostFailure.

    Without the right to do that, a short limit is awaited, if it is known that there is one.
    """
    reset = attempt(*_systemctl("reset-failed", unit), timeout_s=SHOW_TIMEOUT_S)
    if reset.returncode == 0 or state.get("Result") != START_LIMIT:
        return
    shown = read(unit, "StartLimitIntervalUSec").get("StartLimitIntervalUSec", "")
    limit = _SECONDS.fullmatch(shown)
    if limit is None or int(limit[1]) > LONGEST_LIMIT_S:
        raise HostFailure(
            f"systemd does not start {unit}, because it was started too often ({START_LIMIT})",
            f"sudo systemctl reset-failed {unit}; `manage` lets the service account do that",
        )
    time.sleep(int(limit[1]))


def _systemctl(verb: str, unit: str) -> tuple[str, ...]:
    prefix = () if os.geteuid() == 0 else ("sudo", "-n")
    return (*prefix, SYSTEMCTL, verb, unit)


def main(request: Request) -> Answer:
    """Do the verbs; refuse, with nothing touched, when the unit could not be started."""
    unit, verbs = request["unit"], request["verbs"]
    if "start" in verbs:
        refuse_unstartable(unit)
    for verb in verbs:
        {"stop": stop, "start": start}[verb](unit)
    return {"properties": read(unit)}
