"""What `outputs.rm` will remove, decided from the facts of the files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from opstasks.core.errors import Refused
from opstasks.core.fields import Count, Line
from opstasks.core.hints import one_word
from opstasks.outputs.onhost.records import RemovalRecord

# The number of a drive, or of a file on it: 64 bits.
DiskNumber = Annotated[int, Meta(ge=0)]
# The latest time of a file on Windows, the year 30828, is less than this since the epoch.
MAX_TIME_NS = 1 << 72


@dataclass(frozen=True)
class OutputFacts:
    """The identity of a file; `mtime_ns` in nanoseconds since the epoch."""

    dev: DiskNumber
    ino: DiskNumber
    size_bytes: Count
    mtime_ns: int
    owner: Line
    sha256: Line

    def __post_init__(self) -> None:
        if max(self.dev, self.ino) >= 1 << 64:
            raise ValueError("the number of a drive or a file has 64 bits")
        if abs(self.mtime_ns) >= MAX_TIME_NS:
            raise ValueError("no file has such a time")


@dataclass(frozen=True)
class FoundOutput:
    """A file in one place: its facts, None if absent; `error` says why they are unknown."""

    facts: OutputFacts | None = None
    error: Line = ""


@dataclass(frozen=True)
class InspectedOutput:
    """A file in the workspace, and at the sync's source."""

    path: Line
    here: FoundOutput = FoundOutput()
    source: FoundOutput = FoundOutput()


@dataclass(frozen=True)
class RemovalFacts:
    """A host's state before a removal: the files, and the records, newest first.

    `checked_at` is the host's time, in seconds since the epoch. `source_away`: the sync's source
    is not mounted.
    """

    files: tuple[InspectedOutput, ...]
    records: tuple[RemovalRecord, ...]
    checked_at: float
    source_away: bool = False


@dataclass(frozen=True)
class RemovalItem:
    """A file to remove: its facts here and at the sync's source, None if it is absent.

    `record` is from an earlier removal.
    """

    path: str
    here: OutputFacts | None
    source: OutputFacts | None
    record: RemovalRecord | None = None

    @property
    def is_interrupted(self) -> bool:
        """Whether its removal was begun but not finished."""
        return self.record is not None and self.record.state == "removing"


@dataclass(frozen=True)
class RemovalPlan:
    """The files to remove; `gone` were removed before.

    `checked_at` is the host's time, in seconds since the epoch.
    """

    workspace: str
    items: tuple[RemovalItem, ...]
    gone: tuple[RemovalRecord, ...]
    checked_at: float
    source_away: bool = False

    @property
    def at_source(self) -> tuple[RemovalItem, ...]:
        """The files that the Level 3 sync would bring back."""
        return tuple(item for item in self.items if item.source)


def make_plan(workspace: str, facts: RemovalFacts) -> RemovalPlan:
    """Decide which files to remove; raises Refused for an absent file or another kind of entry."""
    known = _records_by_file(workspace, facts.records)
    unread = [record for record in facts.records if not record.is_readable]
    items, gone = [], []
    for output in facts.files:
        record = known.get(output.path)
        _check(workspace, output, record, unread)
        item = RemovalItem(output.path, output.here.facts, output.source.facts, record)
        if item.here or item.is_interrupted:
            items.append(item)
        elif record:
            gone.append(record)
    return RemovalPlan(workspace, tuple(items), tuple(gone), facts.checked_at, facts.source_away)


def _records_by_file(
    workspace: str, records: Sequence[RemovalRecord]
) -> Mapping[str, RemovalRecord]:
    """The newest record of each file that was removed, or is being removed."""
    return {
        record.file: record
        for record in reversed(records)
        if record.workspace == workspace and record.state in ("removing", "removed")
    }


def _check(
    workspace: str,
    output: InspectedOutput,
    record: RemovalRecord | None,
    unread: Sequence[RemovalRecord],
) -> None:
    shown = one_word(output.path)
    for found, where in (
        (output.here, "in the workspace"),
        (output.source, "at the sync's source"),
    ):
        if found.error:
            raise Refused(
                f"{shown} {where}: {found.error}", hint="inspect it by hand; nothing was removed"
            )
    if output.here.facts is None and record is None:
        text = f"no file {shown} in {one_word(workspace)}"
        if unread:  # one of them may say that its removal was interrupted
            text += f", but {unread[0].unreadable_text()}"
        raise Refused(text)
