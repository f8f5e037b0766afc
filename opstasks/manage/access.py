"""Changing the login files; the host restores them unless a fresh connection succeeds."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from opstasks.core.errors import OpsError, VerifyFailed
from opstasks.core.fields import Count
from opstasks.fleet.host import Host
from opstasks.fleet.program import Program, script_text
from opstasks.manage.actions import AnyAction
from opstasks.manage.inspect import access_dir

# How long the host waits for a confirmation before it restores the old files.
PATIENCE_S = 90
TRIES = 3


class InstallRequest(msgspec.Struct, frozen=True):
    """Actions, the folder for the old files, and the script that the timer runs to restore them."""

    folder: str
    actions: tuple[AnyAction, ...]
    patience_s: int
    script: str


class InstallAnswer(msgspec.Struct, frozen=True):
    """How many actions were done: all of them, or the program has failed."""

    done: Count


class ConfirmRequest(msgspec.Struct, frozen=True):
    """The folder with the old files."""

    folder: str


class ConfirmAnswer(msgspec.Struct, frozen=True):
    """Whether the change was still in place; False if the old files were already restored."""

    was_in_place: bool


class RestoreRequest(msgspec.Struct, frozen=True):
    """The folder with the old files; `by_timer`: the host's own timer runs this."""

    folder: str
    by_timer: bool = False


class RestoreAnswer(msgspec.Struct, frozen=True):
    """Whether there was anything to restore."""

    restored: bool


INSTALL = Program(
    "opstasks.manage.onhost.install_access", InstallRequest, InstallAnswer, changes=True
)
CONFIRM = Program(
    "opstasks.manage.onhost.confirm_access", ConfirmRequest, ConfirmAnswer, changes=True
)
RESTORE = Program(
    "opstasks.manage.onhost.restore_access", RestoreRequest, RestoreAnswer, changes=True
)
ABOUT = "Restores the login files (sudo, sshd, keys) unless opstasks confirms its change."


def change_access(host: Host, actions: Sequence[AnyAction], *, prove: bool) -> None:
    """Install, test with a fresh connection, confirm.

    The present connection stays open. Without `prove`, a second connection is not required (but
    a bad file is still undone). Raises ProgramFailed or VerifyFailed after the old files
    were restored.
    """
    host.root.call(INSTALL, install_request(host, actions))
    problem = prove_access(host) if prove else ""
    if problem:
        restore(host, problem)
        raise VerifyFailed(f"the old files are in effect again: {problem}", host=host.name)
    if not host.root.call(CONFIRM, ConfirmRequest(access_dir(host.spec))).was_in_place:
        raise VerifyFailed("the old files were restored before the confirmation", host=host.name)


def restore(host: Host, problem: str) -> None:
    """Restore the old files now; an error also says why that was necessary."""
    try:
        host.root.call(RESTORE, RestoreRequest(access_dir(host.spec)))
    except OpsError as error:
        error.message = f"{problem}; {error.message}"
        raise


def install_request(host: Host, actions: Sequence[AnyAction]) -> InstallRequest:
    """The request: what to install, and the script that restores the old files without us."""
    folder = access_dir(host.spec)
    script = script_text(RESTORE.module, RestoreRequest(folder, by_timer=True), ABOUT)
    return InstallRequest(folder, tuple(actions), PATIENCE_S, script)


def prove_access(host: Host) -> str:
    """Connect once more and become root; returns the reason if that fails, or ""."""
    problem = ""
    for attempt in range(TRIES):
        try:
            host.prove("root")
        except OpsError as error:
            problem = f"a fresh connection failed: {error.message}"
            # sshd does not listen for a moment while it reloads.
            host.pause(0.5 * (attempt + 1))
            continue
        return ""
    return problem
