"""Runs on the host: keep what a forced checkout would throw away, as a patch.

People edit files while a release is in progress. Content that is neither in the commit that comes
nor in the one that goes is theirs (or one file that an interrupted checkout wrote in part).
"""

import os
import tempfile
from pathlib import Path

from opstasks.deploy.onhost.checkout import names_of, read

REASON = "cannot keep the hand edits of"


def keep(path: str, commit: str, other: str, patch: Path) -> list[str]:
    """Save what a checkout of `commit` would discard; returns the names of the files.

    `other` is the commit at the other end of the move. The patch is against the present commit, and
    one with the name ``...-staged.patch`` has staged content that differs. Raises HostFailure and
    OSError.
    """
    lost = thrown_away(path, commit, other, patch.parent)
    if lost:
        with OwnIndex(path, "HEAD", patch.parent) as index:
            names = "\0".join(lost)
            add = ("--literal-pathspecs", "add", "--force", "--pathspec-from-file=-")
            read(path, *add, "--pathspec-file-nul", reason=REASON, input=names, env=index.env)
            save(path, patch, index.env)
        staged = patch.with_name(f"{patch.stem}-staged{patch.suffix}")
        save(path, staged, None)
        if staged.read_bytes() in (b"", patch.read_bytes()):
            staged.unlink()
    return lost


def save(path: str, patch: Path, env: "dict[str, str] | None") -> None:
    """Write the difference between the present commit and an index into a new file."""
    options = ("--cached", "--binary", "--full-index", "--no-ext-diff", "--no-textconv")
    new = patch.with_name(f".{patch.name}.new")
    try:
        os.close(os.open(new, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600))
        read(path, "diff", *options, f"--output={new}", "HEAD", reason=REASON, env=env)
        new.replace(patch)
    finally:
        new.unlink(missing_ok=True)


def thrown_away(path: str, commit: str, other: str, folder: Path) -> list[str]:
    """The files that a forced checkout of `commit` would change although nobody committed them."""
    coming, untracked = names_of(path, "ls-tree", "-r", "--name-only", commit), others(path)
    in_the_way = {name for name in untracked if name in coming or blocks(name, coming)}
    if not in_the_way and not read(path, "status", "--porcelain", "--untracked-files=no"):
        return []
    folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    going = names_of(path, "ls-tree", "-r", "--name-only", other)
    as_coming, as_going = (same(path, end, folder) for end in (commit, other))
    tracked = names_of(path, "ls-files")
    # Going back removes what only the other commit has.
    touched = tracked | in_the_way | (untracked & going)
    return sorted(name for name in touched - as_coming - as_going if is_there(path, name))


def others(path: str) -> set[str]:
    """The untracked files, also those that git ignores."""
    return names_of(path, "ls-files", "--others")


def blocks(name: str, coming: set[str]) -> bool:
    """Whether an untracked file is where a commit has a folder, or in place of its file."""
    parents = [str(parent) for parent in Path(name).parents][:-1]
    return any(parent in coming for parent in parents) or any(
        other.startswith(f"{name}/") for other in coming
    )


def same(path: str, commit: str, folder: Path) -> set[str]:
    """The files of a commit that are in the work tree with this content."""
    with OwnIndex(path, commit, folder) as index:
        names = names_of(path, "ls-files", env=index.env)
        return names - names_of(path, "diff", "--name-only", "--no-ext-diff", env=index.env)


def is_there(path: str, name: str) -> bool:
    """Whether a file exists, not through a link in its path."""
    top, place = Path(path).resolve(), Path(name)
    is_straight = (top / place).parent.resolve() == top / place.parent
    return is_straight and os.path.lexists(top / place)


class OwnIndex:
    """An index of our own with a commit's files: the checkout's stays as it is."""

    def __init__(self, path: str, commit: str, folder: Path) -> None:
        self._folder = tempfile.TemporaryDirectory(dir=folder, prefix=".index-")
        self.env = {**os.environ, "GIT_INDEX_FILE": str(Path(self._folder.name, "index"))}
        read(path, "read-tree", commit, reason=REASON, env=self.env)

    def __enter__(self) -> "OwnIndex":
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()
