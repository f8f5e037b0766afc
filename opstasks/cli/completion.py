"""What the Tab key offers: tasks, flags, hosts and groups.

Invoke's own scripts for bash, zsh and fish call ``inv --complete -- WORDS``; this answers them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from opstasks.cli.argv import TaskShape

HOST_FLAGS = ("-H", "--hosts")
# The hosts that were not ok in the task's last run.
FAILED = "@failed"


def candidates(
    words: Sequence[str],
    core: Mapping[str, bool],
    tasks: Mapping[str, TaskShape],
    host_names: Callable[[], Iterable[str]],
) -> list[str]:
    """The words that could complete the last one.

    `words` is the line so far without the program's name. An empty list lets the shell offer
    file names, which suits any other flag that takes a value.
    """
    last = words[-1] if words else ""
    before = words[-2] if len(words) > 1 else ""
    if last in HOST_FLAGS or before in HOST_FLAGS:
        return _hosts("" if last in HOST_FLAGS else last, host_names())
    if last.startswith("--hosts="):
        return [f"--hosts={name}" for name in _hosts(last[8:], host_names())]
    task = next((tasks[word] for word in reversed(words[:-1]) if word in tasks), None)
    flags = {**core, **(task.flags if task else {})}
    if last.startswith("-"):
        return [] if flags.get(last) else sorted(_flag_names(flags, last))
    return [] if flags.get(before) else sorted(tasks)


def _flag_names(flags: Iterable[str], typed: str) -> list[str]:
    return [flag for flag in flags if flag.startswith("--" if typed.startswith("--") else "-")]


def _hosts(typed: str, names: Iterable[str]) -> list[str]:
    """Complete the last name of a comma-separated list; it may be an exclusion."""
    done, comma, current = typed.rpartition(",")
    bang = "!" if current.startswith("!") else ""
    return [f"{done}{comma}{bang}{name}" for name in [*names, FAILED]]
