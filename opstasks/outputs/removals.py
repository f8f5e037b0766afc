"""The records of a host's removals, and the steps that the partner must still do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from opstasks.core.errors import Refused
from opstasks.core.hints import one_word, typed
from opstasks.core.lines import is_seen
from opstasks.fleet import audit
from opstasks.fleet.change import change
from opstasks.fleet.host import Host
from opstasks.fleet.inventory import HostSpec
from opstasks.fleet.program import Program
from opstasks.outputs.onhost.records import RemovalRecord


class RemovalsRequest(msgspec.Struct, frozen=True):
    """The folder of the records, and the root of their workspaces."""

    records: str
    root: str


class RemovalsAnswer(msgspec.Struct, frozen=True):
    """The records, newest first."""

    records: tuple[RemovalRecord, ...]


class AttestRequest(msgspec.Struct, frozen=True):
    """The records to attest, and the text."""

    records: str
    ids: tuple[str, ...]
    by: str
    recorded_by: str
    note: str


RECORDS = Program("opstasks.outputs.onhost.list_records", RemovalsRequest, RemovalsAnswer)
# Before the command that records the partner's steps.
THEN = "then: "
ATTEST = Program("opstasks.outputs.onhost.attest", AttestRequest, RemovalsAnswer, changes=True)


@dataclass(frozen=True)
class AttestResult:
    """The removals that were attested now, or (not `changed`) before."""

    changed: bool
    records: tuple[RemovalRecord, ...]


def folder(spec: HostSpec) -> str:
    """Where a host keeps the records of its removals."""
    return f"{spec.state_dir}/outputs"


def records_request(spec: HostSpec) -> RemovalsRequest:
    """The request of `RECORDS` for a host."""
    return RemovalsRequest(folder(spec), spec.workspaces_dir)


def read(host: Host) -> tuple[RemovalRecord, ...]:
    """Every removal of a host, newest first."""
    return host.service.call(RECORDS, records_request(host.spec)).records


def find(host: str, records: Iterable[RemovalRecord], ids: Iterable[str]) -> list[RemovalRecord]:
    """The removals with these ids, or beginnings of ids; raises Refused for an unknown one."""
    records = list(records)
    found: dict[str, RemovalRecord] = {}
    for id in ids:
        matching = [r for r in records if r.id == id or r.id.startswith(f"{id}-")]
        if not matching:
            hint = f"inv -H {host} outputs.pending --all"
            raise Refused(f"no removal {one_word(id)}", host=host, hint=hint)
        found.update({record.id: record for record in matching})
    return list(found.values())


def attest(host: Host, ids: Iterable[str], by: str, note: str) -> AttestResult:
    """Record who did the partner's steps; attesting again changes nothing."""
    chosen = find(host.name, read(host), ids)
    for record in chosen:
        if record.state != "removed":
            raise Refused(
                f"{record.id} is not removed yet ({record.state})",
                host=host.name,
                hint=f"inv -H {host.name} outputs.rm"
                f" {one_word(record.workspace)} {one_word(record.file)}",
            )
    todo = tuple(record.id for record in chosen if record.attested is None)
    if not todo:
        return AttestResult(False, tuple(chosen))
    request = AttestRequest(folder(host.spec), todo, by, audit.who(), note)
    args = {"ids": " ".join(todo), "by": by, **({"note": note} if note else {})}
    with change(host.service, "outputs.attest", args):
        new = host.service.call(ATTEST, request).records
        # Another person may have attested them since they were read.
        return AttestResult(bool(new), new or tuple(find(host.name, read(host), ids)))


def partner_steps(spec: HostSpec, records: Sequence[RemovalRecord]) -> list[str]:
    """The lines that tell a person what to do about the partner's copies."""
    waiting = [record for record in records if record.partner_path and not record.attested]
    if not waiting:
        return []
    ids = dict.fromkeys(one_word(record.id.rpartition("-")[0]) for record in waiting)
    return [
        "The partner's copies stay. On the Level 4 server, delete them for good (Shift+Del):",
        *(f"  {partner_text(record)}" for record in waiting),
        THEN + typed(f"inv -H {spec.name} outputs.attest {' '.join(ids)}"),
    ]


def partner_text(record: RemovalRecord) -> str:
    """The path of the partner's copy: not quoted, because it is pasted into Windows."""
    path = record.partner_path
    return path if is_seen(path) else one_word(path)
