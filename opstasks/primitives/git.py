"""git: builders and parsers for a checkout on a host.

Each builder takes the checkout's path first. Automatic garbage collection is off: it would go
on in the background, holding the host's lock. So are locks that git can do without: a look would
keep others out of the index, and the host's lock is not held for a look.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from opstasks.core.command import Argument, Command, Raw, cmd, quote
from opstasks.core.errors import Refused

FETCH_TIMEOUT_S = 180.0
_REF = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+-]*")


@dataclass(frozen=True)
class Commit:
    """One commit as a preview shows it."""

    sha: str
    author: str
    subject: str


@dataclass(frozen=True)
class Dirt:
    """Paths that differ from the commit, by how: what `reset --hard` would throw away."""

    staged: tuple[str, ...] = ()
    unstaged: tuple[str, ...] = ()
    untracked: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.staged or self.unstaged or self.untracked)

    @property
    def edited(self) -> list[str]:
        """Tracked files that differ, staged or not."""
        return sorted({*self.staged, *self.unstaged})

    def describe(self) -> str:
        """For people: ``1 staged (a.py), 2 untracked (b.py, c.py)``."""
        kinds = {"staged": self.staged, "unstaged": self.unstaged, "untracked": self.untracked}
        return ", ".join(
            f"{len(paths)} {kind} ({', '.join(paths[:3])}{', ...' if len(paths) > 3 else ''})"
            for kind, paths in kinds.items()
            if paths
        )


def valid_ref(ref: str) -> str:
    """A branch, tag or commit name that is safe on a command line; raises Refused."""
    if not _REF.fullmatch(ref) or ".." in ref or "//" in ref or ref.endswith((".lock", "/", ".")):
        raise Refused(f"{ref!r} cannot be a branch, a tag or a commit")
    return ref


def git(path: Argument, *args: Argument) -> Command:
    """Any git command in a checkout."""
    options = ("--no-optional-locks", "-c", "gc.auto=0", "-c", "core.quotePath=false")
    return cmd("git", *options, "-C", path, *args)


def fetch(path: Argument) -> Command:
    """Bring branches and tags; a tag that moved upstream moves here too."""
    return git(path, "fetch", "--quiet", "--prune", "--tags", "--force", "origin").within(
        FETCH_TIMEOUT_S
    )


def target_ref(token: str) -> str:
    """Where the commit that a run is about is kept while it looks.

    It can be named in commands that are sent together with the one that finds it.
    """
    return f"refs/opstasks/{token}"


def forget(path: Argument, target: str) -> Command:
    """Drop a ref that `find_target` made."""
    return git(path, "update-ref", "-d", target)


def find_target(path: Argument, ref: str, target: str) -> Command:
    """Print the commit of a branch on origin, a tag or a commit, and keep it as `target`."""
    tries = (f"refs/remotes/origin/{valid_ref(ref)}", f"refs/tags/{ref}", ref)
    parse = " || ".join(
        git(path, "rev-parse", "--verify", "--quiet", "--end-of-options", name + "^{commit}").line()
        for name in tries
    )
    keep = git(path, "update-ref", target, Raw('"$sha"')).line()
    return cmd(Raw(f'sha=$({parse}) && {keep} && printf "%s\\n" "$sha"'))


def head(path: Argument) -> Command:
    """Print the commit that is checked out."""
    return git(path, "rev-parse", "--verify", "HEAD")


def describe(path: Argument, commit: str = "HEAD") -> Command:
    """Print a commit's name: the nearest tag, or its short hash."""
    return git(path, "describe", "--tags", "--always", commit)


def log(path: Argument, span: str, limit: int = 200) -> Command:
    """List the commits of a span, newest first; read with `parse_log`."""
    return git(path, "log", f"--max-count={limit}", "--format=%h%x09%an%x09%s", span, "--")


def status(path: Argument) -> Command:
    """List what differs from the commit; read with `parse_status`."""
    return git(path, "status", "--porcelain=v1", "--untracked-files=all")


def export(path: Argument, commit: str, target: Argument) -> Command:
    """Unpack a commit's files into an empty folder, with no trace in the checkout."""
    folder = quote(target)
    unpack = f"{git(path, 'archive', commit).line()} | tar -x -C {folder}"
    return cmd(Raw(f"set -o pipefail; rm -rf {folder} && mkdir -p {folder} && {unpack}"))


def parse_log(text: str) -> tuple[Commit, ...]:
    """The commits that `log` printed."""
    parts = (line.split("\t", 2) for line in text.splitlines() if line.count("\t") >= 2)
    return tuple(Commit(*part) for part in parts)


def parse_status(text: str) -> Dirt:
    """What `status` printed, staged, unstaged and untracked told apart."""
    staged, unstaged, untracked = [], [], []
    for line in text.splitlines():
        index, tree, path = line[:1], line[1:2], line[3:]
        if index == "?":
            untracked.append(path)
            continue
        if index not in " ":
            staged.append(path)
        if tree not in " ":
            unstaged.append(path)
    return Dirt(tuple(staged), tuple(unstaged), tuple(untracked))
