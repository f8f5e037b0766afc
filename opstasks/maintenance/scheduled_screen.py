"""What `scheduled` and `scheduled.cancel` show."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from opstasks.core.clock import Clock
from opstasks.core.formats import plural, span_text
from opstasks.core.hints import one_word, typed
from opstasks.core.result import FleetResult
from opstasks.fleet import audit
from opstasks.maintenance import texts
from opstasks.maintenance.cancel import CancelResult
from opstasks.maintenance.onhost.records import (
    DONE,
    DROPPED,
    FAILED,
    INTERRUPTED,
    OBSOLETE,
    READY,
    REFUSED,
    RUNNING,
    SCHEDULED,
    TIMER_LOST,
    UNPAUSE,
    ScheduledItem,
)
from opstasks.maintenance.records import OPEN_STATES
from opstasks.maintenance.scheduled import HostSchedule, ScheduledRow
from opstasks.output.notes import Note, headline, note, note_lines
from opstasks.output.parts import Line, Part, bad, bold, dim, good, odd
from opstasks.output.screens import Screen
from opstasks.output.states import needs_a_person
from opstasks.output.summary import Told
from opstasks.output.table import Column

# What `scheduled.cancel` does for work in a state that needs a person.
ADVICE = {
    DROPPED: "schedule it again, or dismiss it",
    TIMER_LOST: "schedule it again, or dismiss it",
    INTERRUPTED: "cancelling it restores what it has changed",
    OBSOLETE: "cancelling it only removes it",
}


COLUMNS = (
    Column("HOST"),
    Column("WHAT"),
    Column("WHEN"),
    Column("STATE"),
    Column("ID"),
    Column("WHO", 1),
    Column("WHY", 2, long="clip", least=10),
    Column("THERE", 3),
    Column("RESULT", 4, long="clip", least=12),
)


def screen(
    clock: Callable[[], Clock], width: int, more: str, *, with_past: bool
) -> Screen[HostSchedule]:
    """The screen of `scheduled`; `more` is the command that also shows past work.

    `clock` is asked after the hosts: only they say in which zone they are.
    """

    def closing(result: FleetResult[HostSchedule]) -> Iterable[Line]:
        past = sum(found.past for found in result.values.values())
        rows = [row for found in result.values.values() for row in found.items]
        if with_past or not past or not rows:
            return []
        return [[dim(f"{past} past, newest first: {more}")]]

    return Screen(
        columns=COLUMNS,
        rows=lambda host, found: [_cells(host, row, clock()) for row in found.items],
        headline=lambda result: _headline(result, clock(), width, with_past=with_past),
        notes=lambda host, found: _notes(host, found, width),
        closing=closing,
        nothing=lambda result: _nothing(result, more, with_past=with_past),
        ids=lambda found: [row.id for row in found.items],
    )


def _headline(
    result: FleetResult[HostSchedule], clock: Clock, width: int, *, with_past: bool
) -> Line:
    rows = [row for found in result.values.values() for row in found.items]
    if not rows:
        return []
    ahead = [row for row in rows if row.state in OPEN_STATES]
    wanted = [row for row in rows if not row.is_past and row.state not in OPEN_STATES]
    due_at = min((row.due_at for row in ahead if row.due_at > clock.now_at), default=0.0)
    words: list[Part] = [bold(f"{len(ahead)} scheduled" if ahead else "nothing is scheduled")]
    words += [f", the next one in {span_text(due_at - clock.now_at)}"] if due_at else []
    # Something obsolete does nothing, and needs nobody.
    count = sum(row.state != OBSOLETE for row in wanted)
    extra: list[Part] = []
    extra += [needs_a_person(count)] if count else []
    extra += ["past work below, newest first"] if with_past else []
    return headline(words, width, *extra, clock.now_text)


def _nothing(result: FleetResult[HostSchedule], more: str, *, with_past: bool) -> str:
    past = sum(found.past for found in result.values.values())
    text = f"nothing is scheduled on {plural(len(result.values), 'host')}"
    if any(found.unreadable for found in result.values.values()):
        return f"{text}, as far as its records can be read"
    if past and not with_past:
        return f"{text}; {past} past: {more}"
    return text if past else f"{text}, and there is no past work"


def _cells(host: str, row: ScheduledRow, clock: Clock) -> list[Part]:
    at = (row.ended_at or row.due_at) if row.is_past else row.due_at
    when = texts.when_text(at, clock)
    if row.state == RUNNING:
        when = f"now, since {clock.text(row.due_at)}"
    cells: list[Part] = [
        host,
        _what(row),
        when,
        _state(row),
        texts.short_id(row.id),
        row.who,
        row.why,
        texts.there_text(at, row.due_there, clock) if at == row.due_at else "",
        row.reason if row.is_past else "",
    ]
    return [dim(cell) if row.is_past and isinstance(cell, str) else cell for cell in cells]


def _what(row: ScheduledRow) -> str:
    return texts.work_text(row.what, reboots=row.reboot)


def _state(row: ScheduledRow) -> Part:
    if row.state in (FAILED, REFUSED):
        return dim(row.state) if row.is_past else bad(row.state)
    if row.state in (READY, DONE, RUNNING):
        return good(row.state)
    if row.state in (SCHEDULED, OBSOLETE):
        return row.state
    return dim(row.state) if row.is_past else odd(row.state)


def _notes(host: str, found: HostSchedule, width: int) -> Iterable[Line]:
    """What needs a person, with the command to type."""
    for record in found.unreadable:
        text = f"the record {one_word(record.name)} cannot be read: {record.error}"
        yield from note(bold(host), text, width)
    for row in found.items:
        if row.is_past or row.state in OPEN_STATES:
            continue
        name, advice = f"{_what(row)} {texts.short_id(row.id)}", ADVICE.get(row.state)
        if advice is None:
            text = f"{name} {row.state}: {row.reason}"
            if row.state == REFUSED:
                text = f"{name} was {row.state}: {row.reason}"
            yield from note(bold(host), text, width, f"inv -H {host} status")
            continue
        command = f"inv -H {host} scheduled.cancel {one_word(texts.short_id(row.id))}"
        yield from note(
            bold(host), f"{name} is {row.state}: {row.reason}; {advice}", width, command
        )


# -- scheduled.cancel ------------------------------------------------------------------------


def cancel_plan(chosen: Mapping[str, ScheduledItem], clock: Clock, width: int) -> list[Line]:
    """The plan of `scheduled.cancel`."""
    if not chosen:
        return []
    head: Line = [bold(plural(len(chosen), "host")), ": cancel scheduled work"]
    found = [headline(head, width, clock.now_text)]
    for host, item in chosen.items():
        text = f"{texts.sentence(item, clock)} (id {texts.short_id(item.id)})"
        after = f"afterwards: {_afterwards(item)}"
        found += note_lines([Note(bold(host), text), Note(" " * len(host), after)], width)
    return found


def _afterwards(item: ScheduledItem) -> str:
    if item.kind == UNPAUSE:
        return "stays paused until someone unpauses"
    if item.step == SCHEDULED:
        return "nothing is prepared"
    return "service and pause as before it"


def candidates(items: Sequence[ScheduledItem], clock: Clock) -> list[str]:
    """Each piece of work that could be meant, for a person who chooses by number."""
    return [f"{texts.short_id(item.id)}  {texts.sentence(item, clock)}" for item in items]


def commands(host: str, items: Sequence[ScheduledItem], clock: Clock) -> list[str]:
    """The command to type for each piece of work, with a comment that the shell ignores."""
    return [
        typed(f"inv -H {host} scheduled.cancel {one_word(texts.short_id(item.id))}")
        + f"   # {' '.join(texts.sentence(item, clock).split())}"
        for item in items
    ]


def cancelled(chosen: Mapping[str, ScheduledItem], clock: Clock) -> Told[CancelResult]:
    """What `scheduled.cancel` says at its end."""
    items = list(chosen.values())

    def undo(hosts: str) -> str:
        return f"inv -H {hosts} {_again(items[0], clock)}" if _is_undoable(items, clock) else ""

    return Told(
        host=_cancelled_text,
        whole=lambda count: f"cancelled on {plural(count, 'host')}",
        undo=undo,
    )


def _cancelled_text(result: CancelResult) -> str:
    item = result.item
    if item is None:
        return "nothing was scheduled"
    name = f"{texts.kind_text(item)} {texts.short_id(item.id)}"
    if not result.changed:
        return f"{name} is over already: {item.outcome}"
    reason = f", {item.reason}" if item.reason else ""
    return f"{name} {item.outcome}{reason}"


def _is_undoable(items: list[ScheduledItem], clock: Clock) -> bool:
    """Whether one command schedules the same again; `pause` gives only one's own an end."""
    (item, *others) = items
    if others or item.step != SCHEDULED or item.due_at <= clock.now_at + 60:
        return False
    return item.kind != UNPAUSE or item.who == audit.who()


def _again(item: ScheduledItem, clock: Clock) -> str:
    """The command that schedules a piece of work again."""
    if item.kind == UNPAUSE:
        return f"pause --for {span_text(item.due_at - clock.now_at)}"
    # The time as the host wrote it: --at is in its zone.
    words = f"prepare-reboot --at {one_word(item.due_there[:16])}"
    words += f" --drain {span_text(item.drain_s)}" if item.drain_s else ""
    words += " --reboot" if item.reboot else ""
    words += " --keep-paused" if item.keep_paused else ""
    return words + (f" --reason {one_word(item.why)}" if item.why else "")
