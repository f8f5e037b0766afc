"""Remove Level 4 files of one host (playbook: "Removing a Level 4 file")."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import msgspec

from opstasks.core.errors import (
    CommandFailed,
    Interrupted,
    InvalidResponse,
    OpsError,
    ProgramFailed,
    Refused,
    VerifyFailed,
)
from opstasks.core.fields import Moment
from opstasks.core.hints import one_word
from opstasks.core.state import HostState
from opstasks.fleet import audit
from opstasks.fleet.change import change
from opstasks.fleet.host import Host
from opstasks.fleet.inventory import HostSpec
from opstasks.fleet.program import Program
from opstasks.outputs import names
from opstasks.outputs.onhost.facts import IDENTITY, STABLE_IDENTITY
from opstasks.outputs.onhost.hold import UNFINISHED
from opstasks.outputs.onhost.records import RemovalRecord, SourceFate
from opstasks.outputs.plan import (
    InspectedOutput,
    OutputFacts,
    RemovalFacts,
    RemovalItem,
    RemovalPlan,
    make_plan,
)
from opstasks.outputs.removals import RECORDS, folder, partner_steps, records_request
from opstasks.sync import units

# Hashing a large file on a slow disk takes long.
TIMEOUT_S = 3600.0
SOURCE_CHOICES = ("remove", "keep")
# In errors of a removal.
SOURCE_COPY = "the copy at the sync's source"


class RemovalInspectRequest(msgspec.Struct, frozen=True):
    """Files of a workspace; `source` is the root of the Level 3 sync's source, or empty."""

    root: str
    source: str
    workspace: str
    files: tuple[str, ...]


class InspectAnswer(msgspec.Struct, frozen=True):
    """The files in the order of the request; `now_at` is the host's clock."""

    files: tuple[InspectedOutput, ...]
    source_away: bool
    now_at: Moment


class RemovalPlace(msgspec.Struct, frozen=True):
    """One place to remove a file from: its root, and the folder that holds it meanwhile.

    `what` names it in errors. `identity` is that of the shown file (empty: it was absent), `sha256`
    is in the record.
    """

    what: str
    root: str
    hold: str
    identity: dict[str, int | str]
    sha256: str


class RemoveRequest(msgspec.Struct, frozen=True):
    """A file to remove from all places; `sync_lock` makes the Level 3 sync wait meanwhile."""

    records: str
    record: RemovalRecord
    places: tuple[RemovalPlace, ...]
    sync_lock: str


class RemoveAnswer(msgspec.Struct, frozen=True):
    """The present record of the removal."""

    record: RemovalRecord


INSPECT = Program(
    "opstasks.outputs.onhost.inspect", RemovalInspectRequest, InspectAnswer, timeout_s=TIMEOUT_S
)
REMOVE = Program(
    "opstasks.outputs.onhost.remove",
    RemoveRequest,
    RemoveAnswer,
    timeout_s=TIMEOUT_S,
    changes=True,
)


@dataclass(frozen=True)
class RemovalResult:
    """The removed files; those in `gone` were removed by somebody else since they were shown."""

    changed: bool
    records: tuple[RemovalRecord, ...]
    gone: tuple[RemovalRecord, ...] = ()
    now: HostState = field(default_factory=HostState)


def preview(host: Host, workspace: str, files: Sequence[str]) -> RemovalPlan:
    """Inspect files and decide what to remove.

    Raises Refused for an absent file, and for anything that is not a file.
    """
    workspace = names.workspace(workspace)
    paths = [names.file(file, workspace, host.spec.medium_privacy) for file in files]
    facts = inspect(host, workspace, tuple(dict.fromkeys(paths)))
    try:
        return make_plan(workspace, facts)
    except Refused as error:
        error.host = host.name
        error.hint = error.hint or f"inv -H {host.name} outputs.ls {one_word(workspace)}"
        raise


