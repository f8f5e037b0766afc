"""The words of a command line as the Tab key knows them: tasks, flags and arguments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from opstasks.cli.old_names import OLD_NAMES
from opstasks.cli.options import CORE_FLAGS, LIST_FLAGS, UNUSED_FLAGS
from opstasks.cli.task import NOT_FOR_SCREENS, OpsTask

if TYPE_CHECKING:
    from invoke import Argument, ParserContext

# Flags of Invoke that also make sense after a task.
_ALSO_OURS = ("--debug", "--dry", "--echo", "--help", "--prompt-for-sudo-password")
# Flags that are for the scripts of the shells, not for people, or that are always refused.
_HIDDEN = ("--complete", *(f"--{name}" for name in UNUSED_FLAGS))
# What `opstasks.cli.ignored` says about the program's own flags.
_CORE_NEEDS = {"--fields": "--json", **{f"--{name}": "--list" for name in LIST_FLAGS}}
_CORE_EXCLUDES = {
    **dict.fromkeys(("--help", "--list", "--print-completion-script", "--version"), ("--json",)),
    "--quiet": ("--json",),
    "--wide": tuple(f"--{name}" for name in NOT_FOR_SCREENS),
}


class Candidate(NamedTuple):
    """A word that could be typed next, and a few words about it."""

    value: str
    about: str = ""


@dataclass(frozen=True)
class FlagWords:
    """A flag by its long name; `is_optional`: it takes a value or none, as `--help` does.

    It is refused without the flag that it `needs`, and beside one that it `excludes`.
    """

    name: str
    takes_value: bool = False
    is_optional: bool = False
    repeats: bool = False
    about: str = ""
    needs: str = ""
    excludes: tuple[str, ...] = ()


@dataclass(frozen=True)
class TaskWords:
    """What may follow a task; `flags` has every spelling of each flag.

    `positionals` and `variadic` are the long names of flags. `shown` are the spellings to offer.
    `refused` are flags of the program that the task does not take.
    """

    name: str
    flags: Mapping[str, FlagWords] = field(default_factory=dict)
    shown: tuple[str, ...] = ()
    positionals: tuple[str, ...] = ()
    variadic: str = ""
    about: str = ""
    refused: frozenset[str] = frozenset()


@dataclass(frozen=True)
class ProgramWords:
    """All words that the program knows.

    `tasks` has every name of each task, `shown` the names to offer. `core` are the program's own
    flags, `anywhere` those of them that are offered after a task, too.
    """

    core: TaskWords
    anywhere: tuple[str, ...]
    tasks: Mapping[str, TaskWords]
    shown: tuple[str, ...]
    groups: tuple[str, ...]


def program_words(
    core: ParserContext, contexts: Iterable[ParserContext], collection: Any
) -> ProgramWords:
    """The words of Invoke's parser and collection."""
    tasks: dict[str, TaskWords] = {}
    shown = []
    for context in contexts:
        task = collection[context.name]
        words = _words_of(context, task)
        names = [str(name) for name in (context.name, *context.aliases)]
        tasks |= dict.fromkeys(names, words)
        shown.append(min(names, key=len))
    tasks |= {was: tasks[now] for was, now in OLD_NAMES.items() if now in tasks}
    flags = _core_words(core)
    ours = ["--" + flag["names"][0] for flag in CORE_FLAGS]
    anywhere = (*ours, *_ALSO_OURS)
    invokes = [flag for flag in flags.shown if flag not in anywhere]
    groups = dict.fromkeys(name.rpartition(".")[0] for name in shown)
    return ProgramWords(
        core=replace(flags, shown=(*anywhere, *invokes)),
        anywhere=anywhere,
        tasks=tasks,
        shown=tuple(sorted(shown)),
        groups=tuple(sorted(filter(None, groups))),
    )


def short_core_flags() -> list[str]:
    """The short flags that mean the program's also after a task; Invoke's do not."""
    return [f"-{name}" for flag in CORE_FLAGS for name in flag["names"][1:]]


def _core_words(core: ParserContext) -> TaskWords:
    words = _task_words(core, "", "")
    flags = {
        name: replace(
            flag,
            needs=_CORE_NEEDS.get(flag.name, ""),
            excludes=_CORE_EXCLUDES.get(flag.name, ()),
        )
        for name, flag in words.flags.items()
    }
    return replace(words, flags=flags)


def _words_of(context: ParserContext, task: Any) -> TaskWords:
    words = _task_words(context, getattr(task, "variadic", ""), task.__doc__ or "")
    if not isinstance(task, OpsTask):
        return words
    flags = {}
    for name, flag in words.flags.items():
        about = task.flag(flag.name.removeprefix("--"))
        needs = f"--{about.needs}" if about.needs else ""
        flags[name] = replace(flag, needs=needs, excludes=tuple(f"--{n}" for n in about.excludes))
    refused = {*task.ignores, *(() if task.ids else ("quiet",))}
    return replace(words, flags=flags, refused=frozenset(f"--{name}" for name in refused))


def _task_words(context: ParserContext, variadic: str, text: str) -> TaskWords:
    flags: dict[str, FlagWords] = {}
    shown: list[str] = []
    inverse = {was: new for new, was in context.inverse_flags.items()}
    for argument in context.args.values():
        spellings = _spellings(argument)
        words = FlagWords(
            name=spellings[0],
            takes_value=argument.takes_value,
            is_optional=argument.optional,
            repeats=argument.kind is list,
            about=_first_sentence(argument.help or ""),
        )
        opposite = inverse.get(spellings[0])
        flags |= dict.fromkeys([*spellings, *([opposite] if opposite else [])], words)
        if spellings[0] not in _HIDDEN:
            shown.append(opposite or spellings[0])
    positionals = [a for a in context.positional_args if a.kind is not list]
    return TaskWords(
        name=str(context.name or ""),
        flags=flags,
        shown=tuple(shown),
        positionals=tuple(_spellings(argument)[0] for argument in positionals),
        variadic=variadic,
        about=_first_sentence(text.strip().partition("\n")[0]),
    )


def _spellings(argument: Argument) -> Sequence[str]:
    """The long flag first, then the others."""
    from invoke.parser.context import to_flag

    return sorted((to_flag(name) for name in argument.names), key=len, reverse=True)


def _first_sentence(text: str) -> str:
    return text.partition(". ")[0].removesuffix(".")
