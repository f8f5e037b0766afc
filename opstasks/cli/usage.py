"""Wrong usage in words: what is wrong, what was probably meant, and what to type next."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opstasks.cli import extra_words, suggest
from opstasks.cli.argv import (
    ExtraWord,
    MisfitWord,
    MisplacedTask,
    TaskShape,
    UnknownFlag,
    UnquotedText,
)
from opstasks.cli.retyped import retyped
from opstasks.core.errors import Refused
from opstasks.core.hints import quoted, unsecret

if TYPE_CHECKING:
    from opstasks.fleet.inventory import Inventory

HELP_WORDS = ("help", "h", "?", "man", "usage", "commands", "tasks")
# How many tasks that have a flag are named.
MOST_OWNERS = 3
# How alike a word and the name of a host must be; most words mean a task.
LIKE_A_HOST = 0.8


@dataclass(frozen=True)
class KnownWords:
    """What a word can be: a task (and whether it changes something), a group, a flag, a host.

    `after` are the words of the line from ``--`` on, which the next command to type keeps.
    """

    tasks: Mapping[str, bool]
    groups: Mapping[str, Sequence[str]]
    shapes: Mapping[str, TaskShape]
    core: TaskShape
    inventory: Callable[[], Inventory | None]
    after: Sequence[str] = ()

    # -- misfit words ------------------------------------------------------------------------

    def explained(self, misfit: MisfitWord, line: Sequence[str]) -> Refused:
        """The error for a word that does not fit into the line that was typed."""
        if isinstance(misfit, UnknownFlag):
            return self.unknown_flag(misfit)
        if isinstance(misfit, ExtraWord):
            return self.extra_word(misfit, line)
        if isinstance(misfit, MisplacedTask):
            return self.misplaced_task(misfit, line)
        if isinstance(misfit, UnquotedText):
            return self.unquoted_text(misfit, line)
        return self.unknown_task(misfit.word, misfit.rest, _before(misfit, line))

    def unknown_task(
        self, word: str, rest: Sequence[str] = (), before: Sequence[str] = ()
    ) -> Refused:
        """A word that is no task, with the words after and before it."""
        next_task = next((each for each in rest if each in self.shapes), "")
        if word in self.groups:
            return self._group(word, rest)
        if word.lower() in HELP_WORDS:
            return Refused(
                f"{quoted(word)} is not a task", hint=f"inv --help {next_task or 'TASK'}"
            )
        found = self.host(word, [*before, *rest]) or self._tasks_like(word)
        if found:
            return found
        if word.startswith("sandbox") and "sandbox" not in self.groups:
            return Refused(
                f"{quoted(word)} needs the Docker SDK", hint="pip install 'opstasks[sandbox]'"
            )
        return self._near(word, [*before, *rest])

    def extra_word(self, misfit: ExtraWord, line: Sequence[str]) -> Refused:
        """A word after a task that takes no more words."""
        word, task = misfit.word, misfit.task
        shape = self.shapes[task]
        if shape.after_dashes:
            return self._before_dashes(misfit, line)
        if f"{task}.{word}" in self.tasks:
            return self._joined(task, word)
        before = _before(misfit, line)
        found = (
            self._named_flag(misfit, before)
            or self._meant_flag(misfit, extra_words.certain_flag(task, shape, word, before))
            or (self._group(word, misfit.rest) if word in self.groups else None)
            or self.host(word, [*before, *misfit.rest])
        )
        if found:
            return found
        if suggest.mistyped(word, self.tasks) or word.partition(".")[0] in self.groups:
            return self.unknown_task(word)
        if only := shape.variadic.lstrip("-"):
            if not before[-2].startswith("-"):
                # ``logs since 1h``: the name of a flag was taken for the one word.
                earlier = ExtraWord(before[-1], [word, *misfit.rest], task)
                if named := self._named_flag(earlier, before[:-1]):
                    return named
            too_many = f"{task} takes one {only}: {quoted(word)} is too many"
            return Refused(too_many, hint=f"inv --help {task}")
        if other := extra_words.RUNS.get(task, ""):
            words = [other if each == task else each for each in before]
            hint = retyped([*words, "--", word, *misfit.rest, *self.after[1:]], other)
            what = f"{task} takes no command such as {quoted(word)}: {other} does"
            return Refused(what, hint=hint)
        flag = extra_words.flag_taking(task, shape, word, before)
        return self._meant_flag(misfit, flag) or _no_such_word(misfit)

    def _before_dashes(self, misfit: ExtraWord, line: Sequence[str]) -> Refused:
        """A word that must follow ``--``, or the name of a host.

        A flag of ours behind it may be one of the command to run: only -H with known hosts is not.
        """
        task, shape = misfit.task, self.shapes[misfit.task]
        before, (hosts, rest) = _before(misfit, line), self._split_hosts(misfit.rest)
        ours = {*shape.flags, *self.core.flags} - self.core.early
        own = [each for each in rest if each.startswith("--") and each.partition("=")[0] in ours]
        is_certain = not own and not _has_hosts(rest) and not (hosts and _has_hosts(before))
        is_given = bool(hosts) or _has_hosts([*before, *rest])
        rest += self.after[1:]
        if kind := self._kind_of_hosts(misfit.word):
            what = f"{quoted(misfit.word)} is {kind}"
            if is_given:
                return Refused(f"{what}, and -H is given already", hint=f"inv --help {task}")
            words = ["-H", misfit.word, *before, "--", *rest]
            is_certain = is_certain and bool(rest)
        else:
            what = f"{task}: {shape.after_dashes.strip('[]')} must follow --"
            words = [*hosts, *before, "--", misfit.word, *rest]
        return Refused(what, hint=retyped(words, task) if is_certain else f"inv --help {task}")

    def _split_hosts(self, words: Sequence[str]) -> tuple[list[str], list[str]]:
        """-H with each of its values that are known hosts, and the other words."""
        hosts: list[str] = []
        others: list[str] = []
        waiting = list(words)
        while waiting:
            word = waiting.pop(0)
            flag = next((each for each in ("--hosts", "-H") if word.startswith(each)), "")
            value = word[len(flag) :].removeprefix("=") or next(iter(waiting), "")
            if flag and self._kind_of_hosts(value):
                hosts += [flag, value]
                del waiting[: word == flag]
            else:
                others.append(word)
        return hosts, others

    def misplaced_task(self, misfit: MisplacedTask, line: Sequence[str]) -> Refused:
        """A task that may be meant as a word of the task before it."""
        word, task = misfit.word, misfit.task
        given = {each.partition("=")[0] for each in line}
        is_for_task = "--task" in self.shapes[task].flags and "--task" not in given
        flag = misfit.flag or ("--task" if is_for_task else "")
        what = f"{task}: {quoted(word)} is a task: type it as a command of its own"
        if not flag:
            return Refused(f"{what}, since {task} only reads", hint=f"inv --help {task}")
        hint = self._command(*_before(misfit, line), flag, word, *misfit.rest)
        return Refused(f"{what}, or with {flag}", hint=hint)

    def unquoted_text(self, misfit: UnquotedText, line: Sequence[str]) -> Refused:
        """A word after the one word of a text: the quotes are missing, or it is another task."""
        place = len(line) - len(misfit.rest) - 1
        end = next((i for i in range(place, len(line)) if line[i].startswith("-")), len(line))
        first = line[place - 1].removeprefix(f"{misfit.flag}=")
        before = line[: place - 1]
        if before[-1] == misfit.flag:  # not in ``--reason=before``
            before = before[:-1]
        text = " ".join([first, *line[place:end]])
        hint = retyped([*before, misfit.flag, text, *line[end:]], misfit.task)
        what = f"{misfit.task}: {quoted(misfit.word)} follows {misfit.flag}: put the text in quotes"
        if misfit.word in self.shapes:
            what += ", or type the task as a command of its own"
        return Refused(what, hint=hint)

    def unknown_flag(self, misfit: UnknownFlag) -> Refused:
        """A flag that neither the task nor the program has."""
        flag, task = unsecret(misfit.word), misfit.task
        own = self.shapes[task].flags if task else {}
        core = set(self.core.flags) - (self.core.early if task else set())
        owners = [name for name in self.tasks if flag in self.shapes[name].flags]
        near = suggest.flag_for(flag, [*own, *sorted(core)], is_whole=bool(owners))
        hint = f"inv --help {task or 'flags'}"
        what = f"{task} has no flag {flag}" if task else f"no flag is called {flag}"
        if near:
            return Refused(f"{what}. Did you mean {near}?", hint=hint)
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
            return Refused(f"{quoted(word)} is a task, not a group", hint=f"inv --help {word}")
        near = difflib.get_close_matches(word, self.groups, 1)
        meant = f". Did you mean {near[0]}?" if near else ""
        hint = f"inv --list {near[0]}" if near else "inv --list"
        return Refused(f"no group of tasks is called {quoted(word)}{meant}", hint=hint)

    def host(self, word: str, others: Sequence[str]) -> Refused | None:
        """The error for the name of a host or group without -H; None for another word.

        `others` are the other words of the line: without them, the command would do something else.
        """
        kind = self._kind_of_hosts(word)
        if not kind:
            return None
        task = next((each for each in others if each in self.shapes), "")
        if _has_hosts(others):
            return Refused(
                f"{quoted(word)} is {kind}, and -H is given already",
                hint=f"inv --help {task or 'flags'}",
            )
        return Refused(f"{quoted(word)} is {kind}", hint=self._on(word, others if task else ()))

    def _kind_of_hosts(self, word: str) -> str:
        """What a word names, if it is hosts; otherwise ""."""
        inventory = self.inventory()
        if inventory is None:
            return ""
        names = word.split(",")
        is_address = all("@" in name and inventory.knows(name) for name in names)
        if not is_address and not all(name in inventory.names() for name in names):
            return ""
        if len(names) > 1:
            return "a list of hosts"
        return "a host" if word in inventory.hosts or is_address else "a group of hosts"

    def _near(self, word: str, others: Sequence[str]) -> Refused:
        """A word that is like a group of tasks, or like a host; otherwise only the list is left."""
        what = f"{quoted(word)} is not a task"
        groups = [group for group in self.groups if suggest.is_one_mistake(word, group)]
        if groups:
            return Refused(
                f"{what}. Did you mean the group {groups[0]}?", hint=f"inv --help {groups[0]}"
            )
        inventory = self.inventory()
        if inventory and (near := inventory.nearest(word, LIKE_A_HOST)):
            kind = "host" if near in inventory.hosts else "group of hosts"
            hint = self._command_on(near, others)
            return Refused(f"{what}. Did you mean the {kind} {near}?", hint=hint)
        return Refused(what, hint="inv --list")

    def _command_on(self, near: str, others: Sequence[str]) -> str:
        """What to type for a host that is a guess: no command that would change it."""
        if _has_hosts(others):
            return "inv --help flags"
        tasks = [each for each in others if each in self.shapes]
        is_reading = tasks and not any(self.shapes[each].changes for each in tasks)
        return self._on(near, others if is_reading else ())

    def _on(self, hosts: str, words: Sequence[str]) -> str:
        """A command to type for hosts: a line, or a look at them."""
        if not words:
            return retyped(["-H", hosts, "status"])
        return self._command("-H", hosts, *words)

    def _command(self, *words: str) -> str:
        """A command to type, with the words of the line after ``--``."""
        task = next((each for each in words if each in self.shapes), "")
        return retyped([*words, *self.after], task)

    def _group(self, word: str, rest: Sequence[str]) -> Refused:
        """A group's name: its tasks; with the rest of a task's name after it, that task."""
        if rest and f"{word}.{rest[0]}" in self.shapes:
            return self._joined(word, rest[0])
        return Refused(
            f"{quoted(word)} is a group of tasks: {self._parts(word)}", hint=f"inv --help {word}"
        )

    def _joined(self, group: str, word: str) -> Refused:
        """The name of a task in two words."""
        name = f"{group}.{word}"
        return Refused(
            f"'{group} {word}' is not a task. Did you mean {name}?", hint=f"inv --help {name}"
        )

    def _parts(self, group: str) -> str:
        return ", ".join(name.rpartition(".")[2] for name in self.groups[group])

    def _tasks_like(self, word: str) -> Refused | None:
        found = suggest.tasks_for(word, self.tasks)
        what = f"{quoted(word)} is not a task"
        if found:
            hint = f"inv --help {found[0]}" if len(found) == 1 else "inv --list"
            return Refused(f"{what}. Did you mean {', '.join(found)}?", hint=hint)
        parent, _, part = word.lower().rpartition(".")
        if parent in self.groups:
            return Refused(
                f"{what}; those of {parent} are: {self._parts(parent)}", hint=f"inv --help {parent}"
            )
        if parent in self.tasks:
            has_flag = f"--{part}" in self.shapes[parent].flags
            meant = f". Did you mean {parent} --{part}?" if has_flag else ""
            return Refused(f"{what}{meant}", hint=f"inv --help {parent}")
        return None

    def _named_flag(self, misfit: ExtraWord, before: Sequence[str]) -> Refused | None:
        """The error for ``for 2h``: the line with the dashes; None for another word."""
        shape = self.shapes[misfit.task]
        named = extra_words.named_flag(shape, misfit.word, misfit.rest, before)
        if named is None:
            return None
        flag, value, taken = named
        hint = self._command(*before, flag, value, *misfit.rest[taken:])
        # Without the value: the message may be kept in a log.
        return _no_such_word(misfit, f". Did you mean {flag}?", hint)

    def _meant_flag(self, misfit: ExtraWord, flag: str) -> Refused | None:
        """The error for a word that is a flag, or the value of one; None without a `flag`."""
        if not flag:
            return None
        takes_value = self.shapes[misfit.task].flags[flag]
        meant = f"{flag} {shlex.quote(unsecret(misfit.word))}" if takes_value else flag
        return _no_such_word(misfit, f". Did you mean {meant}?")


def _no_such_word(misfit: ExtraWord, meant: str = "", hint: str = "") -> Refused:
    what = f"{misfit.task} takes no word such as {quoted(misfit.word)}{meant}"
    return Refused(what, hint=hint or f"inv --help {misfit.task}")


def _before(misfit: MisfitWord, line: Sequence[str]) -> Sequence[str]:
    """The words of the line before the misfit word."""
    return line[: len(line) - len(misfit.rest) - 1]


def _has_hosts(words: Sequence[str]) -> bool:
    return any(each.startswith(("-H", "--hosts")) for each in words)


def inventory_if_valid() -> Inventory | None:
    """The hosts, for suggestions; None for a broken file."""
    from opstasks.core.hints import given
    from opstasks.fleet.host_settings import load
    from opstasks.fleet.hosts_file import find_inventory

    try:
        return load(find_inventory(given("--inventory")))
    except (Refused, OSError):
        return None
