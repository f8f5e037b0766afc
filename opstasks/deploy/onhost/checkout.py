"""Runs on the host: read a git checkout, and move it to another commit.

Automatic maintenance is off: it would run in the background and keep the host's lock.
Optional locks are off: reading a checkout must not block others from changing it.
"""

import contextlib
from pathlib import Path

from opstasks.onhost.commands import required
from opstasks.onhost.protocol import HostFailure


def git(path: str, *words: str) -> tuple[str, ...]:
    """The words of a git command in a checkout."""
    settings = ("gc.auto=0", "maintenance.auto=false", "core.quotePath=false")
    options = [word for setting in settings for word in ("-c", setting)]
    return ("git", "--no-optional-locks", *options, "-C", path, *words)


def read(path: str, *words: str) -> str:
    """What a git command prints. Raises HostFailure when it fails."""
    return required("cannot read the checkout", *git(path, *words))


def head(path: str) -> str:
    """The commit that is checked out. Raises HostFailure."""
    return read(path, "rev-parse", "--verify", "HEAD")


def changed_files(path: str) -> str:
    """Files that differ from the commit, including untracked ones. Raises HostFailure."""
    return read(path, "status", "--porcelain")


def move(path: str, commit: str) -> None:
    """Check out a commit; also finishes an interrupted checkout. Raises HostFailure."""
    git_dir = Path(read(path, "rev-parse", "--absolute-git-dir"))
    # Only our own git can have left the lock file: we have the host's lock.
    (git_dir / "index.lock").unlink(missing_ok=True)
    if head(path) == commit and not changed_files(path):
        return
    words = ("checkout", "--quiet", "--force", "--detach", commit)
    required(f"cannot check out {commit[:10]} in {path}", *git(path, *words))


def move_back(path: str, commit: str, left: str) -> None:
    """Check out `commit` again, and remove files that an interrupted checkout of `left` added."""
    move(path, commit)
    # A remaining file is harmless until the next deploy, which names it. The service is urgent.
    with contextlib.suppress(HostFailure, OSError):
        for name in brought(path, commit, left):
            Path(path, name).unlink()
            remove_empty(Path(path), Path(name).parent)


def brought(path: str, commit: str, left: str) -> list[str]:
    """Untracked files that only the commit `left` has: the tree was clean before its checkout.

    Files that git ignores may be older, so they are not included.
    """
    added = ("diff-tree", "-r", "-z", "--no-renames", "--name-only", "--diff-filter=A")
    untracked = ("ls-files", "-z", "--others", "--exclude-standard")
    only_there, unknown = (
        set(read(path, *words).split("\0")) for words in ((*added, commit, left), untracked)
    )
    return sorted((only_there & unknown) - {""})


def remove_empty(top: Path, folder: Path) -> None:
    """Remove an empty folder and its empty parents, up to `top`."""
    with contextlib.suppress(OSError):
        for inner in (folder, *folder.parents)[:-1]:
            (top / inner).rmdir()
