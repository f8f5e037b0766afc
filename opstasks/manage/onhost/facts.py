"""Runs on the host as root: how the things that are asked about stand.

`main` gets a JSON request and prints a JSON answer. Changes nothing; reads no secret.
"""

import contextlib
import grp
import hashlib
import json
import os
import pwd
import re
import stat
import subprocess
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from opstasks.manage.onhost.paths import Unsafe, fits, ids, look, open_folder, read

SUDO_LOG = "/var/log/sudo.log"
# How much of the log is looked through, and how many examples are given of what is wrong.
LOG_BYTES = 400_000
EXAMPLES = 3
# Accounts of people, as Debian and Ubuntu number them.
PEOPLE = range(1000, 60000)
_ENTRY = re.compile(
    r"(?P<when>\w{3} [ \d]\d [\d:]{8}(?: \d{4})?) : (?P<who>[^\s:]+) : .*?COMMAND=(?P<what>.*)"
)
_BETWEEN_WORDS = re.compile(r"[\s'\"=;|&<>()]+")
Facts = dict[str, Any]


def say(*args: str, ok: tuple[int, ...] = (0, 1)) -> str:
    """What a command prints; empty when it cannot run."""
    try:
        done = subprocess.run(
            args, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout if done.returncode in ok else ""


# -- accounts ----------------------------------------------------------------------------------


def group(name: str) -> Facts | None:
    """A group's id and members."""
    try:
        found = grp.getgrnam(name)
    except KeyError:
        return None
    return {"gid": found.gr_gid, "members": sorted(found.gr_mem)}


def user(name: str) -> Facts | None:
    """An account, with the groups it is in besides its own, and whether it was shut."""
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        return None
    return {
        "uid": found.pw_uid,
        "group": name_of(found.pw_gid, grp.getgrgid),
        "groups": sorted(g.gr_name for g in grp.getgrall() if name in g.gr_mem),
        "home": found.pw_dir,
        "shell": found.pw_shell,
        **shadow(name),
    }


def shadow(name: str, path: str = "/etc/shadow") -> Facts:
    """Whether an account is locked or expired; nothing of its password leaves this function."""
    for line in Path(path).read_text().splitlines() if Path(path).exists() else ():
        fields = line.split(":")
        if fields[0] == name and len(fields) > 7:
            return {"locked": fields[1].startswith("!"), "expired": is_past(fields[7])}
    return {"locked": False, "expired": False}


def is_past(day: str) -> bool:
    """Whether a day, counted from 1970, has come by the host's clock; no day never comes."""
    return day.isdigit() and int(day) <= time.time() // 86400


def name_of(number: int, lookup: Any) -> str:
    """The name of a user or group id, or the number."""
    try:
        return str(lookup(number)[0])
    except KeyError:
        return str(number)


def accounts_with_keys() -> list[str]:
    """People's accounts that can be logged in to by a key."""
    found = []
    for entry in pwd.getpwall():
        if entry.pw_uid in PEOPLE:
            with contextlib.suppress(OSError):
                info = look(f"{entry.pw_dir}/.ssh/authorized_keys")
                if info is not None and info.st_size:
                    found.append(entry.pw_name)
    return sorted(found)


def marked(names: list[str], mark: str) -> list[str]:
    """Of these accounts, those whose keys `manage` wrote: people whom a description listed."""
    found = []
    for name in names:
        with contextlib.suppress(OSError, KeyError):
            if read(f"{pwd.getpwnam(name).pw_dir}/.ssh/authorized_keys").startswith(mark.encode()):
                found.append(name)
    return found


def login() -> str:
    """The account that came in, before sudo."""
    return os.environ.get("SUDO_USER") or pwd.getpwuid(os.geteuid()).pw_name


# -- files -------------------------------------------------------------------------------------


def path(name: str, wanted_sha: str, readable: bool) -> Facts | None:
    """A file or directory: kind, owner, group, mode; the text only where it differs."""
    try:
        info = look(name)
    except Unsafe as error:
        return {"kind": str(error), "owner": "", "group": "", "mode": ""}
    if info is None:
        return None
    facts = {"kind": kind(info.st_mode), **rights(info)}
    facts["when"] = int(info.st_ctime)
    if facts["kind"] == "file" and readable:
        data = read(name)
        facts["sha256"] = hashlib.sha256(data).hexdigest()
        if facts["sha256"] != wanted_sha:
            facts["text"] = data[:200_000].decode("utf-8", "replace")
            facts["when"] = int(info.st_mtime)
    return facts


def rights(info: os.stat_result) -> Facts:
    """Owner, group and mode, in words."""
    return {
        "owner": name_of(info.st_uid, pwd.getpwuid),
        "group": name_of(info.st_gid, grp.getgrgid),
        "mode": f"{stat.S_IMODE(info.st_mode):04o}",
    }


def kind(mode: int) -> str:
    """What a path is; a link counts as something else: we would write through it."""
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "directory"
    return "link" if stat.S_ISLNK(mode) else "special file"


def setting(name: str, match: str) -> Facts | None:
    """The lines of a file that a pattern finds; None without the file."""
    try:
        lines = read(name).decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return None
    pattern = re.compile(match)
    return {"lines": [line for line in lines if pattern.search(line)]}


def tree(top: str, owner: str, group_name: str, files: list[str], folders: str) -> Facts:
    """How much below a directory has other rights than these; links are left alone."""
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
            for name in (*below, *names):
                # A job may take it away meanwhile.
                with contextlib.suppress(FileNotFoundError):
                    if fits(os.stat(name, dir_fd=handle, follow_symlinks=False), wanted, good):
                        continue
                    count += 1
                    wrong += [os.path.normpath(f"{folder}/{name}")] if len(wrong) < EXAMPLES else []
    finally:
        os.close(start)
    return {"wrong": count, "examples": wrong}


def refusal(name: str, content: str, check: list[str]) -> str:
    """What a check command says against a new content; empty when it accepts it."""
    import tempfile  # a slow import, and mostly not needed

    with tempfile.TemporaryDirectory(prefix="opstasks-") as folder:
        place = Path(folder, Path(name).name)
        place.write_text(content)
        place.chmod(0o600)
        words = [word.replace("@file@", str(place)) for word in check]
        try:
            done = subprocess.run(
                words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
            )
        except OSError as error:
            return f"cannot run {check[0]}: {error.strerror}"
        if done.returncode == 0:
            return ""
        text = (done.stderr + done.stdout).replace(str(place), name)
        return "\n".join(text.strip().splitlines()[:6]) or f"{check[0]} says no"


# -- packages, units, the rest -----------------------------------------------------------------


def packages(names: list[str]) -> dict[str, bool]:
    """Which of these packages are installed."""
    if not names:
        return {}
    form = "${Package} ${db:Status-Status}\n"
    words = [line.split() for line in say("dpkg-query", "-W", "-f", form, *names).splitlines()]
    there = {word[0] for word in words if word[1:] == ["installed"]}
    return {name: name in there for name in names}


def upgradable() -> list[str]:
    """Packages that have a newer version, by the lists that the host has now."""
    lines = say("apt-get", "--simulate", "--quiet", "upgrade").splitlines()
    return [line.split()[1] for line in lines if line.startswith("Inst ")]


def lists_age_s(place: str = "/var/lib/apt/lists") -> int:
    """How old the package lists are; those of a host that never had any are very old."""
    try:
        return max(0, int(time.time() - Path(place).stat().st_mtime))
    except OSError:
        return int(time.time())


def units(names: list[str]) -> dict[str, dict[str, str]]:
    """Whether units are known, enabled and running; one question for all."""
    if not names:
        return {}
    shown = "--property=LoadState,UnitFileState,ActiveState,SubState,NeedDaemonReload"
    blocks = say("systemctl", "show", shown, "--", *names).strip().split("\n\n")
    facts = [dict(line.split("=", 1) for line in block.splitlines()) for block in blocks]
    return dict(zip(names, facts, strict=False))


def holds(test: list[str]) -> bool:
    """Whether a probe's command succeeds."""
    try:
        done = subprocess.run(
            test, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0


def checkout(name: str) -> bool:
    """Whether there is a git checkout."""
    return Path(name, ".git").exists()


# -- who was it --------------------------------------------------------------------------------


def mentions(text: str, words: set[str]) -> dict[str, list[Any]]:
    """Of these words, who used them last in a command of sudo's log, and when.

    The commands stay on the host: they may hold anything. Our own do not count.
    """
    found: dict[str, list[Any]] = {}
    for line in text.splitlines():
        entry = _ENTRY.match(line) if "--norc" not in line else None
        if entry is not None:
            for word in words.intersection(_BETWEEN_WORDS.split(entry["what"])):
                found[word] = [entry["who"], entry["when"]]
    return {word: [who, moment(when)] for word, (who, when) in found.items()}


def moment(text: str) -> int:
    """A time of sudo's log in seconds, in the host's time zone; 0 when it makes no sense."""
    if not re.search(r"\d{4}$", text):
        text = f"{text} {datetime.now(timezone.utc).year}"
    try:
        return int(datetime.strptime(text, "%b %d %H:%M:%S %Y").timestamp())
    except ValueError:
        return 0


def last_touch(words: list[str], place: str = SUDO_LOG) -> dict[str, list[Any]]:
    """Of these words (paths, names), who used them last in a sudo command, and when."""
    if not words:
        return {}
    try:
        with Path(place).open("rb") as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - LOG_BYTES))
            return mentions(stream.read().decode("utf-8", "replace"), set(words))
    except OSError:
        return {}


