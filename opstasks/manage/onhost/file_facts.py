"""Runs on the host as root: files, directories and their rights; changes nothing."""

import contextlib
import grp
import hashlib
import os
import pwd
import re
import stat
import subprocess
from pathlib import Path
from typing import Any

from opstasks.manage.onhost.account_facts import name_of
from opstasks.onhost.limits import LATEST_AT
from opstasks.onhost.safe_files import Unsafe, fits, ids, is_too_deep, look, open_folder, read

Facts = dict[str, Any]
# Instead of a hash: the content of a file that cannot be read safely.
UNREADABLE = "unreadable"
# How many examples of wrong entries are returned.
EXAMPLES = 3
# How many bytes of a differing file are sent.
TEXT_BYTES = 200_000
# How many characters of one line are sent.
LINE_CHARACTERS = 10_000
# Later times are nonsense: the year 3000.


def path(name: str, wanted_sha256: str, may_read: bool) -> Facts | None:
    """A file or directory: kind, owner, group, mode; the text only if it is not the wanted one.

    An empty `wanted_sha256`: only the hash is needed, never the text.
    """
    try:
        info = look(name)
    except Unsafe as error:
        return {"kind": str(error), "owner": "", "group": "", "mode": ""}
    if info is None:
        return None
    facts = {"kind": kind(info.st_mode), **rights(info), "changed_at": moment(info.st_ctime)}
    if facts["kind"] == "file" and may_read:
        try:
            data = read(name)
        except Unsafe:  # too large, or with several hard links: its content could not be kept
            return {**facts, "sha256": UNREADABLE}
        facts["sha256"] = hashlib.sha256(data).hexdigest()
        if wanted_sha256 and facts["sha256"] != wanted_sha256:
            facts["text"] = data[:TEXT_BYTES].decode("utf-8", "replace")
            facts["changed_at"] = moment(info.st_mtime)
    return facts


def state(name: str) -> str:
    """A path in one word: the hash of a file, its kind if it is something else, or "absent".

    `opstasks.manage.plan_files` makes the same word from the facts.
    """
    facts = path(name, "", may_read=True)
    return "absent" if facts is None else facts.get("sha256") or facts["kind"]


def moment(seconds: float) -> int:
    """A time of a file in seconds since the epoch; 0 (unknown) for an impossible one."""
    return int(seconds) if 0 <= seconds <= LATEST_AT else 0


def rights(info: os.stat_result) -> Facts:
    """Owner, group and mode, as text."""
    return {
        "owner": name_of(info.st_uid, pwd.getpwuid),
        "group": name_of(info.st_gid, grp.getgrgid),
        "mode": f"{stat.S_IMODE(info.st_mode):04o}",
    }


def kind(mode: int) -> str:
    """The kind of a path; links have their own kind, because we must not write through them."""
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "directory"
    return "link" if stat.S_ISLNK(mode) else "special file"


def setting(name: str, match: str) -> list[str] | None:
    """The lines of a file that a pattern finds; None without the file."""
    try:
        return matching(read(name), match)
    except FileNotFoundError:
        return None


def matching(data: bytes, match: str) -> list[str]:
    """The lines of a content that a pattern finds."""
    pattern = re.compile(match)
    lines = data.decode("utf-8", "replace").split("\n")
    return [line[:LINE_CHARACTERS] for line in lines if pattern.search(line)]


def tree(top: str, owner: str, group_name: str, files: list[str], folders: str) -> Facts:
    """The entries below a directory that have wrong rights; links are ignored."""
    wrong: list[str] = []
    count = 0
    try:
        wanted = ids(owner, group_name)
        start = open_folder(top)
    except (KeyError, OSError):
        return {"wrong": 0, "examples": []}
    good = {stat.S_IFREG: {int(mode, 8) for mode in files}, stat.S_IFDIR: {int(folders, 8)}}
    try:
        for folder, below, names, handle in os.fwalk(".", dir_fd=start):
            if is_too_deep(folder):
                count += len(below)
                wrong += [f"{shown(folder, name)}: too deep" for name in below][:EXAMPLES]
                below.clear()
            for name in (*below, *names):
                # A job may delete it at any time.
                with contextlib.suppress(FileNotFoundError):
                    if fits(os.stat(name, dir_fd=handle, follow_symlinks=False), wanted, good):
                        continue
                    count += 1
                    wrong += [shown(folder, name)] if len(wrong) < EXAMPLES else []
    finally:
        os.close(start)
    return {"wrong": count, "examples": wrong[:EXAMPLES]}


def shown(folder: str, name: str) -> str:
    """A path below a tree as text, also with invalid bytes."""
    text = os.path.normpath(f"{folder}/{name}")
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def refusal(name: str, content: str, check: list[str]) -> str:
    """A check command's objections to a new content; empty when it accepts it."""
    import tempfile  # a slow import that is rarely needed

    with tempfile.TemporaryDirectory(prefix="opstasks-") as folder:
        place = Path(folder, Path(name).name)
        place.write_text(content)
        place.chmod(0o600)
        words = [word.replace("@file@", str(place)) for word in check]
        try:
            done = subprocess.run(
                words,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                close_fds=False,
                check=False,
            )
        except OSError as error:
            return f"cannot run {check[0]}: {error.strerror}"
        if done.returncode == 0:
            return ""
        text = (done.stderr + done.stdout).replace(str(place), name)
        return "\n".join(text.strip().split("\n")[:6]) or f"{check[0]} does not accept it"
