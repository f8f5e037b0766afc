"""What `outputs.rm`, `outputs.pending` and `outputs.attest` show: pure, from facts to lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from opstasks.core.clock import Clock
from opstasks.core.formats import plural, size_text, span_text
from opstasks.core.hints import one_word
from opstasks.core.result import FleetResult
from opstasks.fleet.inventory import HostSpec
from opstasks.output.parts import Line, Part, bad, dim, good, odd, to_type
from opstasks.output.screens import Screen, for_hosts, where
from opstasks.output.table import Column
from opstasks.outputs.onhost.records import RemovalRecord
from opstasks.outputs.plan import RemovalItem, RemovalPlan
from opstasks.outputs.removals import THEN, partner_steps, partner_text
from opstasks.outputs.removals import folder as removals_folder

FILES = (
    Column("FILE"),
    Column("SIZE", is_right=True),
    Column("AT SOURCE", rank=1),
    Column("AGE", rank=2, is_right=True),
    Column("SHA256", rank=3),
    Column("OWNER", rank=4),
)
REMOVALS = (
    Column("HOST"),
    Column("REMOVAL"),
    Column("FILE"),
    Column("STATE"),
    Column("WORKSPACE", rank=1),
    Column("REMOVED", rank=2),
    Column("BY", rank=3),
)
# A digest's first digits, as docker shows them.
SHORT_DIGEST = 12


# -- outputs.rm --------------------------------------------------------------------------------


def item_rows(plan: RemovalPlan, *, wide: bool) -> list[list[object]]:
    """The row of each file to remove."""
    return [_item_cells(item, plan.checked_at, wide=wide) for item in plan.items]


def _item_cells(item: RemovalItem, checked_at: float, *, wide: bool) -> list[object]:
    at_source = odd("yes") if item.source else ""
    if item.here is None:
        return [one_word(item.path), odd("interrupted"), at_source, "", "", ""]
    here = item.here
    return [
        one_word(item.path),
        size_text(here.size_bytes),
        at_source,
        span_text(checked_at - here.mtime_ns / 1e9),
        here.sha256 if wide else here.sha256[:SHORT_DIGEST],
        here.owner,
    ]


def rm_headline(plan: RemovalPlan, spec: HostSpec) -> Line:
    """What is about to be removed, and where."""
    if not plan.items:
        return [f"{spec.name}: nothing to remove from {one_word(plan.workspace)}"]
    place = one_word(f"{spec.workspaces_dir}/{plan.workspace}")
    return [f"{spec.name}: {_items_text(plan)} to remove for good from {place}"]


def _items_text(plan: RemovalPlan) -> str:
    """``2 files, 3.4 MiB``."""
    size_bytes = sum(item.here.size_bytes for item in plan.items if item.here)
    return f"{plural(len(plan.items), 'file')}, {size_text(size_bytes)}"


def rm_notes(plan: RemovalPlan, spec: HostSpec, clock: Clock) -> Iterator[Line]:
    """What else happens, and what stays."""
    yield from gone_lines(plan.gone, clock)
    if plan.source_away:
        yield [odd("The Level 3 sync's source is not mounted: its copies return when it is.")]
    if plan.at_source:
        count = len(plan.at_source)
        has = "1 file is" if count == 1 else f"{count} files are"
        yield [f"{has} at the Level 3 sync's source, too: what stays there returns in minutes."]
    if plan.items and spec.level4_folder:
        yield ["The partner's copies stay: at the end it says what to delete there by hand."]
    if plan.items:
        yield ["The high-privacy copies stay. There is no undo."]


def gone_lines(gone: Sequence[RemovalRecord], clock: Clock) -> Iterator[Line]:
    """Files that were removed before: by whom, and when."""
    for record in gone:
        at = clock.text(record.removed_at or record.started_at)
        yield [
            f"{one_word(record.file)}: removed before, by {record.who},"
            f" {at} {clock.zone_name} ({record.id})"
        ]


def rm_question(plan: RemovalPlan, host: str, source: str) -> str:
    """The question that the workspace's name answers."""
    there = ""
    if plan.at_source:
        verb = "removed" if source == "remove" else "kept"
        count = len(plan.at_source)
        there = f" ({plural(count, 'copy', 'copies')} at the sync's source {verb})"
    return (
        f"{_items_text(plan)} will be removed for good from {one_word(plan.workspace)}"
        f" on {host}{there}. Type the workspace's name to continue:"
    )


# -- outputs.pending ---------------------------------------------------------------------------

Removals = list[RemovalRecord]


