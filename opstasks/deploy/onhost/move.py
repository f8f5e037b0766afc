"""Runs on the host: move a checkout to another commit; what people changed there is kept."""

import contextlib
from pathlib import Path

from opstasks.deploy.onhost import git_locks
from opstasks.deploy.onhost.checkout import changed_files, changed_since, head, names_of, read
from opstasks.deploy.onhost.database import unused
from opstasks.deploy.onhost.kept_edits import keep, patch_path
from opstasks.deploy.onhost.record import CHECKOUTS, ReleaseSpec
from opstasks.onhost.protocol import HostFailure
from opstasks.onhost.release_records import Record


def refuse_changed(spec: ReleaseSpec, wait_s: float = git_locks.WAIT_S) -> None:
    """Raise HostFailure when people work in a checkout that a release has not moved yet."""
    for name in CHECKOUTS:
        git_locks.refuse(spec[name], wait_s)
        if found := changed_since(spec[name], spec["from_" + name]):
            raise HostFailure(found)


def move_all(spec: ReleaseSpec, record: Record, *, back: bool = False) -> None:
    """Move dependencies and code to the new commits, or back; edits by hand are kept as patches.

    It also finishes an interrupted move; `record` is the release's from before this step. Raises
    HostFailure and OSError.
    """
    for name in CHECKOUTS:
        ends = [spec[f"{end}_{name}"] for end in ("from", "to")]
        there, left = ends if back else reversed(ends)
        interrupted = may_be_interrupted(spec, record, name)
        move(spec[name], there, left, patch_path(spec, name), interrupted=interrupted)
        if back:
            remove_brought(spec[name], there, left)


def may_be_interrupted(spec: ReleaseSpec, record: Record, name: str) -> bool:
    """Whether an earlier move of a checkout may have ended in the middle. Raises HostFailure."""
    if record.get("rolling_back"):
        return True
    # Git names the commit last: then all its files are complete.
    return bool(record["step"] == "moving" and head(spec[name]) != spec[f"to_{name}"])


def move(path: str, commit: str, left: str, patch: Path, *, interrupted: bool = False) -> None:
    """Check out a commit, from `left`; files that were changed by hand are kept in `patch`.

    If that exists, the patch gets a number. Without any changed file, git itself refuses when one
    appears meanwhile. `interrupted`: an earlier move may have ended in the middle. Raises
    HostFailure and OSError; `opstasks.deploy.onhost.kept_edits` tells what was kept until then.
    """
    interrupted = git_locks.clear(path) or interrupted
    try:
        _move(path, commit, left, patch, interrupted)
    except HostFailure as error:
        if not changed_files(path):
            raise
        # Somebody has just changed a file: keep it, too, but not in the patch of what git has
        # overwritten before it failed. A cause (a full disk) stopped git inside.
        _move(path, commit, left, patch, interrupted or bool(error.cause))


def _move(path: str, commit: str, left: str, patch: Path, interrupted: bool) -> None:
    changed = changed_files(path)
    files = keep(path, commit, left, unused(patch), interrupted=interrupted)
    if head(path) == commit and not changed:
        return
    options = ("--quiet", "--detach", *(["--force"] if changed or files else []))
    read(path, "checkout", *options, commit, reason=f"cannot check out {commit[:10]} in")


def remove_brought(path: str, commit: str, left: str) -> None:
    """Remove files that an interrupted checkout of `left` added."""
    # A remaining file is harmless until the next deploy, which names it. The service is urgent.
    with contextlib.suppress(HostFailure, OSError):
        for name in brought(path, commit, left):
            Path(path, name).unlink()
            remove_empty(Path(path), Path(name).parent)


def brought(path: str, commit: str, left: str) -> list[str]:
    """Untracked files that only the commit `left` has: the tree was clean before its checkout.

    Files that git ignores may be older, so they are not included.
    """
    added = ("-r", "--no-renames", "--name-only", "--diff-filter=A", commit, left)
    untracked = names_of(path, "ls-files", "--others", "--exclude-standard")
    return sorted(names_of(path, "diff-tree", *added) & untracked)


def remove_empty(top: Path, folder: Path) -> None:
    """Remove an empty folder and its empty parents, up to `top`."""
    with contextlib.suppress(OSError):
        for inner in (folder, *folder.parents)[:-1]:
            (top / inner).rmdir()
