"""What a person may have meant by a word that is no task, and by a flag that does not exist.

A task that changes something is offered only if the word names it: it is the name with one typing
mistake, the last part of the name (`stop`), or a word of WORDS.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping

from opstasks.cli.old_names import OLD_NAMES

# Words that people type, and the tasks for them.
WORDS: Mapping[str, tuple[str, ...]] = {
    # look
    "check": ("doctor", "config.check"),
    "cpu": ("host.stats", "jobs.stats"),
    "dashboard": ("status",),
    "containers": ("jobs.ls", "images.ls"),
    "df": ("host.stats",),
    "diagnose": ("doctor",),
    "disk": ("host.stats",),
    "docker": ("jobs.ls", "images.ls"),
    "du": ("host.stats",),
    "errors": ("doctor", "logs"),
    "events": ("history",),
    "free": ("host.stats",),
    "health": ("doctor", "status"),
    "htop": ("host.stats", "jobs.stats"),
    "info": ("status", "jobs.show"),
    "inspect": ("jobs.show", "status"),
    "inventory": ("hosts",),
    "journal": ("logs",),
    "journalctl": ("logs",),
    "last": ("history",),
    "list": ("jobs.ls", "images.ls", "outputs.ls"),
    "load": ("host.stats",),
    "log": ("logs", "jobs.logs"),
    "ls": ("jobs.ls", "images.ls", "outputs.ls"),
    "mem": ("host.stats", "jobs.stats"),
    "memory": ("host.stats", "jobs.stats"),
    "ping": ("hosts", "status"),
    "ps": ("jobs.ls",),
    "queue": ("jobs.ls",),
    "stat": ("status", "sync.status"),
    "state": ("status",),
    "syslog": ("logs",),
    "systemctl": ("status", "logs"),
    "tail": ("logs", "jobs.logs"),
    "test": ("doctor", "hosts"),
    "top": ("jobs.stats", "host.stats"),
    "unlock": ("lock.show",),
    "uptime": ("status", "host.stats"),
    "version": ("status", "deploy.releases"),
    "versions": ("deploy.releases",),
    "who": ("history", "lock.show"),
    # releases
    "changes": ("deploy.pending", "history"),
    "diff": ("deploy.pending",),
    "plan": ("deploy.pending",),
    "preview": ("deploy.pending",),
    "pull": ("images.update",),
    "release": ("deploy.releases",),
    "revert": ("deploy.rollback",),
    "ship": ("deploy",),
    "undo": ("deploy.rollback",),
    "update": ("deploy", "images.update"),
    "upgrade": ("deploy",),
    # jobs
    "query": ("jobs.queries",),
    "requeue": ("jobs.retry",),
    "rerun": ("jobs.retry",),
    "sql": ("jobs.queries",),
    "terminate": ("jobs.kill",),
    # service
    "command": ("run",),
    "connect": ("shell",),
    "exec": ("run",),
    "execute": ("run",),
    "hold": ("pause",),
    "login": ("shell",),
    "resume": ("unpause",),
    "sh": ("shell",),
    "ssh": ("shell", "run"),
    "sudo": ("shell", "run"),
    "suspend": ("pause",),
    # reboot
    "cron": ("scheduled",),
    "drain": ("prepare-reboot",),
    "halt": ("prepare-reboot",),
    "maintenance": ("scheduled",),
    "poweroff": ("prepare-reboot",),
    "reboot": ("prepare-reboot", "scheduled"),
    "schedule": ("scheduled",),
    "shutdown": ("prepare-reboot",),
    "timer": ("scheduled", "sync.status"),
    # configuration and files
    "ansible": ("manage",),
    "delete": ("outputs.rm",),
    "env": ("config.show",),
    "files": ("outputs.ls",),
    "get": ("config.show",),
    "provision": ("manage",),
    "remove": ("outputs.rm",),
    "rsync": ("sync.status",),
    "settings": ("config.show",),
    "setup": ("manage",),
}
# Flags of other programs, and what they are called here.
FLAGS: Mapping[str, str] = {
    "branch": "ref",
    "check": "dry",
    "color": "no-color",
    "colour": "no-color",
    "commit": "ref",
    "dry-run": "dry",
    "duration": "for",
    "forks": "parallel",
    "interval": "every",
    "last": "lines",
    "message": "reason",
    "refresh": "every",
    "tag": "ref",
    "tail": "lines",
    "timeout": "connect-timeout",
    "why": "reason",
}
# How alike a word and the name of a task must be, for a task that only reads.
ALIKE = 0.7
MOST = 4
# A typing mistake in a shorter word makes another word too easily.
SHORTEST = 4


def tasks_for(word: str, names: Mapping[str, bool]) -> list[str]:
    """The tasks that a word may mean, best first; `names` says which task changes something."""
    plain = _plain(word)
    group, _, part = plain.rpartition(".")
    # For `outputs.delete`, what `delete` means in this group; elsewhere only what reads.
    of_part = _named(part, names) if group else []
    reading = [name for name, changes in names.items() if not changes]
    found = (
        _named(plain, names)
        or [name for name in of_part if name.startswith(f"{group}.")]
        or mistyped(word, names)
        or [name for name in of_part if name in reading]
        or difflib.get_close_matches(plain, reading, 2, ALIKE)
    )
    return list(dict.fromkeys(found))[:MOST]


def mistyped(word: str, names: Mapping[str, bool]) -> list[str]:
    """The tasks whose name, or old name, is one typing mistake away from a word."""
    plain = _plain(word)
    return [name for spelled, name in _spelled(names) if _is_mistyped(plain, spelled)]


def _is_mistyped(word: str, name: str) -> bool:
    """Whether a word is one mistake from a name; a short last part must be right: config.get."""
    is_long = max(len(text.rpartition(".")[2]) for text in (word, name)) >= SHORTEST
    is_same_part = word.rpartition(".")[2] == name.rpartition(".")[2]
    return (is_long or is_same_part) and is_one_mistake(word, name)


def _named(plain: str, names: Mapping[str, bool]) -> list[str]:
    """The tasks that a word names: whole, as one of WORDS, or by the last part."""
    whole = [name for spelled, name in _spelled(names) if spelled == plain]
    known = [name for name in WORDS.get(plain, ()) if name in names]
    return whole or known or [name for name in names if name.rpartition(".")[2] == plain]


def _spelled(names: Mapping[str, bool]) -> Iterator[tuple[str, str]]:
    """Each task and each old name, as `_plain` spells it."""
    for name in names:
        yield _plain(name), name
    for old, name in OLD_NAMES.items():
        if name in names:
            yield _plain(old), name


def _plain(word: str) -> str:
    """A word without what people type in different ways; `just` had folders: jobrunner/jobs-ls."""
    return re.sub(r"[-_: ]+", ".", word.rpartition("/")[2].lower()).strip(".")


def is_one_mistake(one: str, other: str) -> bool:
    """Whether two words differ by one letter too many, missing, wrong or exchanged."""
    while one and other and one[0] == other[0]:
        one, other = one[1:], other[1:]
    while one and other and one[-1] == other[-1]:
        one, other = one[:-1], other[:-1]
    is_exchanged = len(one) == 2 and one == other[::-1]
    return is_exchanged or (max(len(one), len(other)) == 1 and one != other)


def flag_for(flag: str, flags: Iterable[str]) -> str:
    """The flag that is most like a mistyped one; "" if none is."""
    plain = {name.lstrip("-"): name for name in flags}
    word = flag.lstrip("-").lower().replace("_", "-")
    if word in plain:
        return plain[word]
    if FLAGS.get(word) in plain:
        return plain[FLAGS[word]]
    long = [name for name in plain if len(name) > 1]
    near = difflib.get_close_matches(word, long, 1, ALIKE)
    begun = [name for name in long if len(word) > 1 and name.startswith(word)]
    return plain[(near or begun or [""])[0]] if near or begun else ""
