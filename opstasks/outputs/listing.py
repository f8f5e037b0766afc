"""`outputs.ls`: the files of a workspace, and the workspaces."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from opstasks.core.errors import Refused
from opstasks.core.fields import Count, Line, Moment
from opstasks.fleet.host import Host
from opstasks.fleet.inventory import HostSpec
from opstasks.fleet.program import Program
from opstasks.outputs import names
from opstasks.outputs.onhost.walk import MISSING

# A large tree on a slow drive takes long.
TIMEOUT_S = 3600.0
MAX_BYTES = 32 << 20


@dataclass(frozen=True)
class OutputEntry:
    """A file of a workspace, or a workspace (with its number of `files`); age in seconds."""

    path: str
    kind: str
    size_bytes: int
    owner: str = ""
    files: int = 0
    age_s: float = 0.0


class FilesRequest(msgspec.Struct, frozen=True):
    """A workspace below the root of all workspaces."""

    root: str
    workspace: str


class ListedFile(msgspec.Struct, frozen=True):
    """One file; `path` is inside the workspace."""

    path: Line
    kind: Literal["file", "link", "other"]
    size_bytes: Count
    owner: Line
    modified_at: Moment


class FilesAnswer(msgspec.Struct, frozen=True):
    """The files by path; `now_at` is the host's clock."""

    files: tuple[ListedFile, ...]
    now_at: Moment


class WorkspacesRequest(msgspec.Struct, frozen=True):
    """The root of all workspaces."""

    root: str


class ListedWorkspace(msgspec.Struct, frozen=True):
    """One workspace; `error` says why it could not be read."""

    name: Line
    files: Count = 0
    size_bytes: Count = 0
    newest_at: Moment = 0.0
    error: Line = ""


class WorkspacesAnswer(msgspec.Struct, frozen=True):
    """The workspaces by name; `now_at` is the host's clock."""

    workspaces: tuple[ListedWorkspace, ...]
    now_at: Moment


FILES = Program(
    "opstasks.outputs.onhost.files",
    FilesRequest,
    FilesAnswer,
    timeout_s=TIMEOUT_S,
    max_bytes=MAX_BYTES,
)
WORKSPACES = Program(
    "opstasks.outputs.onhost.workspaces",
    WorkspacesRequest,
    WorkspacesAnswer,
    timeout_s=TIMEOUT_S,
    max_bytes=MAX_BYTES,
)


def root(spec: HostSpec) -> str:
    """The folder of the medium-privacy workspaces."""
    return f"{spec.medium_privacy}/workspaces"


def listings(host: Host, workspaces: Sequence[str]) -> dict[str, list[OutputEntry]]:
    """The files of each workspace; without names, the workspaces themselves under ""."""
    if not workspaces:
        return {"": list_workspaces(host)}
    return {name: list_files(host, name) for name in workspaces}


def list_files(host: Host, workspace: str) -> list[OutputEntry]:
    """The files of a workspace; raises Refused for an unknown workspace."""
    request = FilesRequest(root(host.spec), names.workspace(workspace))
    with _explained(host):
        answer = host.service.call(FILES, request)
    return [
        OutputEntry(
            path=file.path,
            kind=file.kind,
            size_bytes=file.size_bytes,
            owner=file.owner,
            age_s=max(0.0, answer.now_at - file.modified_at),
        )
        for file in answer.files
    ]


def list_workspaces(host: Host) -> list[OutputEntry]:
    """The workspaces of a host, each with the age of its newest file."""
    with _explained(host):
        answer = host.service.call(WORKSPACES, WorkspacesRequest(root(host.spec)))
    return [
        OutputEntry(
            path=found.name,
            kind=f"unreadable: {found.error}" if found.error else "workspace",
            size_bytes=found.size_bytes,
            files=found.files,
            age_s=max(0.0, answer.now_at - found.newest_at) if found.files else 0.0,
        )
        for found in answer.workspaces
    ]


@contextlib.contextmanager
def _explained(host: Host) -> Iterator[None]:
    """Give a refusal by the host a hint; a refusal by the connection has its own."""
    try:
        yield
    except Refused as refusal:
        task = "manage" if refusal.message.endswith(MISSING) else "outputs.ls"
        refusal.hint = refusal.hint or f"inv -H {host.name} {task}"
        raise