def inspect(host: Host, workspace: str, paths: tuple[str, ...]) -> RemovalFacts:
    """Read the facts of files and the records of earlier removals, in one round trip.

    Raises Refused when no record of a removal can be written.
    """
    request = inspect_request(host.spec, workspace, paths)
    results = host.service.gather(
        {
            "files": INSPECT.command(request),
            "records": RECORDS.command(records_request(host.spec, to_write=True)),
        }
    )
    found = checked(INSPECT.decode(results["files"], host.name), request, host.name)
    records = RECORDS.decode(results["records"], host.name).records
    return RemovalFacts(found.files, records, found.now_at, found.source_away)


def inspect_request(
    spec: HostSpec, workspace: str, files: tuple[str, ...]
) -> RemovalInspectRequest:
    """The request of `INSPECT` for a host."""
    return RemovalInspectRequest(spec.workspaces_dir, spec.level3_source, workspace, files)


def checked(answer: InspectAnswer, request: RemovalInspectRequest, host: str) -> InspectAnswer:
    """The checked answer; raises InvalidResponse when it is about other files."""
    if tuple(file.path for file in answer.files) != request.files:
        raise InvalidResponse(
            "invalid response from the host: other files than those asked for",
            host=host,
            command=INSPECT.name,
            hint=f"inv -H {host} doctor",
        )
    return answer


def apply(host: Host, plan: RemovalPlan, *, source: str, reason: str) -> RemovalResult:
    """Remove the shown files one by one, all under the same lock.

    `source` says what to do with the sync's source: "remove" or "keep". Raises ProgramFailed
    when a file changed since it was shown, VerifyFailed when it is back at once. An error after the
    first files also says what was removed, and what the partner must do.
    """
    if not plan.items:
        return RemovalResult(False, ())
    batch = secrets.token_hex(3)
    begun = [
        continued(item.record, item, source, is_away=plan.source_away)
        if item.record and item.is_interrupted
        else new_record(host.spec, plan, item, f"{batch}-{number}", source, reason)
        for number, item in enumerate(plan.items, 1)
    ]
    done: list[RemovalRecord] = []
    with change(host.service, "outputs.rm", _audited(begun)):
        try:
            for record, item in zip(begun, plan.items, strict=True):
                host.checkpoint(f"{len(done)} of {len(begun)} removed")
                host.step(f"remove {one_word(item.path)}", brief=f"removed {one_word(item.path)}")
                done.append(_remove(host, record, item))
                _verify(host, done)
        except OpsError as error:
            _add_removed(error, host, done, len(begun))
            raise
    ids = {record.id for record in begun}
    own = tuple(record for record in done if record.id in ids)
    others = tuple(record for record in done if record.id not in ids)
    return RemovalResult(bool(own), own, others, removed_state(host.spec, done))


def removed_state(spec: HostSpec, records: Sequence[RemovalRecord]) -> HostState:
    """The files that are gone, by their paths on the host; not those that are back."""
    gone = [record for record in records if not record.returned]
    return HostState(removed=tuple(f"{spec.workspaces_dir}/{r.workspace}/{r.file}" for r in gone))


def _add_removed(error: OpsError, host: Host, done: Sequence[RemovalRecord], total: int) -> None:
    """Add to an error what was removed before it, and the partner's steps for that.

    A file that is back was removed as well: the partner still has the copy.
    """
    error.now = error.now or removed_state(host.spec, done)
    if not done:
        return
    gone = sum(not record.returned for record in done)
    if gone and not isinstance(error, Interrupted):
        error.message = f"{gone} of {total} removed; {error.message}"
    error.hint = error.hint or "run the same command again: it goes on from there"
    error.tail = "\n".join(filter(None, [error.tail, *partner_steps(host.spec, done)]))


def new_record(
    spec: HostSpec, plan: RemovalPlan, item: RemovalItem, id: str, source: str, reason: str
) -> RemovalRecord:
    """The record of a removal that is about to begin."""
    assert item.here is not None
    fate: SourceFate = "removed" if source == "remove" else "kept"
    return RemovalRecord(
        id=id,
        workspace=plan.workspace,
        file=item.path,
        size_bytes=item.here.size_bytes,
        sha256=item.here.sha256,
        who=audit.who(),
        reason=reason,
        started_at=plan.checked_at,
        source=fate if item.source else "",
        source_sha256=item.source.sha256 if item.source and source == "remove" else "",
        partner_path=names.partner_path(spec.level4_folder, plan.workspace, item.path),
    )


