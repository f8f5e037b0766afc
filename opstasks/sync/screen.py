"""What the tasks of the Level 3 sync show."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from opstasks.core.clock import Clock
from opstasks.core.formats import plural, size_text, span_text
from opstasks.core.result import FleetResult
from opstasks.output.notes import headline, note
from opstasks.output.parts import Line, Part, bad, bold, dim, good, odd
from opstasks.output.screens import Screen, no_answer
from opstasks.output.states import needs_a_person
from opstasks.output.summary import Told
from opstasks.output.table import Column, draw
from opstasks.sync.act import SyncResult
from opstasks.sync.facts import SyncRecord, SyncState
from opstasks.sync.units import EVERY_S

Verb = Literal["start", "stop", "once"]
WORDS: dict[Verb, str] = {
    "start": "start the Level 3 sync",
    "stop": "stop the Level 3 sync",
    "once": "copy Level 3 files once, now",
}
AFTERWARDS: dict[Verb, str] = {
    "start": f"on: copies every {span_text(EVERY_S)}, also after a reboot",
    "stop": "off, also after a reboot",
    "once": "the same",
}
UNDO: dict[Verb, str] = {"start": "sync.stop", "stop": "sync.start", "once": ""}
# So many files that were not copied are named.
NAMES = 20

COLUMNS = (
    Column("HOST"),
    Column("SYNC"),
    Column("LAST SUCCESS"),
    Column("COPIED", 1, is_right=True),
    Column("SIZE", 1, is_right=True),
    Column("SKIPPED", 2, is_right=True),
    Column("NOT COPIED", is_right=True),
    Column("SOURCE", 3),
)
PLAN = (
    Column("HOST"),
    Column("NOW", long="wrap", least=16),
    Column("AFTERWARDS", long="wrap", least=16),
    Column("SOURCE", 1),
)


# -- sync.status -----------------------------------------------------------------------------


def screen(clock: Callable[[], Clock], width: int) -> Screen[SyncState]:
    """The screen of `sync.status`; COPIED to NOT COPIED are about the last run."""
    return Screen(
        columns=COLUMNS,
        rows=lambda host, state: [_cells(host, state)],
        failed=no_answer,
        headline=lambda result: _headline(result, clock(), width),
        notes=lambda host, state: _notes(host, state, width),
    )


def _headline(result: FleetResult[SyncState], clock: Clock, width: int) -> Line:
    # A host without a source has nothing to copy.
    states = {host: state for host, state in result.values.items() if state.source or state.on}
    if not states:
        return [bold("no Level 3 sync"), f": {plural(len(result.values), 'host')} without a source"]
    on = sum(state.on for state in states.values())
    words: list[Part] = [bold(f"Level 3 sync on at {on} of {plural(len(states), 'host')}")]
    wanted = [host for host, state in states.items() if state.attention()]
    needs = [needs_a_person(len(wanted))] if wanted else []
    return headline(words, width, *needs, clock.now_text)


def _cells(host: str, state: SyncState) -> list[Part]:
    last = state.last
    cells: list[Part] = [host, _state(state), _success(state)]
    if not last.ended_at:
        return [*cells, "", "", "", "", state.source]
    left = len(last.clashes) + len(last.uncopied)
    return [
        *cells,
        str(last.copied),
        size_text(last.copied_bytes),
        str(len(last.skipped)),
        bad(str(left)) if left else "0",
        state.source,
    ]


def _state(state: SyncState) -> Part:
    if state.on and state.has_failed:
        return bad("failed")
    if state.running:
        return good("running")
    if state.on:
        return good("on")
    return odd("off") if state.source else dim("off")


def _success(state: SyncState) -> str:
    if state.is_success_ahead:
        return "unknown"
    return f"{span_text(state.success_age_s)} ago" if state.last_success_at else "never"


def _notes(host: str, state: SyncState, width: int) -> Iterable[Line]:
    """What needs a person."""
    for text, task in state.findings():
        yield from note(bold(host), text, width, *([f"inv -H {host} {task}"] if task else []))
    if state.on and state.has_failed:
        text = state.last.hint or "correct that, then copy again"
        yield from note(dim(host), text, width, f"inv -H {host} sync.once")
    for name in (*state.last.clashes, *state.last.uncopied)[:NAMES]:
        yield from note(dim(host), f"not copied: {name}", width)


# -- sync.start, sync.stop, sync.once --------------------------------------------------------


def plan_lines(
    verb: Verb, states: Mapping[str, SyncState], clock: Clock, width: int, *, wide: bool
) -> list[Line]:
    """The plan of a change."""
    if not states:
        return []
    head: Line = [bold(plural(len(states), "host")), f": {WORDS[verb]}"]
    rows = [
        [host, _now(state), _after(verb, state), state.source or "no source"]
        for host, state in states.items()
    ]
    return [headline(head, width, clock.now_text), *draw(PLAN, rows, width, wide=wide).with_hint()]


def _now(state: SyncState) -> str:
    words = "on" if state.on else "off"
    if state.running:
        words += ", running"
    success = f"last success {_success(state)}" if state.last_success_at else "no success yet"
    return f"{words}, {success}"


def is_done(verb: Verb, state: SyncState) -> bool:
    """Whether there is nothing to do."""
    return (verb == "start" and state.is_well) or (verb == "stop" and state.is_off)


def _after(verb: Verb, state: SyncState) -> Part:
    if not state.source and verb != "stop":
        return bad("refused: it has no level3_source")
    if is_done(verb, state):
        return dim("the same")
    if verb == "once":
        return f"one copy; the sync stays {'on' if state.on else 'off'}"
    if verb == "stop" and state.running:
        return f"the run is interrupted, no partial file; {AFTERWARDS[verb]}"
    return AFTERWARDS[verb]


def done(verb: Verb) -> Told[SyncResult]:
    """What a change says at its end."""
    whole = {"start": "on", "stop": "off", "once": "copied"}[verb]
    return Told(
        host=lambda result: _result_text(verb, result),
        whole=lambda count: f"Level 3 sync: {plural(count, 'host')} {whole}",
        undo=lambda hosts: f"inv -H {hosts} {UNDO[verb]}" if UNDO[verb] else "",
    )


def _result_text(verb: Verb, result: SyncResult) -> str:
    state = (
        f"sync {result.state}" if result.changed or verb == "once" else f"{result.state} already"
    )
    last = result.last
    if verb == "stop" or last is None or not last.ended_at:
        is_long = verb == "start" and result.changed
        return f"{state}, the first run goes on" if is_long else state
    return f"{state}, {_copied(last)}" if result.changed or verb == "once" else state


def _copied(last: SyncRecord) -> str:
    """``12 files (3.2 MiB) copied, 2 skipped (no regular files)``."""
    if not last.copied:
        text = "nothing new to copy"
    else:
        text = f"{plural(last.copied, 'file')} ({size_text(last.copied_bytes)}) copied"
    return text + (f", {len(last.skipped)} skipped (not files)" if last.skipped else "")


def copied_lines(host: str, result: SyncResult, most: int) -> list[Line]:
    """The names of the copied files: at most so many, 0 for all."""
    names = result.last.items if result.last and result.changed else ()
    shown = names[:most] if most else names
    lines: list[Line] = [[dim(host), f"  copied {name}"] for name in shown]
    # The record names only the first ones of very many.
    left = (result.last.copied if result.last and names else 0) - len(shown)
    if left > 0:
        more = " (--limit 0)" if len(shown) < len(names) else " (the host keeps no more names)"
        lines.append([dim(host), dim(f"  … {left} more{more}")])
    return lines
