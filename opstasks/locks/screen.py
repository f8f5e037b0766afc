"""What `lock.show` and `lock.break` show."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from opstasks.core.clock import Clock
from opstasks.core.formats import plural, span_text
from opstasks.core.result import FleetResult
from opstasks.fleet.lock import NAMELESS, Owner
from opstasks.locks.break_lock import GRACE_S, HeldLock, LockBreakResult
from opstasks.output.notes import headline, note
from opstasks.output.parts import Line, Part, bold, odd
from opstasks.output.screens import Screen
from opstasks.output.summary import Told
from opstasks.output.table import Column, draw

PROCESSES = (
    Column("PROCESS", is_right=True),
    Column("USER"),
    Column("FOR", is_right=True),
    Column("COMMAND", long="wrap", least=20),
    Column("UNIT", 1),
)


COLUMNS = (
    Column("HOST"),
    Column("WHO"),
    Column("TASK"),
    Column("SINCE"),
    Column("FOR", is_right=True),
)


def screen(clock: Callable[[], Clock], width: int) -> Screen[HeldLock]:
    """The screen of `lock.show`: the hosts that are being changed.

    `clock` is asked after the hosts: only they say in which zone they are.
    """
    return Screen(
        columns=COLUMNS,
        rows=lambda host, held: _rows(host, held, clock()),
        headline=lambda result: _headline(result, clock(), width),
        notes=lambda host, held: _notes(host, held, width),
        nothing=lambda result: (
            f"no host is being changed, {plural(len(result.values), 'host')} looked at"
        ),
    )


def _rows(host: str, held: HeldLock, clock: Clock) -> list[list[Part]]:
    owner = held.owner
    if owner is None:
        return []
    if not owner.since_at:
        return [[host, odd(owner.who), owner.task, "?", "?"]]
    since = clock.text(owner.since_at)
    lasts = span_text(clock.now_at - owner.since_at)
    return [[host, odd(owner.who), owner.task, since, lasts]]


def _headline(result: FleetResult[HeldLock], clock: Clock, width: int) -> Line:
    held = [host for host, found in result.values.items() if found.owner]
    if not held:
        return []
    count = len(result.values)
    of = f"{len(held)} of {plural(count, 'host')} {'is' if len(held) == 1 else 'are'}"
    return headline([bold(f"{of} being changed")], width, clock.now_text)


def _notes(host: str, held: HeldLock, width: int) -> Iterable[Line]:
    """Who holds a lock that names nobody."""
    if held.owner != NAMELESS:
        return
    if held.processes:
        named = ", ".join(process.describe() for process in held.processes)
        yield from note(bold(host), f"held without a name: {named}", width)
        return
    text = "held without a name; only somebody with sudo rights can see by which process"
    yield from note(bold(host), text, width, f"inv -H {host} lock.break --reason '...' --dry")


# -- lock.break ------------------------------------------------------------------------------


def break_plan(
    host: str, held: HeldLock, clock: Clock, width: int, *, kill: bool, wide: bool
) -> list[Line]:
    """The plan of `lock.break`: the holder, and the processes that are stopped."""
    if held.owner is None:
        return [[f"{host}: the lock is free, nothing to do"]]
    head: Line = [bold(host), f": held by {_owner_text(held.owner, clock)}"]
    if not held.processes:
        return [head, ["no process that holds it was found"]]
    rows = [
        [str(each.pid), each.user, span_text(each.age_s), each.command, each.unit]
        for each in held.processes
    ]
    how = f"stops {plural(len(held.processes), 'process', 'processes')}"
    how += f"; what does not end within {GRACE_S:.0f} s is killed" if kill else " (SIGTERM)"
    how += ". The task stays unfinished, and nothing is undone."
    return [head, *draw(PROCESSES, rows, width, wide=wide).with_hint(), [how]]


def _owner_text(owner: Owner, clock: Clock) -> str:
    """``alice@laptop, deploy, since 10:03 UTC (4m)``."""
    if not owner.since_at:
        return f"{owner.who}, {owner.task}"
    since = f"since {clock.text(owner.since_at)} {clock.zone_name}"
    return f"{owner.who}, {owner.task}, {since} ({span_text(clock.now_at - owner.since_at)})"


def broken(clock: Clock) -> Told[LockBreakResult]:
    """What `lock.break` says at its end; it cannot be undone."""

    def text(result: LockBreakResult) -> str:
        if not result.changed:
            return "the lock is free already"
        stopped = plural(len(result.stopped), "process", "processes")
        who = f" of {_owner_text(result.owner, clock)}" if result.owner else ""
        return f"lock free, {stopped}{who} stopped"

    return Told(host=text, whole=lambda count: f"the lock of {plural(count, 'host')} is free")


def next_lines(host: str, owner: Owner | None) -> list[Line]:
    """What to do after the processes were stopped."""
    task = owner.task if owner and owner != NAMELESS else "its task"
    text = f"next:  run {task} again on {host}: it inspects the host and then continues"
    return [[text]]
