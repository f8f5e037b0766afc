"""What `outputs.ls` shows: pure, from facts to lines.

Names are shown as a shell reads them (`one_word`): a name with a line end stays on one line, and
can be copied into the next command.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from opstasks.core.formats import plural, size_text, span_text
from opstasks.core.hints import one_word
from opstasks.core.result import FleetResult
from opstasks.output.parts import Line, odd
from opstasks.output.screens import Screen, for_hosts, where
from opstasks.output.states import NOT_KNOWN
from opstasks.output.table import Column
from opstasks.outputs.listing import OutputFile, OutputWorkspace

Listing = list[OutputWorkspace]
# Of what cannot be read in a workspace, so much is named.
NAMED = 3

WORKSPACES = (
    Column("HOST"),
    Column("WORKSPACE"),
    Column("FILES", is_right=True),
    Column("SIZE", is_right=True),
    Column("NEWEST", rank=1, is_right=True),
)
FILES = (
    Column("HOST"),
    Column("WORKSPACE"),
    Column("FILE"),
    Column("SIZE", is_right=True),
    Column("AGE", rank=1, is_right=True),
    Column("KIND", rank=2),
    Column("OWNER", rank=3),
)


def workspaces_screen(root: str, hosts: int) -> Screen[Listing]:
    """The screen of all workspaces; `root` is their folder."""
    return Screen(
        for_hosts(WORKSPACES, hosts),
        rows=lambda host, found: (_workspace_cells(host, one) for one in found),
        headline=_workspaces_headline,
        notes=_unreadable,
        nothing=lambda result: f"no workspace in {root} on {where(result)}",
        ids=lambda found: (one_word(one.name) for one in found),
    )


def _workspace_cells(host: str, one: OutputWorkspace) -> list[object]:
    if one.error is not None:
        return [host, one_word(one.name), NOT_KNOWN, NOT_KNOWN, ""]
    newest = "" if one.newest_age_s is None else f"{span_text(one.newest_age_s)} ago"
    return [host, one_word(one.name), one.files, size_text(one.size_bytes), newest]


def _unreadable(host: str, found: Listing) -> Iterator[Line]:
    """What is not listed, because it cannot be read."""
    for one in found:
        if one.error is not None:
            yield [f"{host}  ", odd(f"{one_word(one.name)} cannot be read: {one.error}")]
        for bad in one.unreadable[:NAMED]:
            path = one_word(f"{one.name}/{bad.path}")
            yield [f"{host}  ", odd(f"{path} cannot be read: {bad.error}")]
        if more := len(one.unreadable[NAMED:]):
            yield [f"{host}  ", odd(f"{one_word(one.name)}: {more} more cannot be read (--json)")]


def _workspaces_headline(result: FleetResult[Listing]) -> Line:
    found = _all(result)
    if not found:
        return []
    return [f"{plural(len(found), 'workspace')} on {where(result)}: {_total(found)}"]


def files_screen(workspaces: Sequence[str], hosts: int) -> Screen[Listing]:
    """The screen of the files of some workspaces; one workspace is named in the headline only."""
    is_one = len(set(workspaces)) == 1
    columns = tuple(
        column for column in for_hosts(FILES, hosts) if not (is_one and column.title == "WORKSPACE")
    )
    named = ", ".join(one_word(name) for name in dict.fromkeys(workspaces))

    def cells(host: str, found: Listing) -> Iterator[list[object]]:
        for one in found:
            for file in one.entries or ():
                yield [host, *([] if is_one else [one_word(one.name)]), *_file_cells(file)]

    def headline(result: FleetResult[Listing]) -> Line:
        found = _all(result)
        has_files = any(one.entries for one in found)
        return [f"{named} on {where(result)}: {_total(found)}"] if has_files else []

    return Screen(
        columns,
        rows=cells,
        headline=headline,
        notes=_unreadable,
        nothing=lambda result: f"no {_kind_of(result)} in {named} on {where(result)}",
        ids=lambda found: (one_word(file.path) for one in found for file in one.entries or ()),
    )


def _kind_of(result: FleetResult[Listing]) -> str:
    """What was looked for: it says so if there may be others."""
    is_complete = all(one.is_complete for one in _all(result))
    return "file" if is_complete else "file that can be read"


def _file_cells(file: OutputFile) -> list[object]:
    kind = "" if file.kind == "file" else odd(file.kind)
    return [
        one_word(file.path),
        size_text(file.size_bytes),
        span_text(file.age_s),
        kind,
        file.owner,
    ]


def _all(result: FleetResult[Listing]) -> list[OutputWorkspace]:
    return [one for found in result.values.values() for one in found]


def _total(found: Iterable[OutputWorkspace]) -> str:
    """``12 files, 3.4 MiB``."""
    found = list(found)
    files, size_bytes = sum(one.files for one in found), sum(one.size_bytes for one in found)
    return f"{plural(files, 'file')}, {size_text(size_bytes)}"
