"""Runs on the host as root: the settings of units that are in effect; changes nothing."""

import os
import pwd
import re
from pathlib import Path
from typing import Any

from opstasks.manage.onhost.account_facts import name_of
from opstasks.onhost.commands import attempt
from opstasks.onhost.plain_text import names_in, text_for_root

Facts = dict[str, Any]
TIMEOUT_S = 60.0
SHOWN = "Id,LoadState,FragmentPath,DropInPaths,NeedDaemonReload,User,Group,MainPID"
# All folders of units that systemd reads.
FOLDERS = tuple(
    f"{place}/systemd/{kind}"
    for place in ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib")
    for kind in ("system", "system.control", "transient", "system.attached")
) + tuple(f"/run/systemd/generator{suffix}" for suffix in ("", ".early", ".late"))
# Where systemd ends a line.
LINE_END = re.compile(r"[\n\r\0]")
# In place of the keys after the part of a drop-in that was read: nothing accepts it as a key.
UNREAD = "more that cannot be read"
_KEY = re.compile(r"\s*([A-Za-z][A-Za-z0-9]{0,60})\s*=")


def units(names: list[str]) -> dict[str, Facts]:
    """These units by full name; patterns match loaded units only."""
    if not names:
        return {}
    done = attempt("systemctl", "show", f"--property={SHOWN}", "--", *names, timeout_s=TIMEOUT_S)
    return {found["id"]: facts(found) for found in blocks(done.stdout)}


def blocks(text: str) -> list[dict[str, str]]:
    """The blocks of systemctl's output that have an id; the first one of duplicate keys counts."""
    found = []
    for block in text.split("\n\n"):
        values: dict[str, str] = {}
        for line in block.split("\n"):
            key, sign, value = line.partition("=")
            if sign:
                values.setdefault(key.strip(), value)
        if values.get("Id"):
            found.append({**values, "id": values["Id"]})
    return found


def facts(shown: dict[str, str]) -> Facts:
    """A unit: its file, its drop-ins (loaded ones and those on disk), its account."""
    pid = shown.get("MainPID", "")
    paths = [*shown.get("DropInPaths", "").split(), *drop_ins(shown["id"])]
    return {
        "state": shown.get("LoadState", ""),
        "fragment": shown.get("FragmentPath", ""),
        "drop_ins": {path: keys_in(path) for path in distinct(paths)},
        "reload": shown.get("NeedDaemonReload", "") == "yes",
        "user": shown.get("User", "") or "root",
        "group": shown.get("Group", ""),
        "runs_as": account_of(pid),
        "command": command_of(pid),
    }


def distinct(paths: list[str]) -> list[str]:
    """Paths without those that are the same file (/lib is a link to /usr/lib)."""
    return sorted({f"{os.path.realpath(Path(path).parent)}/{Path(path).name}" for path in paths})


def drop_ins(unit: str) -> list[str]:
    """The drop-ins of a unit on disk, also those for its type and for the prefixes of its name."""
    stem, _, kind = unit.rpartition(".")
    words = stem.split("-")
    prefixes = ["-".join(words[:count]) + "-" for count in range(1, len(words))]
    folders = [f"{name}.d" for name in (kind, unit, *(f"{prefix}.{kind}" for prefix in prefixes))]
    return [
        f"{place}/{folder}/{name}"
        for place in FOLDERS
        for folder in folders
        for name in names_in(f"{place}/{folder}")
        if name.endswith(".conf")
    ]


def keys_in(path: str) -> list[str]:
    """The keys that a drop-in sets, and `UNREAD` if it cannot be read whole."""
    text, is_whole = text_for_root(path)
    return [*keys_of(text), *([] if is_whole else [UNREAD])]


def keys_of(text: str) -> list[str]:
    """The keys in the text of a drop-in. Not the values: they may be secrets."""
    found = [match[1] for line in LINE_END.split(text) if (match := _KEY.match(line))]
    return sorted(set(found))[:20]


def account_of(pid: str) -> str:
    """The account of a process, or ""."""
    try:
        return name_of(Path(f"/proc/{int(pid)}").stat().st_uid, pwd.getpwuid) if int(pid) else ""
    except (OSError, ValueError):
        return ""


def command_of(pid: str) -> str:
    """The command line of sshd's main process; "" for other units: it may contain secrets."""
    try:
        words = Path(f"/proc/{int(pid)}/cmdline").read_bytes().split(b"\0") if int(pid) else []
    except (OSError, ValueError):
        return ""
    text = " ".join(word.decode("utf-8", "replace") for word in words).strip()
    return text[:500] if text.startswith(("sshd:", "/usr/sbin/sshd")) else ""
