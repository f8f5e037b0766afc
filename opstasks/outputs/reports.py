"""Removals as `--json` shows them (docs/json.md): what is unknown or absent is None."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from opstasks.core.state import HostState
from opstasks.outputs.act import RemovalResult
from opstasks.outputs.onhost.records import Attestation, RemovalRecord
from opstasks.outputs.plan import RemovalItem, RemovalPlan
from opstasks.outputs.removals import AttestResult


@dataclass(frozen=True)
class AttestationReport:
    """Who did the partner's steps, and who recorded that."""

    by: str
    recorded_by: str
    recorded_at: float
    note: str | None


@dataclass(frozen=True)
class RemovalReport:
    """The record of one removal; `is_open`: it waits for a person; `returned`: the file is back.

    `state` is removing, removed, failed, or unreadable: then the record cannot be read, and only
    `id` and `error` are known.
    """

    id: str
    workspace: str
    file: str
    state: str
    is_open: bool
    returned: bool
    size_bytes: int
    sha256: str | None
    who: str
    reason: str | None
    started_at: float
    removed_at: float
    error: str | None
    source: str | None
    source_sha256: str | None
    partner_path: str | None
    attested: AttestationReport | None


@dataclass(frozen=True)
class RemovalFile:
    """A file that was planned for removal.

    `at_source`: the Level 3 sync's source has it, too. `is_interrupted`: an earlier removal of it
    was begun, and the file may be gone already; then the other facts are None.
    """

    path: str
    is_interrupted: bool
    at_source: bool
    size_bytes: int | None
    owner: str | None
    modified_at: float | None
    sha256: str | None


@dataclass(frozen=True)
class RemovalOutcome:
    """The outcome of `outputs.rm` on one host; `removed` is empty if nothing was done.

    `gone` are files that were removed before, or by somebody else meanwhile.
    """

    changed: bool
    workspace: str
    files: tuple[RemovalFile, ...]
    source_is_away: bool
    removed: tuple[RemovalReport, ...] = ()
    gone: tuple[RemovalReport, ...] = ()
    now: HostState = field(default_factory=HostState)


@dataclass(frozen=True)
class AttestOutcome:
    """The outcome of `outputs.attest` on one host: the removals, attested now or before."""

    changed: bool
    removals: tuple[RemovalReport, ...]


def report(record: RemovalRecord) -> RemovalReport:
    """One record."""
    return RemovalReport(
        id=record.id,
        workspace=record.workspace,
        file=record.file,
        state=record.state,
        is_open=record.is_open,
        returned=record.returned,
        size_bytes=record.size_bytes,
        sha256=record.sha256 or None,
        who=record.who,
        reason=record.reason or None,
        started_at=record.started_at,
        removed_at=record.removed_at,
        error=record.error or None,
        source=record.source or None,
        source_sha256=record.source_sha256 or None,
        partner_path=record.partner_path or None,
        attested=None if record.attested is None else _attestation(record.attested),
    )


def _attestation(made: Attestation) -> AttestationReport:
    return AttestationReport(made.by, made.recorded_by, made.at, made.note or None)


def reports(records: Sequence[RemovalRecord]) -> tuple[RemovalReport, ...]:
    """Several records."""
    return tuple(map(report, records))


def planned(plan: RemovalPlan) -> RemovalOutcome:
    """The outcome of a run that removed nothing."""
    files = tuple(map(_file, plan.items))
    return RemovalOutcome(False, plan.workspace, files, plan.source_away, gone=reports(plan.gone))


def _file(item: RemovalItem) -> RemovalFile:
    here = item.here
    return RemovalFile(
        path=item.path,
        is_interrupted=item.is_interrupted,
        at_source=item.source is not None,
        size_bytes=here.size_bytes if here else None,
        owner=here.owner if here else None,
        modified_at=here.mtime_ns / 1e9 if here else None,
        sha256=here.sha256 if here else None,
    )


def removed(plan: RemovalPlan, result: RemovalResult) -> RemovalOutcome:
    """The outcome of a removal."""
    return RemovalOutcome(
        changed=result.changed,
        workspace=plan.workspace,
        files=tuple(map(_file, plan.items)),
        source_is_away=plan.source_away,
        removed=reports(result.records),
        gone=reports([*plan.gone, *result.gone]),
        now=result.now,
    )


def attested(result: AttestResult) -> AttestOutcome:
    """The outcome of an attestation."""
    return AttestOutcome(result.changed, reports(result.records))
