"""The order of words on the command line.

Invoke expects core flags before the task. While a positional argument is missing, it takes a flag
for one. Its tasks cannot have a variable number of arguments. So the words that people type are put
into Invoke's order first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


class MissingValueError(ValueError):
    """A flag at the end of the line has no value but needs one; the message is the flag."""


@dataclass(frozen=True)
class TaskShape:
    """What a task takes: its flags (True when one takes a value) and its positional arguments.

    All further words are values of the flag `variadic` ("": no further words are allowed).
    `renamed` is the new name of a task that was typed by its old name.
    """

    flags: Mapping[str, bool] = field(default_factory=dict)
    positionals: int = 0
    variadic: str = ""
    renamed: str = ""


def arrange(
    words: Sequence[str], core: Mapping[str, bool], tasks: Mapping[str, TaskShape]
) -> list[str]:
    """Core flags first, then each task with its own words.

    `core` maps each core flag to whether it takes a value. ``jobs.kill a b`` becomes
    ``jobs.kill --job a --job b`` where ``--job`` is the task's variadic flag.
    Raises MissingValueError: ``deploy -H`` must not become a deploy on this machine.
    """
    front: list[str] = []
    rest: list[str] = []
    waiting = list(words)
    task: TaskShape | None = None
    seen = 0
    while waiting:
        word = waiting.pop(0)
        flag, equals, _ = word.partition("=")
        if task is not None and flag in task.flags:
            rest += _with_value(word, task.flags[flag] and not equals, waiting)
        elif flag in core:
            front += _with_value(word, core[flag] and not equals, waiting)
        elif word[:2] in core and core[word[:2]] and not word.startswith("--") and len(word) > 2:
            front += [word[:2], word[2:]]
        elif word.startswith("-") and len(word) > 1:
            rest.append(word)
        elif task is not None and seen < task.positionals:
            seen += 1
            rest.append(word)
        elif task is not None and task.variadic:
            rest += [task.variadic, word]
        else:
            task, seen = tasks.get(word), 0
            rest.append((task and task.renamed) or word)
    return front + rest


def help_topic(words: Sequence[str], tasks: Mapping[str, TaskShape]) -> str | None:
    """The task of a line that has ``--help`` anywhere.

    "" without a task, None without ``--help``.
    """
    if not {"--help", "-h"} & set(words):
        return None
    named = next((word for word in words if word in tasks), "")
    return (named and tasks[named].renamed) or named


def _with_value(word: str, takes_next: bool, waiting: list[str]) -> list[str]:
    if takes_next and not waiting:
        raise MissingValueError(word)
    return [word, waiting.pop(0)] if takes_next else [word]
