"""Runs on the host: a checkout, the target of a release, and the commits between the two.

It changes only git's own store (a fetch).
"""

import re
import subprocess
from pathlib import Path
from typing import Any

from opstasks.deploy.onhost.checkout import git
from opstasks.onhost.checkout_source import source
from opstasks.onhost.commands import attempt, said

FETCH_TIMEOUT_S = 180
# coreutils timeout: 124 when the limit passed, 137 when the process had to be killed.
TIMEOUT_CODES = (124, 137)
TIMEOUT_S = 120
MOST_COMMITS = 200
# An object that is a commit, as `commits_of` asks git to print it.
COMMIT = re.compile("([0-9a-f]{40}|[0-9a-f]{64}) commit")
# Text that a person would take for the hash of a commit.
HASH = re.compile("[0-9A-Fa-f]{7,64}")
# The longest shown part of an author's name or a subject.
TEXT_LENGTH = 200
MOST_HIDDEN = 20
# How much a preview unpacks; job-runner and its dependencies have some 100 MB.
MOST_FILE_BYTES = 2 << 30


def checkout_facts(path: str, ref: str, *, fetches: bool) -> dict[str, Any]:
    """The facts of a checkout, as JSON of `opstasks.deploy.facts.CheckoutFacts`."""
    # First: it takes longest, and may bring a tag that names the present commit.
    fetched = fetch(path) if fetches else None
    status = run_git(path, "status", "--porcelain=v1", "--untracked-files=all")
    head, *targets = commits_of(path, "HEAD", f"refs/remotes/origin/{ref}", f"refs/tags/{ref}", ref)
    facts = {
        "path": path,
        "ref": ref,
        "head": head,
        "head_name": name_of(path, "HEAD"),
        "target": "",
        "target_name": "",
        "gained": [],
        "lost": [],
        "dirt": dirt(status.stdout),
        "error": "",
    }
    if fetched and fetched.returncode:
        return {**facts, "error": f"cannot fetch: {tail(fetched)}"}
    if status.returncode:
        return {**facts, "error": f"cannot read the checkout: {tail(status)}"}
    # For git, a whole hash is always the commit itself, whatever branches there are.
    exact = targets[2] if targets[2] == ref else ""
    reason = "" if exact else ambiguity(ref, *targets[:2])
    if reason:
        return {**facts, "error": reason}
    target = exact or next(filter(None, targets), "")
    if not target:
        return {**facts, "error": f"{ref!r} is not a branch, a tag or a commit"}
    if target == head:
        return {**facts, "target": target, "target_name": facts["head_name"]}
    return {
        **facts,
        "target": target,
        "target_name": name_of(path, target),
        "gained": commits(path, f"HEAD..{target}"),
        "lost": commits(path, f"{target}..HEAD"),
    }


def ambiguity(ref: str, branch: str, tag: str) -> str:
    """Why a name could mean another commit than the person thinks; "" if it cannot.

    Anyone who may push a branch could give it the name of a release or of a reviewed commit.
    """
    if branch and tag and branch != tag:
        return f"{ref!r} is a branch and a tag, of different commits: name the commit"
    named = branch or tag
    if named and HASH.fullmatch(ref) and not named.startswith(ref.lower()):
        kind = "branch" if branch else "tag"
        return f"{ref!r} looks like a commit, but is a {kind} of another commit, {named[:12]}"
    return ""


def source_facts(path: str, home: str) -> dict[str, Any]:
    """Where commits come from, and the files whose changes git was told to ignore."""
    # Lower case: git assumes that the file is unchanged. S: left out of the work tree.
    flagged = git_text(path, "ls-files", "-v", "-z").split("\0")
    hidden = [entry[2:] for entry in flagged if entry[:1].islower() or entry[:2] == "S "]
    return {**source(path, home), "hidden": hidden[:MOST_HIDDEN]}


