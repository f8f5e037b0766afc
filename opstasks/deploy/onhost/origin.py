"""Runs on the host: fetch from the origin, and find the commit that a name means there.

A name never means a branch or a tag of the checkout's own: these stay when the origin renames or
withdraws them, and would bring back an old release. So the origin's tags are kept apart, as its
branches are. A hash is a hash.
"""

import re
import subprocess

from opstasks.deploy.onhost.checkout import git
from opstasks.onhost.checkout_source import FETCH
from opstasks.onhost.commands import attempt
from opstasks.onhost.git_words import TAGS

FETCH_TIMEOUT_S = 180
# coreutils timeout: 124 when the limit passed, 137 when the process had to be killed.
TIMEOUT_CODES = (124, 137)
TIMEOUT_S = 120
# An object that is a commit, as `commits_of` asks git to print it.
COMMIT = re.compile("([0-9a-f]{40}|[0-9a-f]{64}) commit")
# Text that a person would take for the hash of a commit.
HASH = re.compile("[0-9A-Fa-f]{7,64}")
WHOLE_HASH = re.compile("[0-9A-Fa-f]{40}|[0-9A-Fa-f]{64}")


def fetch(path: str) -> subprocess.CompletedProcess[str]:
    """Fetch branches and tags; a tag that moved upstream also moves here.

    A fetch that takes too long is asked to stop, with the programs that it started: killed, it
    would leave lock files that make every later one fail.
    """
    options = ("--quiet", "--prune", "--tags", "--force")
    words = git(path, "fetch", *options, "origin", FETCH, f"+refs/tags/*:{TAGS}/*")
    limit = ("timeout", "-k", "5", str(FETCH_TIMEOUT_S))
    done = attempt(*limit, *words, timeout_s=FETCH_TIMEOUT_S + 20)
    if done.returncode in TIMEOUT_CODES:
        done.stderr = f"no answer within {FETCH_TIMEOUT_S} s"
    return done


def find(path: str, ref: str) -> tuple[str, str]:
    """The commit that a name means at the origin, and "" or why it has none."""
    places = (
        f"refs/remotes/origin/{ref}",
        f"{TAGS}/{ref}",
        f"refs/heads/{ref}",
        f"refs/tags/{ref}",
    )
    branch, tag, own_branch, own_tag, plain = commits_of(path, *places, ref)
    # For git, a whole hash is always the commit itself, whatever branches there are.
    is_whole, is_hash = WHOLE_HASH.fullmatch(ref), HASH.fullmatch(ref)
    if not is_whole and (reason := ambiguity(ref, branch, tag)):
        return "", reason
    if not is_whole and (branch or tag):
        return branch or tag, ""
    if is_hash and plain.startswith(ref.lower()):
        return plain, ""
    return "", missing(ref, own_branch, own_tag)


def ambiguity(ref: str, branch: str, tag: str) -> str:
    """Why a name could mean another commit than the person thinks; "" if it cannot.

    Anyone who may push a branch could give it the name of a release or of a reviewed commit.
    """
    if branch and tag:
        return f"{ref!r} is a branch and a tag: name the commit"
    named = branch or tag
    if named and HASH.fullmatch(ref) and not named.startswith(ref.lower()):
        kind = "branch" if branch else "tag"
        return f"{ref!r} looks like a commit, but is a {kind} of another commit, {named[:12]}"
    return ""


def missing(ref: str, own_branch: str, own_tag: str) -> str:
    """Why a name means no commit: the checkout may still have what the origin no longer has."""
    if own_branch or own_tag:
        kind = "branch" if own_branch else "tag"
        return f"the origin has no {ref!r} now, only this checkout has a {kind} of that name"
    return f"{ref!r} is not a branch or a tag of the origin, or a commit"


def commits_of(path: str, *names: str) -> list[str]:
    """The commits that names stand for, read in one process; "" for a name that is not one."""
    asked = "".join(f"{name}^{{commit}}\n" for name in names)
    words = git(path, "cat-file", "--batch-check=%(objectname) %(objecttype)")
    lines = attempt(*words, timeout_s=TIMEOUT_S, input=asked).stdout.rstrip("\n").split("\n")
    found = [match[1] if (match := COMMIT.fullmatch(line)) else "" for line in lines]
    return found if len(found) == len(names) else [""] * len(names)
