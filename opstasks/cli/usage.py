"""Wrong usage in words: what is wrong, what was probably meant, and what to type next."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opstasks.cli import suggest
from opstasks.cli.argv import ExtraWord, MisfitWord, TaskShape, UnknownFlag
from opstasks.core.errors import Refused

if TYPE_CHECKING:
    from opstasks.fleet.inventory import Inventory

HELP_WORDS = ("help", "h", "?", "man", "usage", "commands", "tasks")
# How many tasks that have a flag are named.
MOST_OWNERS = 3


@dataclass(frozen=True)
class KnownWords:
    """What a word can be: a task (and whether it changes something), a group, a flag, a host."""

    tasks: Mapping[str, bool]
    groups: Mapping[str, Sequence[str]]
    shapes: Mapping[str, TaskShape]
    core: TaskShape
    inventory: Callable[[], Inventory | None]

    # -- misfit words ------------------------------------------------------------------------

    def explained(self, misfit: MisfitWord, line: Sequence[str]) -> Refused:
        """The error for a word that does not fit into the line that was typed."""
        if isinstance(misfit, UnknownFlag):
            return self.unknown_flag(misfit)
        if isinstance(misfit, ExtraWord):
            return self.extra_word(misfit, line)
        return self.unknown_task(misfit.word, misfit.rest)

    def unknown_task(self, word: str, rest: Sequence[str] = ()) -> Refused:
        """A word that is no task."""
        next_task = next((each for each in rest if each in self.shapes), "")
        if word in self.groups:
            return self._group(word, rest)
        if word.lower() in HELP_WORDS:
            return Refused(f"{word!r} is not a task", hint=f"inv --help {next_task or 'TASK'}")
        found = self.host(word, next_task or "status") or self._tasks_like(word)
        if found:
            return found
        if word.startswith("sandbox") and "sandbox" not in self.groups:
            return Refused(f"{word!r} needs the Docker SDK", hint="pip install 'opstasks[sandbox]'")
        # The host is a guess: no command that would change it.
        is_reading = next_task in self.tasks and not self.tasks[next_task]
        return self._near(word, next_task if is_reading else "status")

    def extra_word(self, misfit: ExtraWord, line: Sequence[str]) -> Refused:
        """A word after a task that takes no more words."""
        word, rest, task = misfit.word, misfit.rest, misfit.task
        if what := self.shapes[task].after_dashes:
            before = line[: len(line) - len(rest) - 1]
            typed = shlex.join(["inv", *before, "--", word, *rest])
            return Refused(f"{task}: {what.strip('[]')} must follow --", hint=typed)
        if word in self.groups:
            return self._group(word, rest)
        found = self.host(word, task)
        if found:
            return found
        if suggest.mistyped(word, self.tasks) or word.partition(".")[0] in self.groups:
            return self.unknown_task(word)
        if only := self.shapes[task].variadic.lstrip("-"):
            too_many = f"{task} takes one {only}: {word!r} is too many"
            return Refused(too_many, hint=f"inv --help {task}")
        flag = self._flag_taking(task, word)
        meant = f". Did you mean {flag} {shlex.quote(word)}?" if flag else ""
        return Refused(
            f"{task} takes no word such as {word!r}{meant}",
            hint=f"inv --help {task}",
        )

    def unknown_flag(self, misfit: UnknownFlag) -> Refused:
        """A flag that neither the task nor the program has."""
        flag, task = misfit.word, misfit.task
        own = self.shapes[task].flags if task else {}
        core = set(self.core.flags) - (self.core.early if task else set())
        near = suggest.flag_for(flag, [*own, *sorted(core)])
        hint = f"inv --help {task or 'flags'}"
        what = f"{task} has no flag {flag}" if task else f"no flag is called {flag}"
        if near:
            return Refused(f"{what}. Did you mean {near}?", hint=hint)
        owners = [name for name in self.tasks if flag in self.shapes[name].flags]
        later = [each for each in misfit.rest if each in owners]
        if later:
            return Refused(f"{flag} is a flag of {later[0]}: type it after the task", hint=hint)
        if owners:
            more = ", ..." if len(owners) > MOST_OWNERS else ""
            what += f"; it is a flag of {', '.join(owners[:MOST_OWNERS])}{more}"
        return Refused(what, hint=hint)

    # -- other words -------------------------------------------------------------------------

    def unknown_group(self, word: str) -> Refused:
        """The value of --list, when it is no group."""
        if word in self.shapes:
            return Refused(f"{word!r} is a task, not a group", hint=f"inv --help {word}")
        near = difflib.get_close_matches(word, self.groups, 1)
        meant = f". Did you mean {near[0]}?" if near else ""
        hint = f"inv --list {near[0]}" if near else "inv --list"
        return Refused(f"no group of tasks is called {word!r}{meant}", hint=hint)

    def host(self, word: str, task: str) -> Refused | None:
        """The error for the name of a host or group without -H; None for another word."""
        inventory = self.inventory()
        if inventory is None:
            return None
        names = word.split(",")
        is_address = all("@" in name and inventory.knows(name) for name in names)
        if not is_address and not all(name in inventory.names() for name in names):
            return None
        kind = "a host" if word in inventory.hosts or is_address else "a group of hosts"
        kind = "a list of hosts" if len(names) > 1 else kind
        return Refused(f"{word!r} is {kind}", hint=f"inv -H {word} {task}")

    def _near(self, word: str, task: str) -> Refused:
        """A word that is like a group of tasks, or like a host; otherwise only the list is left."""
        what = f"{word!r} is not a task"
        groups = [group for group in self.groups if suggest.is_one_mistake(word, group)]
        if groups:
            return Refused(
                f"{what}. Did you mean the group {groups[0]}?", hint=f"inv --help {groups[0]}"
            )
        inventory = self.inventory()
        near = difflib.get_close_matches(word, inventory.names() if inventory else [], 1)
        if near:
            return Refused(
                f"{what}. Did you mean the host {near[0]}?", hint=f"inv -H {near[0]} {task}"
            )
        return Refused(what, hint="inv --list")

    def _group(self, word: str, rest: Sequence[str]) -> Refused:
        """A group's name: its tasks; with the rest of a task's name after it, that task."""
        joined = f"{word}.{rest[0]}" if rest else ""
        if joined in self.shapes:
            return Refused(
                f"'{word} {rest[0]}' is not a task. Did you mean {joined}?",
                hint=f"inv --help {joined}",
            )
        parts = ", ".join(name.rpartition(".")[2] for name in self.groups[word])
        return Refused(f"{word!r} is a group of tasks: {parts}", hint=f"inv --help {word}")

    def _tasks_like(self, word: str) -> Refused | None:
        found = suggest.tasks_for(word, self.tasks)
        if not found:
            return None
        hint = f"inv --help {found[0]}" if len(found) == 1 else "inv --list"
        return Refused(f"{word!r} is not a task. Did you mean {', '.join(found)}?", hint=hint)

    def _flag_taking(self, task: str, word: str) -> str:
        """The first flag of a task that a word could be the value of."""
        shape = self.shapes[task]
        taking = [flag for flag, takes_value in shape.flags.items() if takes_value]
        fitting = [flag for flag in taking if flag in shape.forms and _fits(shape, flag, word)]
        return next(iter(fitting or [flag for flag in taking if flag not in shape.forms]), "")


def _fits(shape: TaskShape, flag: str, word: str) -> bool:
    try:
        shape.forms[flag].parsed(flag, word)
    except Refused:
        return False
    return True