def run_git(path: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a git command that may fail."""
    return attempt(*git(path, *words), timeout_s=TIMEOUT_S)


def git_text(path: str, *words: str) -> str:
    """What a git command prints; empty if it fails."""
    done = run_git(path, *words)
    return "" if done.returncode else done.stdout.rstrip("\n")


def tail(done: subprocess.CompletedProcess[str]) -> str:
    """The last lines that explain a failure."""
    return "\n".join(said(done)[-8:])


def fetch(path: str) -> subprocess.CompletedProcess[str]:
    """Fetch branches and tags; a tag that moved upstream also moves here.

    A fetch that takes too long is asked to stop, with the programs that it started: killed, it
    would leave lock files that make every later one fail.
    """
    words = git(path, "fetch", "--quiet", "--prune", "--tags", "--force", "origin")
    limit = ("timeout", "-k", "5", str(FETCH_TIMEOUT_S))
    done = attempt(*limit, *words, timeout_s=FETCH_TIMEOUT_S + 20)
    if done.returncode in TIMEOUT_CODES:
        done.stderr = f"no answer within {FETCH_TIMEOUT_S} s"
    return done


def commits_of(path: str, *names: str) -> list[str]:
    """The commits that names stand for, read in one process; "" for a name that is not one."""
    asked = "".join(f"{name}^{{commit}}\n" for name in names)
    words = git(path, "cat-file", "--batch-check=%(objectname) %(objecttype)")
    lines = attempt(*words, timeout_s=TIMEOUT_S, input=asked).stdout.rstrip("\n").split("\n")
    found = [match[1] if (match := COMMIT.fullmatch(line)) else "" for line in lines]
    return found if len(found) == len(names) else [""] * len(names)


def name_of(path: str, commit: str) -> str:
    """A commit's name for people: the nearest tag, or the short hash."""
    return git_text(path, "describe", "--tags", "--always", commit)


def commits(path: str, span: str) -> list[dict[str, str]]:
    """The commits of a span, newest first."""
    words = ("log", f"--max-count={MOST_COMMITS}", "--format=%h%x09%an%x09%s", span, "--")
    lines = git_text(path, *words).split("\n")
    parts = (line.split("\t", 2) for line in lines if line.count("\t") >= 2)
    return [
        {"sha": sha, "author": author[:TEXT_LENGTH], "subject": subject[:TEXT_LENGTH]}
        for sha, author, subject in parts
    ]


def dirt(status: str) -> dict[str, list[str]]:
    """The staged, unstaged and untracked paths that `git status --porcelain=v1` printed."""
    found: dict[str, list[str]] = {"staged": [], "unstaged": [], "untracked": []}
    for line in status.split("\n"):
        index, tree, path = line[:1], line[1:2], line[3:]
        if index == "?":
            found["untracked"].append(path)
            continue
        if index not in " ":
            found["staged"].append(path)
        if tree not in " ":
            found["unstaged"].append(path)
    return found


def export(path: str, commit: str, folder: str) -> bool:
    """Unpack a commit's files into a new folder without changing the checkout.

    Returns whether it worked; not if they take more than MOST_FILE_BYTES. Raises OSError.
    """
    Path(folder).mkdir(parents=True)
    quiet: dict[str, Any] = {"stderr": subprocess.DEVNULL}
    piped: dict[str, Any] = {**quiet, "stdout": subprocess.PIPE}
    # Git compresses: a small commit can fill the disk.
    limit = ("head", "-c", str(MOST_FILE_BYTES))
    with (
        subprocess.Popen(
            git(path, "archive", commit), stdin=subprocess.DEVNULL, **piped
        ) as archive,
        subprocess.Popen(limit, stdin=archive.stdout, **piped) as part,
    ):
        assert archive.stdout
        # Only `head` has it open: when that ends, git ends, too.
        archive.stdout.close()
        unpacked = subprocess.run(
            ("tar", "-x", "-C", folder), stdin=part.stdout, check=False, **quiet
        )
    return archive.returncode == 0 and unpacked.returncode == 0
