"""Listing and removing, for one host."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from opstasks.core.errors import CommandFailed, Refused, VerifyFailed
from opstasks.fleet import audit
from opstasks.fleet.change import change
from opstasks.fleet.host import Host
from opstasks.fleet.inventory import HostSpec
from opstasks.outputs import names
from opstasks.outputs.records import Record, answer, call, find, parse, read, read_command
from opstasks.sync import units

# Hashing a large file over a slow disk takes its time.
LOOK_TIMEOUT_S = 3600.0
# What tells a file on a network drive from another one.
STABLE = ("size", "mtime_ns", "sha256")
SOURCE_CHOICES = ("remove", "keep")


@dataclass(frozen=True)
class Entry:
    """A file of a workspace, or a workspace; times are seconds since the epoch."""

    path: str
    kind: str
    size: int
    owner: str = ""
    files: int = 0
    age_s: float = 0.0


@dataclass(frozen=True)
class Item:
    """A file that is to go: its facts in the workspace and at the sync's source."""

    path: str
    here: dict[str, Any]
    source: dict[str, Any]
    record: Record | None = None

    @property
    def cut_off(self) -> bool:
        """Whether its removal was begun and not finished."""
        return self.record is not None and self.record.state == "removing"


@dataclass(frozen=True)
class Plan:
    """What a removal is about; `gone` were removed before."""

    workspace: str
    items: tuple[Item, ...]
    gone: tuple[Record, ...]
    now: float
    source_away: bool = False

    @property
    def at_source(self) -> tuple[Item, ...]:
        """What the Level 3 sync would bring back."""
        return tuple(item for item in self.items if item.source)


@dataclass(frozen=True)
class Outcome:
    """What was removed."""

    changed: bool
    records: tuple[Record, ...]


# -- looking ---------------------------------------------------------------------------------


def listings(host: Host, workspaces: Sequence[str]) -> dict[str, list[Entry]]:
    """The files of each workspace; the workspaces under the name "" when none is named."""
    return {name: listing(host, name) for name in workspaces or [""]}


def listing(host: Host, workspace: str = "") -> list[Entry]:
    """The files of a workspace, or the workspaces."""
    command = call(host.spec, "list", workspace=names.workspace(workspace) if workspace else "")
    found = answer(host, command.within(LOOK_TIMEOUT_S), hint=f"inv -H {host.name} outputs.ls")
    now = found["now"]
    if not workspace:
        return [_workspace(entry, now) for entry in found["workspaces"]]
    return [
        Entry(e["path"], e["kind"], e["size"], e["owner"], age_s=max(0.0, now - e["mtime"]))
        for e in found["files"]
    ]


def _workspace(entry: dict[str, Any], now: float) -> Entry:
    if "error" in entry:
        return Entry(entry["name"], f"unreadable: {entry['error']}", 0)
    age_s = max(0.0, now - entry["newest"]) if entry["files"] else 0.0
    return Entry(entry["name"], "workspace", entry["size"], files=entry["files"], age_s=age_s)


def check(host: Host, workspace: str, files: Sequence[str]) -> Plan:
    """Look at what is to go; raises Refused for a file that is none, or is not there."""
    workspace = names.workspace(workspace)
    paths = [names.file(file, workspace, host.spec.medium_privacy) for file in files]
    paths = list(dict.fromkeys(paths))
    look = call(host.spec, "look", workspace=workspace, files=paths).within(LOOK_TIMEOUT_S)
    found = answer(host, look)
    before = [r for r in parse(answer(host, read_command(host.spec))) if r.workspace == workspace]
    items, gone = [], []
    for path in paths:
        item = _item(path, found["files"][path], before)
        _check_item(host.name, workspace, item)
        if item.here or item.cut_off:
            items.append(item)
        elif item.record:
            gone.append(item.record)
    return Plan(workspace, tuple(items), tuple(gone), found["now"], found["source_away"])


def _item(path: str, found: dict[str, Any], before: Sequence[Record]) -> Item:
    known = (r for r in before if r.file == path and r.state in ("removing", "removed"))
    return Item(path, found["here"], found["source"], next(known, None))


