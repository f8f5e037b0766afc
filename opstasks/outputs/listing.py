"""`outputs.ls`: the files of a workspace, and the workspaces."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from opstasks.core.errors import Refused
from opstasks.core.fields import Count, Line, Moment
from opstasks.core.formats import first_names
from opstasks.core.hints import one_word
from opstasks.fleet.host import Host
from opstasks.fleet.program import Program
from opstasks.outputs import names
from opstasks.outputs.onhost.walk import MISSING

# A large tree on a slow drive takes long.
TIMEOUT_S = 3600.0
MAX_BYTES = 32 << 20
# Of the existing workspaces, an error names so many: first those with a similar name.
NAMED, NEAR = 6, 3


@dataclass(frozen=True)
class OutputFile:
    """A file of a workspace; its age is by the host's clock."""

    path: str
    kind: str
    size_bytes: int
    owner: str
    modified_at: float
    age_s: float


@dataclass(frozen=True)
class OutputWorkspace:
    """A workspace: the number of its files, their size, and the time and age of the newest one.

    `entries` are the files themselves, None if they were not asked for; `error` says why the
    workspace could not be read. `unreadable`: these are not counted, with all that is in them.
    """

    name: str
    files: int
    size_bytes: int
    newest_at: float
    newest_age_s: float | None
    error: str | None = None
    entries: tuple[OutputFile, ...] | None = None
    unreadable: tuple[UnreadablePath, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether everything in the workspace could be read."""
        return self.error is None and not self.unreadable


class UnreadablePath(msgspec.Struct, frozen=True):
    """A folder or a file in a workspace that cannot be read, and why."""

    path: Line
    error: Line


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
    """The files by path; `now_at` is the host's clock.

    `workspaces`: there is no such workspace, but these. `error`: it cannot be read.
    """

    files: tuple[ListedFile, ...]
    now_at: Moment
    workspaces: tuple[Line, ...] | None = None
    error: Line = ""
    unreadable: tuple[UnreadablePath, ...] = ()


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
    unreadable: tuple[UnreadablePath, ...] = ()


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


def listings(host: Host, workspaces: Sequence[str]) -> list[OutputWorkspace]:
    """Each workspace with its files; without names, all workspaces without their files."""
    if not workspaces:
        return list_workspaces(host)
    return [list_files(host, name) for name in dict.fromkeys(workspaces)]


def list_files(host: Host, workspace: str) -> OutputWorkspace:
    """A workspace with its files; raises Refused, with the names of others, for an unknown one."""
    request = FilesRequest(host.spec.workspaces_dir, names.workspace(workspace))
    with _explained(host):
        answer = host.service.call(FILES, request)
    if answer.workspaces is not None:
        raise unknown(request.workspace, answer.workspaces, host.name)
    entries = tuple(
        OutputFile(
            path=file.path,
            kind=file.kind,
            size_bytes=file.size_bytes,
            owner=file.owner,
            modified_at=file.modified_at,
            age_s=max(0.0, answer.now_at - file.modified_at),
        )
        for file in answer.files
    )
    return OutputWorkspace(
        name=request.workspace,
        files=len(entries),
        size_bytes=sum(file.size_bytes for file in entries),
        newest_at=max((file.modified_at for file in entries), default=0.0),
        newest_age_s=min((file.age_s for file in entries), default=None),
        error=answer.error or None,
        entries=None if answer.error else entries,
        unreadable=answer.unreadable,
    )


def unknown(workspace: str, known: Sequence[str], host: str) -> Refused:
    """The error for a workspace that does not exist: which ones do."""
    near = difflib.get_close_matches(workspace, known, NEAR)
    others = [*near, *(name for name in known if name not in near)]
    there = f"there are {first_names([one_word(name) for name in others], NAMED)}"
    return Refused(
        f"no workspace {one_word(workspace)}: {there if others else 'there is none'}",
        host=host,
        hint=f"inv -H {host} outputs.ls",
    )


def list_workspaces(host: Host) -> list[OutputWorkspace]:
    """The workspaces of a host."""
    with _explained(host):
        answer = host.service.call(WORKSPACES, WorkspacesRequest(host.spec.workspaces_dir))
    return [
        OutputWorkspace(
            name=found.name,
            files=found.files,
            size_bytes=found.size_bytes,
            newest_at=found.newest_at,
            newest_age_s=max(0.0, answer.now_at - found.newest_at) if found.files else None,
            error=found.error or None,
            unreadable=found.unreadable,
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
