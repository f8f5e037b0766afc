"""Runs on the host: what earlier imports of job-runner's code found, kept in one file.

An import costs 0.2 to 0.6 s of CPU time, and its result depends only on its inputs: the two
commits, the environment, and Python with its packages. The inputs are the key, so a kept result
does not expire. Only successful imports are kept: an error may be gone the next time.

The file belongs to the account that reads it. A file that is missing, damaged, not a plain file,
or that another account owns or may write is ignored: the code is imported again.
"""

import contextlib
import hashlib
import json
import os
import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from opstasks.onhost.json_files import write_json

FORMAT = 2
# Enough for several releases and some changes of the configuration.
MOST_ENTRIES = 16
MAX_BYTES = 1 << 18
MAX_TEXT = 500
# What reading a hostile file can raise.
FAULTS = (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError)


def key_of(commits: Sequence[str], env: dict[str, str]) -> str:
    """The key of an import: a hash of its inputs, without the package folders."""
    inputs = [FORMAT, list(commits), sorted(env.items()), sys.executable, sys.version]
    return digest(inputs)


def find(state_dir: str, key: str) -> dict[str, Any] | None:
    """The migrations and the configuration keys of an earlier import; None if not known.

    `keys` is None if the import did not need them. `is_confined`: the import was confined.
    """
    try:
        for entry in reversed(entries(kept_path(state_dir))):
            if entry["key"] == key and is_as_before(entry["folders"]):
                confined = entry["is_confined"] is True
                return {
                    "migrations": migrations(entry),
                    "keys": keys(entry),
                    "is_confined": confined,
                }
    except FAULTS:
        return None
    return None


def keep(state_dir: str, key: str, found: dict[str, Any]) -> None:
    """Keep the result of a successful import; on a full disk it is not kept."""
    path = kept_path(state_dir)
    entry = {
        "key": key,
        "migrations": {str(number): text for number, text in found["migrations"].items()},
        "keys": None if found["keys"] is None else sorted(found["keys"]),
        "is_confined": found["is_confined"],
        "folders": {folder: changed_ns(folder) for folder in found["folders"]},
    }
    try:
        others = [other for other in entries(path) if other["key"] != key]
    except FAULTS:
        others = []
    kept = [*others, entry][-MOST_ENTRIES:]
    with contextlib.suppress(OSError):
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        # The keys are hashes of secrets, among other things: for this account only.
        write_json(path, {"digest": digest(kept), "entries": kept}, 0o600)


def kept_path(state_dir: str) -> Path:
    """The file with all results."""
    return Path(state_dir, "imports.json")


def entries(path: Path) -> list[dict[str, Any]]:
    """All entries of a file, oldest first; raises FAULTS for a file that cannot be trusted."""
    # A link is not followed, and a pipe does not wait for its other end.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with open(os.open(path, flags), "rb") as file:  # noqa: PTH123 (a file that is open already)
        state = os.fstat(file.fileno())
        if not stat.S_ISREG(state.st_mode) or state.st_uid != os.geteuid():
            raise ValueError("not a plain file of this account")
        if state.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise ValueError("others may write it")
        found = json.loads(file.read(MAX_BYTES))
    if found["digest"] != digest(found["entries"]):
        raise ValueError("damaged")
    return list(found["entries"])


def digest(value: Any) -> str:
    """The SHA-256 of a value's JSON."""
    text = json.dumps(value, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def is_as_before(folders: dict[str, int | None]) -> bool:
    """Whether Python and its package folders are unchanged: an installation changes them."""
    return bool(folders) and all(changed_ns(path) == at for path, at in folders.items())


def changed_ns(path: str) -> int | None:
    """When a file or folder changed, in nanoseconds; None if it does not exist."""
    try:
        return os.stat(path).st_mtime_ns  # noqa: PTH116
    except OSError:
        return None


def migrations(entry: dict[str, Any]) -> dict[int, str]:
    """An entry's migrations; raises ValueError or TypeError for nonsense."""
    found = {int(number): str(text)[:MAX_TEXT] for number, text in entry["migrations"].items()}
    if not all(0 <= number < 1 << 31 for number in found):
        raise ValueError("not a database version")
    return found


def keys(entry: dict[str, Any]) -> set[str] | None:
    """An entry's configuration keys."""
    return None if entry["keys"] is None else {str(name)[:MAX_TEXT] for name in entry["keys"]}
