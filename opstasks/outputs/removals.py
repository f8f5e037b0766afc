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
    """The folder of the records, and the root of their workspaces.

    `to_write`: the host refuses if it cannot write there.
    """

    records: str
    root: str
    to_write: bool = False


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
PENDING = "outputs.pending"
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


def records_request(spec: HostSpec, *, to_write: bool = False) -> RemovalsRequest:
    """The request of `RECORDS` for a host."""
    return RemovalsRequest(folder(spec), spec.workspaces_dir, to_write)


def read(host: Host, *, to_write: bool = False) -> tuple[RemovalRecord, ...]:
    """Every removal of a host, newest first; raises Refused when the folder is not accessible."""
    try:
        return host.service.call(RECORDS, records_request(host.spec, to_write=to_write)).records
    except Refused as refusal:
        refusal.hint = refusal.hint or f"inv -H {host.name} doctor"
        raise


def find(host: str, records: Iterable[RemovalRecord], ids: Iterable[str]) -> list[RemovalRecord]:
    """The removals with these ids, or beginnings of ids.

    Raises Refused for an unknown one, and for one that cannot be read.
    """
    records = list(records)
    found: dict[str, RemovalRecord] = {}
    for id in ids:
        matching = [r for r in records if r.id == id or r.id.startswith(f"{id}-")]
        if not matching:
            hint = f"inv -H {host} {PENDING} --all"
            raise Refused(f"no removal {one_word(id)}", host=host, hint=hint)
        check_readable(host, matching)
        found.update({record.id: record for record in matching})
    return list(found.values())


def check_readable(host: str, records: Iterable[RemovalRecord]) -> None:
    """Raise Refused for the first record that cannot be read."""
    for record in records:
        if not record.is_readable:
            raise Refused(record.unreadable_text(), host=host, hint=f"inv -H {host} {PENDING}")


def attest(host: Host, ids: Iterable[str], by: str, note: str) -> AttestResult:
    """Record who did the partner's steps; attesting again changes nothing."""
    chosen = find(host.name, read(host, to_write=True), ids)
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
