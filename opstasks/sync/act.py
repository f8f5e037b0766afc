"""Start, stop and run the Level 3 sync of one host."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from opstasks.core.command import cmd
from opstasks.core.errors import CommandFailed, ProgramFailed, VerifyFailed
from opstasks.core.result import Result
from opstasks.fleet.change import change
from opstasks.fleet.host import Host
from opstasks.fleet.program import Program
from opstasks.sync import units
from opstasks.sync.facts import SyncRecord, SyncState, inspect

# The very first copy of a large source takes long; later ones take seconds.
RUN_TIMEOUT_S = 6 * 3600.0
# How long `sync.start` waits for the first run; a longer run continues without it.
FIRST_RUN_S = 30.0


class SyncUnitsRequest(msgspec.Struct, frozen=True):
    """Files to write, units to enable and disable; `restart` restarts units that are up.

    The old contents of the files are kept in the folder `kept_in`.
    """

    kept_in: str
    files: dict[str, str] = {}
    enable: tuple[str, ...] = ()
    disable: tuple[str, ...] = ()
    restart: bool = False


class SyncUnitsAnswer(msgspec.Struct, frozen=True):
    """Whether anything was changed."""

    changed: bool


UNITS = Program(
    "opstasks.sync.onhost.units", SyncUnitsRequest, SyncUnitsAnswer, timeout_s=300, changes=True
)


@dataclass(frozen=True)
class SyncResult:
    """The outcome, with the last run if there was one."""

    changed: bool
    state: str
    last: SyncRecord | None = None


def unchanged(state: SyncState) -> SyncResult:
    """The result of a host where nothing was done."""
    return SyncResult(False, "on" if state.on else "off", state.last)


def start(host: Host) -> SyncResult:
    """Install script and units if they differ, and start the timer.

    Raises VerifyFailed when the first run fails, for example because the source is not mounted.
    """
    spec = host.spec
    units.check_source(spec)
    before = inspect(host)
    if before.is_well:
        return SyncResult(False, "on", before.last)
    with change(host.root, "sync.start", {"source": spec.level3_source}):
        host.step(f"copy {spec.level3_source} every {units.EVERY_S} s")
        # After a failure, the next run starts at once and not in two minutes.
        restart = before.has_failed or not before.enabled
        request = SyncUnitsRequest(spec.kept_in, units.files(spec), (units.TIMER,), restart=restart)
        changed = _place(host, request, "sync.start")
        now = _first_run(host, before)
        if not (now.on and now.enabled):
            hint = f"see who: inv -H {host.name} history; then: inv -H {host.name} sync.start"
            raise VerifyFailed("started, but it is off again", host=host.name, hint=hint)
    return SyncResult(changed, "on", now.last)


def _first_run(host: Host, before: SyncState) -> SyncState:
    """Wait for the first run of the timer, which continues if it takes longer; the state then."""

    def ended() -> SyncState | None:
        now = inspect(host)
        return now if now.last.is_after(before.last) and now.last.ended_at else None

    found = host.wait_until(
        ended, timeout_s=FIRST_RUN_S, where="the timer was started", every_s=0.5
    )
    if found is None:
        now = inspect(host)
        if now.has_crashed:
            raise _no_record(host, f"started, but its first run failed ({now.result})")
        return now
    _check_record(host, found.last, "started, but its first run failed")
    return found


def stop(host: Host) -> SyncResult:
    """Stop the timer and a run in progress, which leaves no partial file."""
    before = inspect(host)
    if before.is_off:
        return SyncResult(False, "off")
    with change(host.root, "sync.stop"):
        # Keep the files, as `manage` expects them: off means neither enabled nor running.
        down = (units.TIMER, units.SERVICE)
        _place(host, SyncUnitsRequest(host.spec.kept_in, disable=down), "sync.stop")
        after = inspect(host)
        if not after.is_off:
            hint = f"see who: inv -H {host.name} history; then: inv -H {host.name} sync.stop"
            raise VerifyFailed("the sync is still on", host=host.name, hint=hint)
    return SyncResult(True, "off", after.last)


def once(host: Host) -> SyncResult:
    """Run once now, even if the timer is off; waits for its end."""
    spec = host.spec
    units.check_source(spec)
    with change(host.root, "sync.once", {"source": spec.level3_source}):
        _place(host, SyncUnitsRequest(spec.kept_in, units.files(spec)), "sync.once")
        before = inspect(host)
        host.step(f"copy {spec.level3_source}")
        # A start joins a run in progress, which may have begun too early: run it again.
        results = [_run(host) for _ in range(2 if before.running else 1)]
        now = _after_run(host, before, results)
    return SyncResult(now.last.copied > 0, "on" if now.on else "off", now.last)


def _run(host: Host) -> Result:
    """Start the service and wait for its end; its record has the outcome."""
    command = cmd("systemctl", "start", units.SERVICE).changing().within(RUN_TIMEOUT_S)
    (result,) = host.root.batch([command])
    return result


def _after_run(host: Host, before: SyncState, results: Sequence[Result]) -> SyncState:
    """The state after a run that succeeded."""
    now = inspect(host)
    if not now.last.is_after(before.last):
        raise _no_record(host, "the run left no record", results[-1].code, results[-1].tail())
    _check_record(host, now.last, "the run failed")
    return now


def _no_record(host: Host, what: str, code: int = 1, tail: str = "") -> CommandFailed:
    hint = f"inv -H {host.name} run --user root -- journalctl -n 20 -u {units.NAME}"
    return CommandFailed(what, returned=code, host=host.name, tail=tail, hint=hint)


def _check_record(host: Host, last: SyncRecord, what: str) -> None:
    if last.error:
        # The host's own advice must not be the hint: a person may paste it.
        hint = f"inv -H {host.name} sync.once; once that is corrected"
        raise VerifyFailed(f"{what}: {last.error}", host=host.name, tail=last.hint, hint=hint)


def _place(host: Host, request: SyncUnitsRequest, task: str) -> bool:
    """Set up files and units for a task, as root; returns whether anything was changed."""
    try:
        return host.root.call(UNITS, request).changed
    except ProgramFailed as failure:
        raise CommandFailed(
            f"cannot set up the sync: {failure.message}",
            returned=1,
            host=host.name,
            tail=failure.tail,
            hint=f"fix it, then: inv -H {host.name} {task}",
        ) from failure