def pending_screen(
    specs: Mapping[str, HostSpec], clock: Callable[[], Clock], *, all: bool
) -> Screen[Removals]:
    """The screen of `outputs.pending`; `specs` by host name, `all`: finished ones as well.

    The zone of the `clock` is known when hosts have answered.
    """
    return Screen(
        for_hosts(REMOVALS, len(specs)),
        rows=lambda host, found: (_removal_cells(host, record, clock()) for record in found),
        headline=lambda result: _pending_headline(result, clock()),
        notes=lambda host, found: next_steps(specs[host], found),
        nothing=lambda result: _nothing_pending(result, all=all),
        ids=lambda found: (record.id for record in found),
    )


def _removal_cells(host: str, record: RemovalRecord, clock: Clock) -> list[object]:
    return [
        host,
        one_word(record.id) if record.id else "",
        one_word(record.file) if record.file else "",
        _state(record),
        one_word(record.workspace) if record.workspace else "",
        clock.text(record.removed_at),
        record.who,
    ]


def _state(record: RemovalRecord) -> object:
    if record.returned:
        return bad("THE FILE IS BACK")
    if not record.is_readable:
        return bad("cannot be read")
    if record.state == "removing":
        return bad("interrupted")
    if record.state == "failed":
        return dim("failed")
    if record.is_open:
        return odd("partner's copy")
    return good("attested") if record.attested else good("removed")


def _pending_headline(result: FleetResult[Removals], clock: Clock) -> Line:
    records = [record for found in result.values.values() for record in found]
    back = sum(record.returned for record in records)
    cut = sum(not r.returned and r.state == "removing" for r in records)
    waiting = sum(not r.returned and r.state == "removed" and r.is_open for r in records)
    unread = sum(not r.is_readable for r in records)
    parts: list[Part] = [
        *([bad(f"{plural(back, 'file')} back")] if back else []),
        *([bad(f"{cut} interrupted")] if cut else []),
        *([bad(f"{plural(unread, 'record')} that cannot be read")] if unread else []),
        *([odd(f"{waiting} waiting for the partner's steps")] if waiting else []),
    ]
    if not records:
        return []
    told: list[Part] = []
    for part in parts or ["nothing to do"]:
        told += [", ", part] if told else [part]
    return [*told, f" ({plural(len(records), 'removal')}, times in {clock.zone_name})"]


def _nothing_pending(result: FleetResult[Removals], *, all: bool) -> str:
    if all:
        return f"no removals on {where(result)}"
    return f"no unfinished removals on {where(result)}; finished ones: outputs.pending --all"


def next_steps(spec: HostSpec, records: Sequence[RemovalRecord]) -> Iterator[Line]:
    """What a person must do about the removals of a host, with the commands."""
    for record in records:
        words = f"{one_word(record.workspace)} {one_word(record.file)}"
        again = f"inv -H {spec.name} outputs.rm {words}"
        if record.returned:
            source = " --source remove" if spec.level3_source else ""
            yield ["back:         ", to_type(again + source)]
        elif record.state == "removing":
            if record.error:
                yield [odd(f"{one_word(record.id)}: {record.error}")]
            yield ["interrupted:  ", to_type(again)]
        elif not record.is_readable:
            path = f"{removals_folder(spec)}/{record.id}.json"
            yield [odd(f"{spec.name}: {record.unreadable_text()}")]
            yield ["look at it:   ", to_type(f"inv -H {spec.name} run -- ls -l {one_word(path)}")]
    yield from partner_lines(spec, [r for r in records if r.state == "removed" and not r.returned])


# -- the partner's copies ----------------------------------------------------------------------


def partner_lines(spec: HostSpec, records: Sequence[RemovalRecord]) -> list[Line]:
    """What a person must do about the partner's copies; nothing if there are none."""
    texts = partner_steps(spec, records)
    if not texts:
        return []
    first, *paths, last = texts
    # A path may contain spaces, at which it must not be divided.
    lines: list[Line] = [["  ", to_type(path.strip())] for path in paths]
    return [[f"{spec.name}: {first}"], *lines, [THEN, to_type(last.removeprefix(THEN))]]


# -- outputs.attest ----------------------------------------------------------------------------


def attest_lines(host: str, records: Sequence[RemovalRecord], by: str) -> Iterator[Line]:
    """What is about to be recorded."""
    todo = [record for record in records if record.attested is None]
    copies = plural(len(todo), "copy", "copies")
    if todo:
        yield [f"{host}: to record that {by} deleted {copies} on the partner's side"]
    for record in records:
        path = partner_text(record) or one_word(record.file)
        done = f"(done, says {record.attested.by})  " if record.attested else ""
        yield [f"  {record.id}  ", dim(done), to_type(path)]
    if not todo:
        yield [f"{host}  ", dim("nothing to do")]