def _check_item(host: str, workspace: str, item: Item) -> None:
    shown = names.typed(item.path)
    for facts, where in ((item.here, "in the workspace"), (item.source, "at the sync's source")):
        if "error" in facts:
            raise Refused(
                f"{shown} {where}: {facts['error']}",
                host=host,
                hint="look at it by hand; nothing was removed",
            )
    if not item.here and item.record is None:
        raise Refused(
            f"there is no file {shown} in {names.typed(workspace)}",
            host=host,
            hint=f"inv -H {host} outputs.ls {names.typed(workspace)}",
        )


# -- removing --------------------------------------------------------------------------------


def remove(host: Host, plan: Plan, *, source: str, reason: str) -> Outcome:
    """Remove what was shown, file by file, each with its own line in the audit.

    `source` says what becomes of the sync's source: "remove" or "keep". Raises CommandFailed
    when a file is not as it was shown any more, VerifyFailed when it is there again.
    """
    batch = secrets.token_hex(3)
    done = []
    for number, item in enumerate(plan.items, 1):
        host.checkpoint(f"{number - 1} of {len(plan.items)} removed")
        record = item.record if item.cut_off else None
        record = record or _record(host.spec, plan, item, f"{batch}-{number}", source, reason)
        host.step(f"remove {names.typed(item.path)}")
        with change(host.service, "outputs.rm", _audited(record)):
            _remove(host, record, item)
        done.append(record.id)
    return Outcome(bool(done), tuple(find(read(host), done)) if done else ())


def _record(spec: HostSpec, plan: Plan, item: Item, id: str, source: str, reason: str) -> Record:
    folder = spec.level4_folder
    return Record(
        id=id,
        workspace=plan.workspace,
        file=item.path,
        size=item.here["size"],
        sha256=item.here["sha256"],
        who=audit.who(),
        reason=reason,
        time=plan.now,
        source=("removed" if source == "remove" else "kept") if item.source else "",
        source_sha256=item.source.get("sha256", "") if source == "remove" else "",
        manual=names.manual_path(folder, plan.workspace, item.path) if folder else "",
    )


def _audited(record: Record) -> dict[str, str]:
    words = ("id", "workspace", "file", "size", "sha256", "source", "reason")
    return {word: str(getattr(record, word)) for word in words if getattr(record, word)}


def _remove(host: Host, record: Record, item: Item) -> None:
    spec = host.spec
    places = [
        {
            "root": f"{spec.medium_privacy}/workspaces",
            "hold": f"{spec.medium_privacy}/{units.HOLD}",
            "facts": item.here,
            "sha256": record.sha256,
        }
    ]
    if record.source_sha256:
        # First where it would come back from.
        there = {"root": spec.level3_source, "hold": f"{spec.level3_source}/{units.HOLD}"}
        facts = {key: item.source[key] for key in STABLE if key in item.source}
        places.insert(0, {**there, "facts": facts, "sha256": record.source_sha256})
    values = {k: v for k, v in asdict(record).items() if k not in ("attested", "returned")}
    asked = {
        "record": values,
        "places": places,
        "held": record.id,
        "sync_lock": units.lock_path(spec) if spec.level3_source else "",
    }
    try:
        answer(host, call(spec, "remove", **asked).changing().within(LOOK_TIMEOUT_S))
    except CommandFailed as error:
        error.message = f"{names.typed(record.file)}: {error.message}"
        error.hint = "look at it with `outputs.ls`; run it again to see where it stands"
        raise
    look = call(spec, "look", workspace=record.workspace, files=[record.file])
    if answer(host, look.within(LOOK_TIMEOUT_S))["files"][record.file]["here"]:
        raise VerifyFailed(
            f"{names.typed(record.file)} is there again",
            host=host.name,
            hint="something writes it: the sync, or a job; see `sync.status` and `jobs.ls`",
        )


# -- for people ------------------------------------------------------------------------------


def steps(spec: HostSpec, records: Sequence[Record]) -> list[str]:
    """What the partner's copy still needs from a person."""
    paths = [record.manual for record in records if record.manual and not record.attested]
    if not paths:
        return []
    ids = " ".join(dict.fromkeys(r.id.rpartition("-")[0] for r in records if r.manual))
    return [
        "The partner's copy does not follow. On the Level 4 server, delete for good (Shift+Del):",
        *(f"  {names.typed(path) if not path.isprintable() else path}" for path in paths),
        f"then: inv -H {spec.name} outputs.attest {ids}",
    ]
