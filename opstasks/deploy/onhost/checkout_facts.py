"""Runs on the host: a checkout, the target of a release, and the commits between the two.

It changes only git's own store (a fetch).
"""

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

from opstasks.deploy.onhost import git_locks, origin
from opstasks.deploy.onhost.checkout import git, why
from opstasks.onhost import git_words
from opstasks.onhost.checkout_source import source
from opstasks.onhost.commands import attempt, said
from opstasks.onhost.formats import size_text
from opstasks.onhost.limits import MOST_COMMITS
from opstasks.onhost.protocol import HostFailure

TIMEOUT_S = 120
HEAD = ("rev-parse", "--verify", "HEAD")
STATUS = ("status", "--porcelain=v1", "--untracked-files=all")
# What git says, and the kind of fault that it means (`opstasks.deploy.plan` has their hints).
FAULTS = (
    ("space", ("No space left on device", "Disk quota exceeded", "Read-only file system")),
    ("owner", ("dubious ownership", "Permission denied", "insufficient permission")),
    ("locked", (".lock': File exists", "Unable to create", "cannot lock ref")),
    ("broken", ("packed-refs", "bad object", "index file", "corrupt", "not a git repository")),
)
# What a fetch says when the fault is at the origin.
AT_ORIGIN = ("remote: ", "Could not read from remote repository", "publickey")
# The longest shown part of an author's name or a subject.
TEXT_LENGTH = 200
MOST_HIDDEN = 20
# How much a preview unpacks; job-runner and its dependencies have some 100 MB.
MOST_FILE_BYTES = 2 << 30


def checkout_facts(path: str, ref: str, *, fetches: bool) -> dict[str, Any]:
    """The facts of a checkout, as JSON of `opstasks.deploy.facts.CheckoutFacts`."""
    facts = {
        **{"path": path, "ref": ref, "head": "", "head_name": "", "target": "", "target_name": ""},
        **{"gained": [], "lost": [], "dirt": dirt(""), "error": "", "fault": ""},
        "locks": git_locks.left(path),
    }
    # Before the fetch: it would give another reason for a checkout that git cannot read.
    present = run_git(path, *HEAD)
    if present.returncode:
        return {**facts, **unreadable(path, present)}
    # It takes longest, and may bring a tag that names the present commit.
    fetched = origin.fetch(path) if fetches else None
    is_fetched = fetched is not None and fetched.returncode == 0
    head_name = name_of(path, "HEAD", is_fetched=is_fetched)
    facts |= {"head": present.stdout.strip(), "head_name": head_name}
    status = run_git(path, *STATUS)
    facts["dirt"] = dirt(status.stdout)
    if status.returncode:
        return {**facts, **unreadable(path, status)}
    if fetched and fetched.returncode:
        return {**facts, **unfetched(fetched)}
    return {**facts, **target_facts(path, ref, facts, is_fetched=is_fetched)}


def present_facts(path: str) -> dict[str, Any]:
    """Whether git can read a checkout, and the lock files in it."""
    locks = git_locks.left(path)
    for words in (HEAD, STATUS):
        done = run_git(path, *words)
        if done.returncode:
            return {"locks": locks, **unreadable(path, done)}
    return {"locks": locks, "error": "", "fault": ""}


def target_facts(path: str, ref: str, facts: dict[str, Any], *, is_fetched: bool) -> dict[str, Any]:
    """The target, and the commits between it and the present one."""
    target, reason = origin.find(path, ref)
    if reason:
        return {"error": reason, "fault": "name"}
    if target == facts["head"]:
        return {"target": target, "target_name": facts["head_name"]}
    return {
        "target": target,
        "target_name": name_of(path, target, is_fetched=is_fetched),
        "gained": commits(path, f"HEAD..{target}"),
        "lost": commits(path, f"{target}..HEAD"),
    }


def unreadable(path: str, done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """Why git cannot read a checkout, in its own words, and the kind of fault for a hint."""
    if is_missing(path):
        return {"error": "there is no checkout", "fault": "missing"}
    text = why(said(done))
    # Git takes a repository that it may not read for none.
    is_open = os.access(f"{path}/.git", os.R_OK | os.X_OK)
    fault = (fault_of(text) or "broken") if is_open else "owner"
    return {"error": f"git cannot read it: {text}", "fault": fault}


def unfetched(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """Why a fetch failed; the cause may be here or at the origin."""
    text = tail(done)
    fault = "" if any(word in text for word in AT_ORIGIN) else fault_of(text)
    return {"error": f"cannot fetch: {text}", "fault": fault or "fetch"}


def fault_of(text: str) -> str:
    """The kind of fault in git's words; "" for one that they do not show."""
    return next((kind for kind, words in FAULTS if any(word in text for word in words)), "")


def is_missing(path: str) -> bool:
    """Whether there is no checkout, rather than one that git cannot read."""
    try:
        os.lstat(f"{path}/.git")
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


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
    """The last lines that explain a failure, as one line; git's advice is left out."""
    lines = said(done)[-8:]
    return "; ".join([line for line in lines if ": " in line] or lines)


def name_of(path: str, commit: str, *, is_fetched: bool) -> str:
    """A commit's name for people: the origin's nearest tag, or the short hash."""
    words = git_words.name_of(path, commit, is_fetched=is_fetched)
    done = attempt(*words, timeout_s=TIMEOUT_S)
    return "" if done.returncode else done.stdout.rstrip("\n")


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


def export(path: str, commit: str, folder: str) -> None:
    """Unpack a commit's files into a new folder without changing the checkout.

    Raises HostFailure if they take more than MOST_FILE_BYTES, or with the words of git or tar.
    Raises OSError.
    """
    Path(folder).mkdir(parents=True)
    pipe = subprocess.PIPE
    # Git compresses: a small commit can fill the disk.
    limit = ("head", "-c", str(MOST_FILE_BYTES))
    with (
        subprocess.Popen(
            git(path, "archive", commit),
            stdin=subprocess.DEVNULL,
            stdout=pipe,
            stderr=pipe,
            close_fds=False,
        ) as archive,
        subprocess.Popen(limit, stdin=archive.stdout, stdout=pipe, close_fds=False) as part,
    ):
        assert archive.stdout
        assert archive.stderr
        assert part.stdout
        # Only the next program has it open: when that ends, the one before it ends as well.
        archive.stdout.close()
        words = ("tar", "-x", "-C", folder)
        unpacked = subprocess.run(
            words, stdin=part.stdout, stderr=pipe, close_fds=False, check=False
        )
        part.stdout.close()
        said_by_git = archive.stderr.read()
    if archive.returncode == -signal.SIGPIPE and part.returncode == 0:
        raise HostFailure(f"its files take more than {size_text(MOST_FILE_BYTES)}")
    if archive.returncode or unpacked.returncode:
        # When a full disk stops tar, git ends without a word.
        text = (said_by_git + unpacked.stderr).decode("utf-8", "replace")
        raise HostFailure(why(text.strip().split("\n")))
