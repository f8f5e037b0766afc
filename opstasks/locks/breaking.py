"""A lock whose holder hangs: who holds it with which processes, and stopping those."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from functools import partial

from opstasks.core.command import Command, Raw, cmd, quote
from opstasks.core.errors import OpsError, Refused, VerifyFailed
from opstasks.fleet import audit, lock
from opstasks.fleet import old_program as remote
from opstasks.fleet.host import Host
from opstasks.fleet.inventory import HostSpec

GRACE_S = 10.0
# A full disk takes the lock's words, but not the lock.
NAMELESS = lock.Owner("someone", "a task that left no name", "", "")


@dataclass(frozen=True)
class Process:
    """A process on the host that has the lock open; `start` tells it from a later one."""

    pid: int
    start: int
    user: str
    age_s: float
    command: str
    unit: str = ""


@dataclass(frozen=True)
class Held:
    """A lock as it is: `owner` None when it is free."""

    owner: lock.Owner | None
    processes: tuple[Process, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """How it ended: who lost the lock, and which processes ended."""

    changed: bool
    owner: str = ""
    stopped: tuple[int, ...] = ()


def look(host: Host) -> Held:
    """Who holds the lock, and with which processes, in one round trip as root."""
    path = host.spec.lock_file
    free = cmd(Raw(f"[ ! -e {quote(path)} ] || flock -n {quote(path)} true"))
    tried, named, told = host.root.batch([free, lock.holder(host.spec), _command(host.spec)])
    if tried.code == 0:
        return Held(None)
    return Held(lock.parse_owner(named.out) or NAMELESS, _parse(told.out))


def _command(spec: HostSpec, stop: tuple[Process, ...] = (), *, kill: bool = False) -> Command:
    request = {
        "lock": spec.lock_file,
        "stop": [[process.pid, process.start] for process in stop],
        "grace_s": GRACE_S,
        "kill": kill,
    }
    return remote.call("opstasks.locks.onhost.holders", request)


def _parse(text: str) -> tuple[Process, ...]:
    return tuple(Process(**process) for process in json.loads(text)["holders"])


def break_(host: Host, shown: Held, reason: str, *, kill: bool) -> Outcome:
    """Stop the processes that were shown; the kernel drops the lock with the last of them.

    Raises VerifyFailed when one does not end, Refused when somebody else has the lock by now.
    """
    if shown.owner is None:
        return Outcome(False)
    now = look(host)
    if now.owner is None:
        return Outcome(False)
    same = {(process.pid, process.start) for process in shown.processes}
    still = any((process.pid, process.start) in same for process in now.processes)
    # Without words, or with the same ones, the processes tell one holder from the next.
    if now.owner != shown.owner or (now.processes and not still):
        raise Refused(
            f"somebody else has it by now: {now.owner.describe()}",
            host=host.name,
            hint="look again: run it again",
        )
    told = {"reason": reason, "holder": now.owner.describe(), "broke": now.owner.run_id}
    entry = audit.start(host.name, "lock.break", told)
    _write(host, entry)
    with audit.ending(entry, partial(_write, host)), host.changing():
        return _stop(host, shown, kill=kill)


def _write(host: Host, entry: audit.Entry) -> None:
    """In both places; a host that is gone by now keeps what it has."""
    audit.write_local(entry)
    line = cmd(Raw(audit.journal_text(entry)))
    if entry.phase == "start":
        host.root.batch([line])
    elif host.root.is_open:
        with contextlib.suppress(OpsError):
            host.root.batch([line])


def _stop(host: Host, held: Held, *, kill: bool) -> Outcome:
    assert held.owner
    host.step(f"stop {len(held.processes)} process(es)")
    stop = _command(host.spec, held.processes, kill=kill).changing()
    path = quote(host.spec.lock_file)
    # Its words are for people: emptied only by whoever has the lock.
    clear = cmd(Raw(f"flock -n {path} bash -c ': >\"$1\"' bash {path}"))
    told, cleared = host.root.batch([stop, clear])
    left = {process.pid for process in _parse(told.out)}
    ours = [process.pid for process in held.processes]
    if cleared.code:
        again = f"inv -H {host.name} lock.show"
        raise VerifyFailed(
            f"the lock is still held, by process {', '.join(map(str, sorted(left))) or '?'}",
            host=host.name,
            hint="add --kill" if not kill and left <= set(ours) else again,
        )
    return Outcome(True, held.owner.describe(), tuple(pid for pid in ours if pid not in left))
