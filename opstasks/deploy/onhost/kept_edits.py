"""Runs on the host: keep what a forced checkout would throw away, as a patch.

People edit files while a release is in progress. Content that is neither in the commit that comes
nor in the one that goes is theirs. Only where a git was interrupted, the beginning of a file may be
what git did not finish. Without any edit, nothing is written to a disk: it may be full.
"""

import os
import re
import subprocess
import tempfile
from pathlib import Path

from opstasks.deploy.onhost.checkout import git, names_of, read
from opstasks.deploy.onhost.record import CHECKOUTS, ReleaseSpec
from opstasks.onhost.formats import plural
from opstasks.onhost.run_ids import RUN_ID

REASON = "cannot keep the hand edits of"
# An index of our own is made here if it can be: in memory.
MEMORY = "/dev/shm"  # noqa: S108 (for files of one account)
# How git begins the changes of a file.
_HEADER = b"diff --git "
# A patch that was not written completely; files with other names are a person's.
_PARTIAL = re.compile(rf"\.?{RUN_ID}-(?:{'|'.join(CHECKOUTS)})(?:-[0-9]+)?(?:-staged)?\.patch\.new")


def patch_path(spec: ReleaseSpec, name: str) -> Path:
    """Where the edits in a checkout are kept; the second time there is a number before ".patch"."""
    return kept_folder(spec) / f"{spec['id']}-{name}.patch"


def kept_folder(spec: ReleaseSpec) -> Path:
    """Where the edits of all releases are kept."""
    return Path(spec["state_dir"], "kept")


def kept_texts(spec: ReleaseSpec) -> list[str]:
    """What this release has kept of hand edits, in all its steps: a text for each patch.

    The files tell it: a step may be killed, or its record lost, after it has made a patch.
    """
    return [
        f"{_count(patch)} by hand in {spec[name]}: kept in {patch}"
        for name in CHECKOUTS
        for patch in _patches(patch_path(spec, name))
    ]


def _patches(first: Path) -> list[Path]:
    """The patches of a checkout in this release, in the order of their numbers."""
    of_release = re.compile(rf"{re.escape(first.stem)}(?:-([0-9]{{1,9}}))?\.patch")
    try:
        found = [(of_release.fullmatch(path.name), path) for path in first.parent.iterdir()]
    except OSError:  # there is none, or a disk is broken: the release must be able to end
        return []
    return [path for _, path in sorted((int(name[1] or 1), path) for name, path in found if name)]


def _count(patch: Path) -> str:
    """How many files are in a patch: ``2 files changed``; without a number if it is unreadable."""
    try:
        with patch.open("rb") as lines:
            files = sum(line.startswith(_HEADER) for line in lines)
    except OSError:
        return "changed"
    return f"{plural(files, 'file')} changed"


def clear_partial(spec: ReleaseSpec) -> None:
    """Remove what a process that was killed left of a patch. Raises OSError."""
    for path in kept_folder(spec).glob("*.patch.new"):
        if _PARTIAL.fullmatch(path.name):
            path.unlink(missing_ok=True)


def keep(path: str, commit: str, other: str, patch: Path, *, interrupted: bool) -> list[str]:
    """Save what a checkout of `commit` would discard; returns the names of the files.

    `other` is the commit at the other end of the move; `interrupted`: a git may have ended in the
    middle of it. The patch is against the present commit, and one with the name
    ``...-staged.patch`` has staged content that differs. Raises HostFailure and OSError.
    """
    lost = thrown_away(path, commit, other)
    if interrupted:
        unfinished = parts(path, lost, commit, other)
        lost = [name for name in lost if name not in unfinished]
    if lost:
        patch.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        with OwnIndex(path, "HEAD") as index:
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


def thrown_away(path: str, commit: str, other: str) -> list[str]:
    """The files that a forced checkout of `commit` would change although nobody committed them."""
    coming, untracked = names_of(path, "ls-tree", "-r", "--name-only", commit), others(path)
    in_the_way = untracked & (coming | folders_of(coming)) | inside(untracked, coming)
    if not in_the_way and not read(path, "status", "--porcelain", "--untracked-files=no"):
        return []
    going = names_of(path, "ls-tree", "-r", "--name-only", other)
    known = same(path, commit) | same(path, other)
    # Going back removes what only the other commit has.
    touched = names_of(path, "ls-files") | in_the_way | (untracked & going)
    return [name for name in sorted(touched - known) if is_there(path, name)]


def others(path: str) -> set[str]:
    """The untracked files, also those that git ignores."""
    return names_of(path, "ls-files", "--others")


def folders_of(names: set[str]) -> set[str]:
    """The folders that files are in."""
    return {str(parent) for name in names for parent in Path(name).parents} - {"."}


def inside(names: set[str], files: set[str]) -> set[str]:
    """The names that are in a folder where a commit has a file."""
    return {name for name in names if folders_of({name}) & files}


def same(path: str, commit: str) -> set[str]:
    """The files of a commit that are in the work tree with this content."""
    with OwnIndex(path, commit) as index:
        names = names_of(path, "ls-files", env=index.env)
        return names - names_of(path, "diff", "--name-only", "--no-ext-diff", env=index.env)


def is_there(path: str, name: str) -> bool:
    """Whether a file exists, not through a link in its path."""
    top, place = Path(path).resolve(), Path(name)
    is_straight = (top / place).parent.resolve() == top / place.parent
    return is_straight and os.path.lexists(top / place)


def parts(path: str, names: list[str], commit: str, other: str) -> set[str]:
    """The files that an interrupted move between two commits may have left unfinished."""
    if not names:
        return set()
    # Git writes no other files.
    differ = names_of(path, "diff-tree", "-r", "--no-renames", "--name-only", commit, other)
    return {name for name in names if name in differ and is_part(path, name, commit, other)}


def is_part(path: str, name: str, *commits: str) -> bool:
    """Whether a file is the beginning of a commit's: git was killed, or the disk was full."""
    place = Path(path, name)
    if place.is_symlink() or not place.is_file() or not os.access(place, os.R_OK):
        return False
    found = place.read_bytes()
    for commit in commits:
        words = git(path, "cat-file", "blob", f"{commit}:{name}")
        quiet, pipe = subprocess.DEVNULL, subprocess.PIPE
        done = subprocess.run(
            words, stdin=quiet, stdout=pipe, stderr=quiet, close_fds=False, check=False
        )
        if done.returncode == 0 and done.stdout.startswith(found):
            return True
    return False


class OwnIndex:
    """An index of our own with a commit's files: the checkout's stays as it is."""

    def __init__(self, path: str, commit: str) -> None:
        folder = MEMORY if os.access(MEMORY, os.W_OK) else None
        self._folder = tempfile.TemporaryDirectory(dir=folder, prefix="opstasks-index-")
        self.env = {**os.environ, "GIT_INDEX_FILE": str(Path(self._folder.name, "index"))}
        read(path, "read-tree", commit, reason=REASON, env=self.env)

    def __enter__(self) -> "OwnIndex":
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()
