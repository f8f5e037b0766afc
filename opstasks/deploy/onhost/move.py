"""Runs on the host: move a checkout to another commit; what people changed there is kept."""

import contextlib
from pathlib import Path

from opstasks.deploy.onhost import git_locks
from opstasks.deploy.onhost.checkout import changed_files, changed_since, head, names_of, read
from opstasks.deploy.onhost.database import unused
from opstasks.deploy.onhost.kept_edits import keep
from opstasks.deploy.onhost.record import ReleaseSpec
from opstasks.onhost.formats import plural
from opstasks.onhost.protocol import HostFailure

CHECKOUTS = ("lib", "code")


def refuse_changed(spec: ReleaseSpec, wait_s: float = git_locks.WAIT_S) -> None:
    """Raise HostFailure when people work in a checkout that a release has not moved yet."""
    for name in CHECKOUTS:
        git_locks.refuse(spec[name], wait_s)
        if found := changed_since(spec[name], spec["from_" + name]):
            raise HostFailure(found)


def move_all(spec: ReleaseSpec, *, back: bool = False) -> str:
    """Move dependencies and code to the new commits, or back; says what was kept of hand edits.

    It also finishes an interrupted move. Raises HostFailure and OSError.
    """
    notes = []
    for name in CHECKOUTS:
        ends = [spec[f"{end}_{name}"] for end in ("from", "to")]
        there, left = ends if back else reversed(ends)
        patch = unused(Path(spec["state_dir"], "kept", f"{spec['id']}-{name}.patch"))
        if kept := move(spec[name], there, left, patch):
            files = plural(len(kept), "file")
            notes.append(f"{files} changed by hand in {spec[name]}: kept in {patch}")
        if back:
            remove_brought(spec[name], there, left)
    return "; ".join(notes)


def move(path: str, commit: str, left: str, patch: Path) -> list[str]:
    """Check out a commit, from `left`; returns the files that were changed by hand.

    These are kept in the patch. Without any, git itself refuses when one appears meanwhile. Raises
    HostFailure and OSError.
    """
    git_locks.clear(path)
    try:
        return _move(path, commit, left, patch)
    except HostFailure:
        if not changed_files(path):
            raise
        return _move(path, commit, left, patch)  # somebody has just changed a file: keep it, too


def _move(path: str, commit: str, left: str, patch: Path) -> list[str]:
    changed = changed_files(path)
    kept = keep(path, commit, left, patch)
    if head(path) == commit and not changed:
        return kept
    options = ("--quiet", "--detach", *(["--force"] if changed or kept else []))
    read(path, "checkout", *options, commit, reason=f"cannot check out {commit[:10]} in")
    return kept


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