def continued(
    record: RemovalRecord, item: RemovalItem, source: str, *, is_away: bool
) -> RemovalRecord:
    """The record of an interrupted removal that goes on; a copy at the source is decided anew.

    While the source is away, a copy there is kept, as nobody can say that it is gone. The hashes
    stay, because the host may hold these files. The host replaces them at the end.
    """
    if not item.source and not (is_away and record.source_sha256):
        return record
    if not item.source or source != "remove":
        return replace(record, source="kept", source_sha256="")
    return replace(
        record, source="removed", source_sha256=record.source_sha256 or item.source.sha256
    )


def _audited(records: Sequence[RemovalRecord]) -> dict[str, str]:
    """What the audit says about a removal; the records on the host have the details."""
    first = records[0]
    words = {
        "ids": " ".join(record.id for record in records),
        "workspace": first.workspace,
        "files": ", ".join(one_word(record.file) for record in records),
        "sha256": " ".join(record.sha256 for record in records),
        "source": first.source,
        "reason": first.reason,
    }
    return {name: text for name, text in words.items() if text}


def _remove(host: Host, record: RemovalRecord, item: RemovalItem) -> RemovalRecord:
    """Remove one file; its record as the host has it then."""
    shown = one_word(record.file)
    try:
        return host.service.call(REMOVE, remove_request(host.spec, record, item)).record
    except (Refused, ProgramFailed, CommandFailed) as error:
        error.message = f"{shown}: {error.message}"
        error.hint = _hint(error, host.name, record.workspace)
        raise


def _verify(host: Host, done: list[RemovalRecord]) -> None:
    """Check that the host does not have the last removed file; one that is back is marked so."""
    record = done[-1]
    shown = one_word(record.file)
    request = RemovalInspectRequest(host.spec.workspaces_dir, "", record.workspace, (record.file,))
    (after,) = checked(host.service.call(INSPECT, request), request, host.name).files
    if after.here.facts:
        done[-1] = replace(record, returned=True)
    if after.here.facts or after.here.error:
        raise VerifyFailed(
            f"{shown} is back"
            if after.here.facts
            else f"{shown} was removed; what is there now cannot be read: {after.here.error}",
            host=host.name,
            hint=f"the sync or a job writes it: inv -H {host.name} sync.status jobs.ls",
        )


def _hint(error: OpsError, host: str, workspace: str) -> str:
    """What to type after a removal that failed; a full disk has its own hint."""
    if isinstance(error, ProgramFailed) and error.cause == UNFINISHED:
        return f"inv -H {host} outputs.pending"
    if isinstance(error, ProgramFailed) and not error.cause:
        return f"inv -H {host} outputs.ls {one_word(workspace)}"
    return error.hint or f"inv -H {host} doctor"


def remove_request(spec: HostSpec, record: RemovalRecord, item: RemovalItem) -> RemoveRequest:
    """The request of `REMOVE`: first the sync's source, from which it would return, then here."""
    places = [
        RemovalPlace(
            what="",
            root=spec.workspaces_dir,
            hold=f"{spec.medium_privacy}/{units.HOLD}",
            identity=_identity(item.here, IDENTITY),
            sha256=record.sha256,
        )
    ]
    if record.source_sha256:
        there = RemovalPlace(
            what=SOURCE_COPY,
            root=spec.level3_source,
            hold=f"{spec.level3_source}/{units.HOLD}",
            identity=_identity(item.source, STABLE_IDENTITY),
            sha256=record.source_sha256,
        )
        places.insert(0, there)
    sync_lock = units.lock_path(spec) if spec.level3_source else ""
    return RemoveRequest(folder(spec), record, tuple(places), sync_lock)


def _identity(facts: OutputFacts | None, fields: Sequence[str]) -> dict[str, int | str]:
    return {field: getattr(facts, field) for field in fields} if facts else {}
