"""Runs on the host: a git checkout, read and moved to another commit.

Automatic garbage collection is off: it would go on in the background and keep the host's lock.
Optional locks are off: reading a checkout must not keep others from changing it.
"""

import contextlib
from pathlib import Path

from opstasks.onhost.commands import required
from opstasks.onhost.protocol import HostFailure


def git(path: str, *words: str) -> tuple[str, ...]:
    """The words of a git command in a checkout."""
    options = ("--no-optional-locks", "-c", "gc.auto=0", "-c", "core.quotePath=false")
    return ("git", *options, "-C", path, *words)


def read(path: str, *words: str) -> str:
    """What a git command prints. Raises HostFailure when it fails."""
    return required("cannot read the checkout", *git(path, *words))


def head(path: str) -> str:
    """The commit that is checked out. Raises HostFailure."""
    return read(path, "rev-parse", "--verify", "HEAD")


def changed_files(path: str) -> str:
    """What differs from the commit, untracked files included. Raises HostFailure."""
    return read(path, "status", "--porcelain")


def move(path: str, commit: str) -> None:
    """Check a commit out; finishes a checkout that was interrupted. Raises HostFailure."""
    git_dir = Path(read(path, "rev-parse", "--absolute-git-dir"))
    # Only a git of ours can have left it: the host's lock is held, the tree was clean before.
    (git_dir / "index.lock").unlink(missing_ok=True)
    if head(path) == commit and not changed_files(path):
        return
    words = ("checkout", "--quiet", "--force", "--detach", commit)
    required(f"cannot check out {commit[:10]} in {path}", *git(path, *words))


def move_back(path: str, commit: str, left: str) -> None:
    """Check a commit out again, and remove files that an interrupted checkout of `left` added."""
    move(path, commit)
    # A file that stays does no harm until the next deploy, which names it: the service comes first.
    with contextlib.suppress(HostFailure, OSError):
        for name in brought(path, commit, left):
            Path(path, name).unlink()
            remove_empty(Path(path), Path(name).parent)


def brought(path: str, commit: str, left: str) -> list[str]:
    """Untracked files that only the commit `left` has: the tree was clean before its checkout.

    What git ignores may have been there before, and is left alone.
    """
    added = ("diff-tree", "-r", "-z", "--no-renames", "--name-only", "--diff-filter=A")
    untracked = ("ls-files", "-z", "--others", "--exclude-standard")
    only_there, unknown = (
        set(read(path, *words).split("\0")) for words in ((*added, commit, left), untracked)
    )
    return sorted((only_there & unknown) - {""})


def remove_empty(top: Path, folder: Path) -> None:
    """Remove a folder and those above it, up to the first that holds something."""
    with contextlib.suppress(OSError):
        for inner in (folder, *folder.parents)[:-1]:
            (top / inner).rmdir()