def answer(asked: Facts) -> Facts:
    """Everything that a request asks for."""
    paths = {item[0]: path(*item) for item in asked["paths"]}
    differing = [
        check for check in asked["checks"] if (paths.get(check[0]) or {}).get("sha256") != check[3]
    ]
    keyed = accounts_with_keys() if asked["people"] else []
    return {
        "login": login(),
        "groups": {name: group(name) for name in asked["groups"]},
        "users": {name: user(name) for name in asked["users"]},
        "keyed": keyed,
        "marked": marked(keyed, asked["mark"]),
        "paths": paths,
        "refusals": {c[0]: r for c in differing if (r := refusal(c[0], c[1], c[2]))},
        "settings": {item[0]: setting(item[1], item[2]) for item in asked["settings"]},
        "trees": {item[0]: tree(*item) for item in asked["trees"]},
        "checkouts": {name: checkout(name) for name in asked["checkouts"]},
        "packages": packages(asked["packages"]),
        "upgradable": upgradable() if asked["upgrade"] else [],
        "lists_age_s": lists_age_s() if asked["upgrade"] else 0,
        "probes": {item[0]: holds(item[1]) for item in asked["probes"]},
        "units": units(asked["units"]),
        "touched": last_touch(asked["words"]),
        "unproven": Path(asked["pending"]).exists(),
    }


def main(request: str) -> None:
    """Answer a request."""
    print(json.dumps(answer(json.loads(request))))
