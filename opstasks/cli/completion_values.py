"""Which values the Tab key offers for each argument: one table.

A test compares it with the tasks: every flag that takes a value, and every positional argument, has
a row, so a new one is not forgotten.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class Values(Enum):
    """Values that are not a fixed list."""

    FILES = "a file or folder of this machine; the shell completes it"
    FREE = "no list: a number, a time, a text"
    GROUPS = "groups of tasks"
    HOST = "one host"
    HOSTS = "hosts and groups, separated by commas"
    TASKS = "names of tasks"


@dataclass(frozen=True)
class Choices:
    """A fixed list."""

    words: tuple[str, ...]


@dataclass(frozen=True)
class Seen:
    """Values last seen on hosts (`opstasks.fleet.last_seen`), each followed by `suffix`."""

    kind: str
    suffix: str = ""


Source = Values | Choices | Seen

FREE = Values.FREE
SHELLS = Choices(("bash", "zsh", "fish"))
_JOB, _KEY, _WORKSPACE = Seen("jobs"), Seen("keys"), Seen("workspaces")
_REF, _LIB_REF, _USER = Seen("refs"), Seen("lib_refs"), Seen("users")
_AREA = Choices(
    (
        "packages",
        "accounts",
        "directories",
        "config",
        "system",
        "service",
        "code",
        "database",
        "access",
    )
)

# The flags of the program itself, allowed with every task.
CORE: Mapping[str, Source] = {
    "--collection": FREE,
    "--command-timeout": FREE,
    "--config": Values.FILES,
    "--connect-timeout": FREE,
    "--help": Values.TASKS,
    "--fields": FREE,
    "--hide": Choices(("out", "err", "both")),
    "--hosts": Values.HOSTS,
    "--identity": Values.FILES,
    "--inventory": Values.FILES,
    "--list": Values.GROUPS,
    "--list-depth": FREE,
    "--list-format": Choices(("flat", "nested", "json")),
    "--parallel": FREE,
    "--print-completion-script": SHELLS,
    "--search-root": Values.FILES,
    "--ssh-config": Values.FILES,
}
# The same in every task that has them.
EVERY_TASK: Mapping[str, Source] = {
    "--every": FREE,
    "--limit": FREE,
    "--lines": FREE,
    "--reason": FREE,
    "--since": FREE,
    "--timeout": FREE,
    "--wait": FREE,
    "--watch": FREE,
}
# A positional argument is named like the flag that it can also be.
TASKS: Mapping[str, Mapping[str, Source]] = {
    "completion": {"--shell": SHELLS},
    "config.set": {"--assignment": Seen("keys", suffix="=")},
    "config.show": {"--key": _KEY},
    "config.unset": {"--key": _KEY},
    "db.progress": {
        "--database": Choices(("default", "include_t1oo")),
        "--table": FREE,
        "--temp-table": FREE,
    },
    "deploy.apply": {
        "--lib-ref": _LIB_REF,
        "--ref": _REF,
        "--unfinished": Choices(("finish", "back")),
    },
    "deploy.pending": {"--lib-ref": _LIB_REF, "--ref": _REF},
    "history": {"--host": Values.HOST, "--task": Values.TASKS, "--who": Seen("people")},
    "host.stats": {"--top": FREE},
    "images.update": {"--digest": FREE, "--image": Seen("images")},
    "jobs.follow": {"--job": _JOB},
    "jobs.kill": {"--job": _JOB},
    "jobs.logs": {"--job": _JOB},
    "jobs.ls": {
        "--state": Choices(("pending", "running", "failed", "succeeded")),
        "--workspace": _WORKSPACE,
    },
    "jobs.mount": {"--job": _JOB},
    "jobs.retry": {"--job": _JOB},
    "jobs.show": {"--job": _JOB},
    "jobs.strace": {"--job": _JOB},
    "logs": {"--job": _JOB},
    "manage": {"--only": _AREA, "--skip": _AREA},
    "outputs.attest": {"--by": FREE, "--id": Seen("removals"), "--note": FREE},
    "outputs.ls": {"--workspace": _WORKSPACE},
    "outputs.rm": {
        # Names of Level 4 files are not kept on this machine.
        "--file": FREE,
        "--source": Choices(("remove", "keep")),
        "--workspace": _WORKSPACE,
    },
    "pause": {"--for": FREE},
    "prepare-reboot": {"--at": FREE, "--boot-wait": FREE, "--delay": FREE, "--drain": FREE},
    "run": {"--user": _USER},
    "sandbox.many": {"--hosts": FREE},
    "sandbox.publish": {
        "--release": Choices(
            (
                "v2.71.0",
                "v2.73.0",
                "broken-import",
                "broken-migration",
                "broken-crash",
                "diverged",
            )
        ),
    },
    "sandbox.submit": {
        "--action": Choices(
            (
                "quick",
                "long",
                "longer",
                "fail",
                "outputs",
                "after_quick",
                "extract",
                "no_image",
            )
        ),
        "--workspace": _WORKSPACE,
    },
    "sandbox.up": {"--hosts": FREE},
    "scheduled.cancel": {"--id": Seen("scheduled")},
    "shell": {"--user": _USER},
    "users.disable": {"--name": _USER},
}


def source_of(task: str, flag: str) -> Source:
    """Where the values of a flag come from; `task` "" is the program itself."""
    if not task:
        return CORE.get(flag, FREE)
    return TASKS.get(task, {}).get(flag) or EVERY_TASK.get(flag, FREE)
