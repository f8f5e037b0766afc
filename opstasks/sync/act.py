"""Starting, stopping and looking after the Level 3 sync of one host."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass, field
from typing import Any

from opstasks.core.command import Command, cmd
from opstasks.core.errors import CommandFailed, VerifyFailed
from opstasks.core.result import Result
from opstasks.fleet import old_program as remote
from opstasks.fleet.change import change
from opstasks.fleet.host import Host
from opstasks.fleet.inventory import HostSpec
from opstasks.sync import units

# The very first copy of a large source takes long; later ones take seconds.
RUN_TIMEOUT_S = 6 * 3600.0
# How long one run after another may fail before it is worth a person's time.
LATE_S = 15 * 60


@dataclass(frozen=True)
class Last:
    """The record of a run; times are seconds since the epoch, 0 for what has not come."""

    started: float = 0.0
    ended: float = 0.0
    error: str = ""
    hint: str = ""
    copied: int = 0
    bytes: int = 0
    items: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    clashes: tuple[str, ...] = ()


@dataclass(frozen=True)
class State:
    """How a host's sync stands; `now` is the host's own clock.

    `on` is about now, `enabled` about the next boot.
    """

    source: str
    on: bool = False
    enabled: bool = False
    installed: bool = False
    outdated: bool = False
    running: bool = False
    result: str = "success"
    last: Last = field(default_factory=Last)
    last_success: float = 0.0
    by_hand: tuple[int, ...] = ()
    now: float = 0.0

    @property
    def success_age_s(self) -> float:
        """Seconds since a run last went well; 0 when none ever did."""
        return max(0.0, self.now - self.last_success) if self.last_success else 0.0

    @property
    def broke_off(self) -> bool:
        """Whether the last run ended badly, with or without a record: systemd tells."""
        return not self.running and self.result != "success"

    def attention(self) -> list[str]:
        """What needs a person."""
        found = []
        if self.source and not self.on:
            until = ", but the next boot starts it" if self.enabled else ""
            found.append(f"the level 3 sync is off{until}: run `sync.start`")
        if self.on and not self.enabled:
            found.append("the level 3 sync ends with the next reboot: run `sync.start`")
        if self.on and self.outdated:
            found.append(
                "the level 3 sync is not as hosts.yaml says: run `sync.start`, or `manage`"
            )
        if self.on and self.last.error:
            found.append(f"level 3 sync: {self.last.error}")
        elif self.on and self.broke_off:
            found.append(f"level 3 sync: its last run broke off ({self.result})")
        elif self.on and self.success_age_s > LATE_S and not self.running:
            found.append("the level 3 sync did not run for a quarter of an hour")
        if self.by_hand:
            pids = ", ".join(map(str, self.by_hand))
            found.append(f"someone copies from {self.source} by hand (process {pids})")
        return found


@dataclass(frozen=True)
class Outcome:
    """How it ended, with the last run when there was one."""

    changed: bool
    state: str
    last: Last | None = None


# -- looking ----------------------------------------------------------------------------------


def look_command(spec: HostSpec) -> Command:
    """Ask how it stands; read with `parse`."""
    request = {
        "files": list(units.files(spec)),
        "timer": units.TIMER,
        "service": units.SERVICE,
        "state": f"{spec.state_dir}/level3-sync.json",
        "source": spec.level3_source or "/",
    }
    return remote.call("opstasks.sync.onhost.look", request)


def parse(spec: HostSpec, text: str) -> State:
    """What `look_command` printed."""
    found: dict[str, Any] = json.loads(text)
    wanted = {
        path: hashlib.sha256(content.encode()).hexdigest()
        for path, content in units.files(spec).items()
    }
    service, timer = found["service"], found["timer"]
    return State(
        source=spec.level3_source,
        on=timer.get("ActiveState") == "active",
        enabled=timer.get("UnitFileState") == "enabled",
        installed=service.get("LoadState") == "loaded",
        outdated=found["files"] != wanted,
        running=service.get("ActiveState") == "activating",
        result=service.get("Result", "success"),
        last=_last(found["state"].get("last") or {}),
        last_success=float(found["state"].get("last_success") or 0),
        by_hand=tuple(found["by_hand"]),
        now=found["now"],
    )


def _last(found: dict[str, Any]) -> Last:
    values = {key: found[key] for key in Last.__dataclass_fields__ if key in found}
    lists = {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
    return Last(**{**values, **lists})


def look(host: Host) -> State:
    """How the sync of a host stands, in one round trip as the service account."""
    return parse(host.spec, host.service.run(look_command(host.spec)).out)


# -- acting -----------------------------------------------------------------------------------


def start(host: Host) -> Outcome:
    """Install script and units where they differ, and have the timer running.

    Raises VerifyFailed when the first run fails: an unmounted source, for one.
    """
    spec = host.spec
    units.check_source(spec)
    before = look(host)
    failed = bool(before.last.error) or before.broke_off
    if before.on and before.enabled and not before.outdated and not failed:
        return Outcome(False, "on", before.last)
    with change(host.root, "sync.start", {"source": spec.level3_source}):
        host.step(f"copy {spec.level3_source} every {units.EVERY_S} s")
        files = units.files(spec)
        # After a failure the mended cause is tried at once, not in two minutes.
        again = failed or not before.enabled
        changed = _place(host, files=files, enable=[units.TIMER], again=again)
        last = _first_run(host, before)
    return Outcome(changed, "on", last)


def _first_run(host: Host, before: State, wait_s: float = 30.0) -> Last:
    """Wait for the run that starting the timer sets off; one that takes longer goes on."""
    deadline = time.monotonic() + wait_s
    while True:
        now = look(host)
        if now.last.started > before.last.started and now.last.ended:
            _raise_for(host, now.last, "started, but its first run failed")
            return now.last
        if time.monotonic() > deadline:
            if now.broke_off:
                raise _no_record(host, f"it started, but its first run broke off ({now.result})")
            return now.last
        host.checkpoint("the timer is on")
        host.pause(0.5)


def stop(host: Host) -> Outcome:
    """Stop the timer and a run that is under way; what was being copied is not seen half-done."""
    before = look(host)
    if not (before.on or before.running or before.enabled):
        return Outcome(False, "off")
    with change(host.root, "sync.stop"):
        # The files stay, as `manage` wants them: off is what is neither enabled nor running.
        _place(host, disable=[units.TIMER, units.SERVICE])
        after = look(host)
        if after.on or after.running or after.enabled:
            raise VerifyFailed("the sync is still on", host=host.name, hint="try again")
    return Outcome(True, "off", after.last)


def once(host: Host) -> Outcome:
    """One run now, whether or not the timer is on; waits for its end."""
    spec = host.spec
    units.check_source(spec)
    with change(host.root, "sync.once", {"source": spec.level3_source}):
        _place(host, files=units.files(spec))
        before = look(host)
        # A start joins a run that is under way already: that one may have begun too early.
        host.step(f"copy {spec.level3_source}")
        for _ in range(2 if before.running else 1):
            run = cmd("systemctl", "start", units.SERVICE).changing().within(RUN_TIMEOUT_S)
            (result,) = host.root.batch([run])
        last = _outcome_of(host, before, result)
    return Outcome(last.copied > 0, "on" if before.on else "off", last)


def _outcome_of(host: Host, before: State, result: Result) -> Last:
    last = look(host).last
    if last.started <= before.last.started:
        raise _no_record(host, "the run left no record", result.code, result.tail())
    _raise_for(host, last, "the run failed")
    return last


def _no_record(host: Host, what: str, code: int = 1, tail: str = "") -> CommandFailed:
    hint = f"inv -H {host.name} run --user root -- journalctl -n 20 -u {units.NAME}"
    return CommandFailed(what, returned=code, host=host.name, tail=tail, hint=hint)


def _raise_for(host: Host, last: Last, what: str) -> None:
    if last.error:
        raise VerifyFailed(f"{what}: {last.error}", host=host.name, hint=last.hint)


def _place(host: Host, **asked: Any) -> bool:
    """Bring files and units in line, as root; whether anything had to be done."""
    request = {"files": {}, "enable": [], "disable": [], "again": False, **asked}
    command = remote.call("opstasks.sync.onhost.units", request).changing().within(300)
    answer = json.loads(host.root.run(command).out)
    if not answer["ok"]:
        raise CommandFailed(
            f"cannot set up the sync: {answer['reason']}",
            returned=1,
            host=host.name,
            hint="mend it and run it again",
        )
    return bool(answer["changed"])
