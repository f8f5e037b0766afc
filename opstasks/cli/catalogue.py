"""All tasks of the program by the names that people type: their shapes, groups and help."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from invoke import Argument, Collection, ParserContext

from opstasks.cli.argv import TaskShape
from opstasks.cli.old_names import OLD_NAMES
from opstasks.cli.options import CORE_FLAGS, CORE_HELP
from opstasks.cli.task import MOMENT, SPAN, OpsTask
from opstasks.cli.values import Choice, Moment, Number, Span, SpanText, ValueForm


class Catalogue:
    """The tasks of a collection."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        # The names of each task, the shortest first: people type `deploy`, not `deploy.apply`.
        self._names = [
            sorted([str(name), *map(str, aliases)], key=len)
            for name, aliases in collection.task_names.items()
        ]

    @functools.cached_property
    def contexts(self) -> list[ParserContext]:
        """Every task as Invoke's parser sees it."""
        contexts: list[ParserContext] = self._collection.to_contexts()
        return contexts

    def task(self, name: str) -> OpsTask:
        """A task by one of its names."""
        found: OpsTask = self._collection[OLD_NAMES.get(name, name)]
        return found

    def context(self, name: str) -> ParserContext:
        """A task as Invoke's parser sees it."""
        names = self.names_of(name)
        return next(each for each in self.contexts if each.name in names)

    def names_of(self, name: str) -> list[str]:
        """All names of a task, the shortest first, old ones last."""
        now = OLD_NAMES.get(name, name)
        names = next(names for names in self._names if now in names)
        return [*names, *(old for old, new in OLD_NAMES.items() if new in names)]

    def typed(self, name: str) -> str:
        """The shortest name of a task."""
        return self.names_of(name)[0]

    @functools.cached_property
    def changes(self) -> dict[str, bool]:
        """Each task once, by its shortest name, and whether it changes something."""
        return {names[0]: self.task(names[0]).changes for names in self._names}

    @functools.cached_property
    def groups(self) -> dict[str, list[str]]:
        """The groups (`jobs`), and the tasks of each by their shortest names."""
        names = self._collection.collections
        return {
            group: [self.typed(f"{group}.{name}") for name in names[group].task_names]
            for group in names
        }

    @functools.cached_property
    def shapes(self) -> dict[str, TaskShape]:
        """Every task name, alias and old name, with its shape."""
        shapes: dict[str, TaskShape] = {}
        for context in self.contexts:
            shape = task_shape(context, self._collection[context.name])
            for name in (context.name, *context.aliases):
                shapes[str(name)] = shape
        old = {was: now for was, now in OLD_NAMES.items() if now in shapes}
        return shapes | {was: replace(shapes[now], renamed=now) for was, now in old.items()}

    def topics(self) -> dict[str, str]:
        """What --help can be asked about, and the task, group or topic that it means."""
        names = {name: shape.renamed or name for name, shape in self.shapes.items()}
        return {"flags": "flags", **{group: group for group in self.groups}, **names}

    def summaries(self, names: Iterable[str]) -> Iterator[tuple[str, str]]:
        """Tasks with the first lines of their descriptions."""
        for name in names:
            yield name, (self.task(name).__doc__ or "").strip().split("\n")[0]


def task_shape(context: ParserContext, task: OpsTask) -> TaskShape:
    """What a task takes."""
    flags: dict[str, bool] = {}
    forms: dict[str, ValueForm] = {}
    once: dict[str, str] = {}
    only_with: dict[str, str] = {}
    for arg in context.args.values():
        spelled = list(_spelled(arg))
        flags.update(dict.fromkeys(spelled, arg.takes_value))
        if other := task.flag(arg.names[0]).needs:
            only_with.update(dict.fromkeys(spelled, f"--{other}"))
        once.update(dict.fromkeys(spelled if _is_once(arg) else (), spelled[0]))
        if form := form_of(arg, task):
            forms.update(dict.fromkeys(spelled, form))
    flags.update(dict.fromkeys(context.inverse_flags, False))
    return TaskShape(
        flags=flags,
        needs=tuple(str(arg.names[0]) for arg in context.positional_args),
        variadic=task.variadic,
        once=once,
        forms=forms,
        after_dashes=task.after_dashes,
        only_with=only_with,
        changes=task.changes,
    )


def form_of(arg: Argument, task: OpsTask) -> ValueForm | None:
    """What the value of a flag must be; None for any text."""
    about = task.flag(arg.names[0])
    if arg.kind in (int, float):
        kind = Span if about.value == SPAN else Number
        return kind(arg.kind, about.least)
    if "|" in about.value:
        return Choice(tuple(about.value.split("|")))
    texts: dict[str, ValueForm] = {SPAN: SpanText(), MOMENT: Moment()}
    return texts.get(about.value)


def core_shape(arguments: Sequence[Any]) -> TaskShape:
    """The core flags.

    Invoke's short ones that take a value are known only before the first task: in
    ``jobs.retry -f abc``, -f must not take the job.
    """
    ours = {name for flag in CORE_FLAGS for name in flag["names"]}
    flags: dict[str, bool] = {}
    forms: dict[str, ValueForm] = {}
    once: dict[str, str] = {}
    early: set[str] = set()
    for arg in arguments:
        takes_value = arg.takes_value and not arg.optional
        spelled = list(_spelled(arg))
        flags.update(dict.fromkeys(spelled, takes_value))
        once.update(dict.fromkeys(spelled if _is_once(arg) else (), spelled[0]))
        if arg.kind is int:
            kind = Span if CORE_HELP.get(arg.names[0], ("",))[0] == SPAN else Number
            form = kind(least=1)
            forms.update(dict.fromkeys(spelled, form))
        if arg.takes_value and arg.names[0] not in ours:
            early.update(flag for flag in spelled if not flag.startswith("--"))
    return TaskShape(flags=flags, once=once, forms=forms, early=frozenset(early))


def _is_once(arg: Argument) -> bool:
    return bool(arg.takes_value) and arg.kind is not list


def _spelled(arg: Argument) -> Iterator[str]:
    """A flag as it is typed, the long form first."""
    for name in arg.names:
        yield f"-{name}" if len(name) == 1 else f"--{name}"
