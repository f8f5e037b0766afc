"""Runs on the host: read a git checkout."""

import subprocess
from typing import Any

from opstasks.onhost import git_words
from opstasks.onhost.commands import call, failure, said
from opstasks.onhost.protocol import HostFailure, error_text

# More than any git command of a move takes.
TIMEOUT_S = 600
MOST_NAMES = 3


def git(path: str, *words: str) -> tuple[str, ...]:
    """The words of a git command in a checkout."""
    return git_words.git("-C", path, *words)


def read(path: str, *words: str, reason: str = "cannot read", **options: Any) -> str:
    """What a git command prints. Raises HostFailure, with the checkout and git's own words."""
    try:
        done = call(*git(path, *words), timeout=TIMEOUT_S, **options)
    except (OSError, subprocess.SubprocessError) as error:
        raise HostFailure(f"{reason} {path}: {error_text(error)}") from error
    if done.returncode:
        raise failure(f"{reason} {path}: {why(said(done))}", done)
    return done.stdout.rstrip("\n")


def why(lines: list[str]) -> str:
    """The line of git's words that names the cause; the rest is advice."""
    causes = [line for line in lines if line.startswith(("fatal: ", "error: "))]
    return (causes or lines or ["git ended without a word"])[0]


def head(path: str) -> str:
    """The commit that is checked out. Raises HostFailure."""
    return read(path, "rev-parse", "--verify", "HEAD")


def changed_files(path: str) -> str:
    """Files that differ from the commit, including untracked ones. Raises HostFailure."""
    return read(path, "status", "--porcelain")


def names_of(path: str, command: str, *words: str, **options: Any) -> set[str]:
    """The names of files that a git command prints. Raises HostFailure."""
    return set(read(path, command, "-z", *words, **options).split("\0")) - {""}


def changed_since(path: str, commit: str) -> str:
    """What people did to a checkout that was clean at a commit; "" for nothing.

    Raises HostFailure.
    """
    if (now := head(path)) != commit:
        return f"{path} was moved by hand to {now[:10]}"
    if changed := changed_files(path):
        names = [line[3:] for line in changed.split("\n")]
        more = ", ..." if len(names) > MOST_NAMES else ""
        return f"{path} was changed by hand ({', '.join(names[:MOST_NAMES])}{more})"
    return ""
