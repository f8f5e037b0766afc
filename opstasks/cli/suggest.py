"""What a person may have meant by a word that is no task, and by a flag that does not exist.

A task that changes something is offered only if the word names it: it is the name with one typing
mistake, the last part of the name (`stop`), or a word of WORDS.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping

from opstasks.cli.old_names import OLD_NAMES
from opstasks.cli.options import UNUSED_FLAGS

# Words that people type, and the tasks for them.
WORDS: Mapping[str, tuple[str, ...]] = {
    # look
    "check": ("doctor", "config.check"),
    "cpu": ("host.stats", "jobs.stats"),
    "dashboard": ("status",),
    "container": ("jobs.ls", "images.ls"),
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
    "healthcheck": ("doctor", "status"),
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
    "podman": ("jobs.ls", "images.ls"),
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
    "database": ("db.progress", "jobs.queries"),
    "query": ("jobs.queries",),
    "requeue": ("jobs.retry",),
    "rerun": ("jobs.retry",),
    "sql": ("jobs.queries",),
    "terminate": ("jobs.kill",),
    # service
    "bash": ("shell",),
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
    "conf": ("config.show", "config.check"),
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
# Flags of other programs, and what they are called here: the first that a task has. Such a word has
# no other meaning: `--force` is nowhere a mistyped flag.
FLAGS: Mapping[str, tuple[str, ...]] = {
    "branch": ("ref",),
    "check": ("dry",),
    "comment": ("reason", "note"),
    "commit": ("ref",),
    "count": ("limit", "lines", "top"),
    "dry-run": ("dry",),
    "dryrun": ("dry",),
    "duration": ("for",),
    "force": (),
    "forks": ("parallel",),
    "format": ("json",),
    "head": ("limit", "lines", "top"),
    "interval": ("every",),
    "keep": ("no-cleanup", "keep-paused", "source"),
    "last": ("lines", "limit"),
    "max": ("limit", "lines", "top"),
    "message": ("reason",),
    "output": ("json",),
    "refresh": ("every",),
    "release": ("ref",),
    "tag": ("ref",),
    "tail": ("lines", "limit"),
    "timeout": ("connect-timeout",),
    "verbose": ("echo",),
    "why": ("reason",),
}
# They are offered only if they are named: they answer another question than the one that was asked,
# or no task uses them.
NEVER_GUESSED = frozenset(
    ("help", "identity", "inventory", "list", "list-depth", "list-format", *UNUSED_FLAGS)
)
# How alike a word and the name of a task must be, for a task that only reads.
ALIKE = 0.7
MOST = 4
# A typing mistake in a shorter word makes another word too easily.
SHORTEST = 4
# With fewer letters, too many flags begin.
SHORTEST_BEGINNING = 3


def tasks_for(word: str, names: Mapping[str, bool]) -> list[str]:
    """The tasks that a word may mean, best first; `names` says which task changes something."""
    plain = _plain(word)
    parent, _, part = plain.rpartition(".")
    is_known = any(_is_in(name, parent) or name == parent for name in names)
    found = (
        _named(plain, names)
        # For `outputs.delete`, what `delete` means in this group.
        or [name for name in _named(part, names) if _is_in(name, parent)]
        or mistyped(word, names)
        or (_of_parent(plain, names) if is_known else _reading(plain, names))
    )
    return list(dict.fromkeys(found))[:MOST]


def _is_in(name: str, parent: str) -> bool:
    return bool(parent) and name.startswith(f"{parent}.")


def _of_parent(plain: str, names: Mapping[str, bool]) -> list[str]:
    """Tasks that only read: of the group and alike, or with the last part as the whole name.

    `service.status` means `status`.
    """
    parent, _, part = plain.rpartition(".")
    reading = {n.rpartition(".")[2]: n for n in names if _is_in(n, parent) and not names[n]}
    near = difflib.get_close_matches(part, reading, 2, ALIKE)
    return [reading[each] for each in near] or [
        name for name in names if name == part and not names[name]
    ]


def _reading(plain: str, names: Mapping[str, bool]) -> list[str]:
    """Tasks that only read: what the last part of a word means, or alike."""
    _, dot, part = plain.rpartition(".")
    reading = [name for name, changes in names.items() if not changes]
    of_part = [name for name in _named(part, names) if name in reading] if dot else []
    return of_part or difflib.get_close_matches(plain, reading, 2, ALIKE)


def mistyped(word: str, names: Mapping[str, bool]) -> list[str]:
    """The tasks whose name, old name, or else last part is one typing mistake away from a word."""
    plain = _plain(word)
    if plain.rpartition(".")[2] in WORDS:
        return []  # `service.stat` is no mistyped start
    whole = [name for spelled, name in _spelled(names) if _is_mistyped(plain, spelled)]
    return whole or [name for name in names if _is_mistyped_part(plain, name)]


def _is_mistyped(word: str, name: str) -> bool:
    """Whether a word is one mistake from a name; a short last part must be right: config.get."""
    one, other = word.rpartition(".")[2], name.rpartition(".")[2]
    return (is_long(one, other) or one == other) and is_one_mistake(word, name)


def _is_mistyped_part(word: str, name: str) -> bool:
    """Whether a word is one mistake from the last part of a name: `rolback`.

    With another first letter, or of a short part, it is another word: `count` is not `mount`.
    """
    part = name.rpartition(".")[2]
    return len(part) >= SHORTEST and word[:1] == part[:1] and is_one_mistake(word, part)


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


def flag_for(flag: str, flags: Iterable[str], *, is_whole: bool = False) -> str:
    """The flag that a mistyped one names: with one mistake, or by its beginning; "" if none.

    `is_whole`: it is a flag of other tasks, and so not the beginning of a longer one.
    """
    plain = {name.lstrip("-"): name for name in flags}
    word = flag.lstrip("-").lower().replace("_", "-")
    if word in plain:
        return plain[word]
    if word in FLAGS:
        return next((plain[name] for name in FLAGS[word] if name in plain), "")
    guessed = [name for name in plain if len(name) > 1 and name not in NEVER_GUESSED]
    near = [name for name in guessed if is_long(word, name) and is_one_mistake(word, name)]
    if near:
        return plain[near[0]]
    begun = [name for name in guessed if name.startswith(word)]
    is_clear = len(begun) == 1 and len(word.strip("-")) >= SHORTEST_BEGINNING
    return plain[begun[0]] if is_clear and not is_whole else ""


def is_long(one: str, other: str) -> bool:
    """Whether a typing mistake is more probable than another word."""
    return max(len(one), len(other)) >= SHORTEST
