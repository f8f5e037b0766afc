"""Runs on the host: stop, start and watch the service for a release."""

import time
from collections.abc import Iterable
from typing import NamedTuple

from opstasks.deploy.onhost import service_log
from opstasks.deploy.onhost.record import ReleaseSpec
from opstasks.deploy.onhost.service_log import NewLines
from opstasks.onhost import unit_control
from opstasks.onhost.protocol import HostFailure
from opstasks.onhost.release_records import Record
from opstasks.onhost.unit_control import settled
from opstasks.onhost.unit_state import (
    PROPERTIES,
    State,
    done_by_hand,
    ending,
    is_serving,
    is_wanted,
    same_process,
    started,
)

# On a busy host, the service may log its start only after the watch.
START_GRACE_S = 30
# A person may restart the service while we watch it: we watch again, but not forever.
MOST_RESTARTS = 3
MORE_PROPERTIES = "InvocationID,User,DropInPaths,StateChangeTimestampMonotonic"
POLL_S = 0.5


class Watched(NamedTuple):
    """What a watch saw: exceptions that the previous release also raised, and notes for people."""

    as_before: list[str]
    notes: list[str]


def unit_state(spec: ReleaseSpec) -> dict[str, str]:
    """The unit's properties as systemd shows them. Raises HostFailure."""
    return unit_control.read(spec["unit"], f"{PROPERTIES},{MORE_PROPERTIES}")


def settled_state(spec: ReleaseSpec) -> dict[str, str]:
    """The unit's properties once a stop or a restart by a person has ended. Raises HostFailure."""
    return settled(spec["unit"])


def started_meanwhile(spec: ReleaseSpec, record: Record) -> str:
    """A note if a service runs that was stopped when the release began; "" if not.

    It may run the old code, or a half of the new one. From now on it should be up. Raises
    HostFailure.
    """
    if record["was_active"] or not is_wanted(state := settled_state(spec)):
        return ""
    return f"{started(spec['unit'], state)} after the release began; it was started again"


def stop(spec: ReleaseSpec) -> None:
    """Stop the unit, unless it is already down, and check that it is down. Raises HostFailure."""
    unit_control.stop(spec["unit"])


def exceptions_now(spec: ReleaseSpec) -> list[str]:
    """The exceptions that the service has raised since its last start."""
    invocation = unit_state(spec).get("InvocationID", "")
    words = (service_log.of_start(invocation), "--lines=1000")
    return sorted(service_log.exceptions(service_log.lines(spec["unit"], *words) or ()))


def start_and_watch(spec: ReleaseSpec, known: Iterable[str]) -> Watched:
    """Start the unit; check that it stays up, logs its start, and raises no new exception.

    Raises HostFailure.
    """
    unit, notes = spec["unit"], []
    if is_serving(unit_state(spec)):
        # It may have loaded the old code, or a half of the new one.
        notes.append(f"somebody started {unit} while the release moved; it was restarted")
        stop(spec)
    log = service_log.from_now(unit)
    unit_control.start(unit)
    while by_hand := watch(spec, log):
        notes.append(f"{by_hand}; it was watched again")
        if len(notes) > MOST_RESTARTS:
            raise HostFailure(f"{by_hand}, again and again", "\n".join(notes))
        # This start may already have logged all that matters.
        log = service_log.since_start(unit, unit_state(spec).get("InvocationID", ""))
    lines = log.read()
    if lines is None or not (service_log.has_started(lines) or service_log.is_recording()):
        notes.append("its log was not judged: journald does not record it")
        return Watched([], notes)
    return Watched(service_log.judge(unit, lines, set(known)), notes)


def watch(spec: ReleaseSpec, log: NewLines) -> str:
    """Watch the unit; "" when its process stayed up, or how a person restarted it.

    Raises HostFailure, with the last lines of the log, when it did not stay up.
    """
    unit, first = spec["unit"], unit_state(spec)
    if stays_up(spec, first, log):
        return ""
    now = settled(unit)
    by_hand = done_by_hand(unit, first, now)
    if by_hand and is_serving(now):
        return by_hand
    raise HostFailure(by_hand or fallen(unit, now), log.last())


def fallen(unit: str, now: State) -> str:
    """What became of a unit that did not stay up, for people."""
    state = f"{now.get('ActiveState')}/{now.get('SubState')}"
    why = ending(now)
    return f"{unit} did not stay up (now {state}){f': {why}' if why else ''}"


def stays_up(spec: ReleaseSpec, first: State, log: NewLines) -> bool:
    """Whether the first process is up for the whole watch, and until it has logged its start."""
    deadline = time.monotonic() + spec["watch_s"]
    is_recording: bool | None = None
    while same_process(first, unit_state(spec)):
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            lines = log.read()
            if lines is None or service_log.has_started(lines) or left_s < -START_GRACE_S:
                return True
            if is_recording is None and not (is_recording := service_log.is_recording()):
                return True
        time.sleep(POLL_S)
    return False
