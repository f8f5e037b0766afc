"""A flag that was given is honoured or refused: what the tasks of a line would ignore."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from opstasks.cli.options import EARLY_FLAGS, LIST_FLAGS, UNUSED_FLAGS
from opstasks.cli.task import NOT_FOR_SCREENS
from opstasks.core.errors import Refused

if TYPE_CHECKING:
    from invoke import Argument, ParserContext

    from opstasks.cli.catalogue import Catalogue
    from opstasks.cli.task import OpsTask


def refuse(
    core: Iterable[Argument], tasks: Sequence[ParserContext], after: str, catalogue: Catalogue
) -> None:
    """Raise Refused if a task would ignore a flag, or the words `after` the dashes."""
    given = given_of(core)
    _refuse_core(given)
    name = ""
    for context in tasks:
        name, task = catalogue.typed(str(context.name)), catalogue.task(str(context.name))
        own = given_of(context.args.values())
        for key in sorted(task.ignores & set(given)):
            flag = spelled(given[key])
            raise _without(f"{name} does not take {flag}", flag)
        if "quiet" in given and not task.ids:
            raise _without(f"{name} has no ids that -q could print", "-q")
        _refuse_alone(name, task, own, given)
        if "fields" in given:
            _check_fields(str(context.name), [*given, *own], given["fields"].value)
    if after and name and not catalogue.task(name).after_dashes:
        raise Refused(f"{name} takes no words after --", hint=f"inv --help {name}")


def refuse_late(core: Iterable[Argument], early: Collection[str]) -> None:
    """Raise Refused for a flag after the first words that has an effect only before them.

    `early` are the names of those that Invoke found there.
    """
    given = given_of(core)
    for name in EARLY_FLAGS:
        if name in given and name not in early:
            flag = spelled(given[name])
            hint = f"type {flag} before all other words"
            raise Refused(f"{flag} has no effect at this place", hint=hint)


def _refuse_core(given: Mapping[str, Argument]) -> None:
    """Refuse core flags that no task uses, or that say how to show what is not shown."""
    for name in UNUSED_FLAGS:
        if name in given:
            flag = spelled(given[name])
            raise _without(f"{flag} has no effect: no task uses it", flag)
    for name in LIST_FLAGS:
        if name in given:
            flag = spelled(given[name])
            raise _without(f"{flag} has a meaning only with --list", flag)
    if "fields" in given and "json" not in given:
        raise Refused("--fields has a meaning only with --json", hint="add --json")
    for other in NOT_FOR_SCREENS:
        for name, flag in (("wide", "--wide"), ("quiet", "-q")):
            if {name, other} <= set(given) and name != other:
                raise _without(f"{flag} has no meaning with {spelled(given[other])}", flag)


def _check_fields(task: str, given: Iterable[str], text: str) -> None:
    """Refuse --fields for fields that there are not, before a host is asked."""
    from opstasks.cli import json_values
    from opstasks.cli.options import fields_from

    json_values.check_fields(task, [f"--{name}" for name in given], fields_from(text))


def given_of(arguments: Iterable[Argument]) -> dict[str, Any]:
    """The flags that were typed, by their names."""
    return {str(arg.names[0]): arg for arg in arguments if arg.got_value}


def _refuse_alone(
    name: str, task: OpsTask, given: Mapping[str, Any], core: Mapping[str, Any]
) -> None:
    """Refuse a flag without the one that gives it a meaning, or with one that takes it away."""
    for key in given:
        about = task.about[key]
        if about.needs and about.needs not in given:
            raise _without(f"{name}: --{key} has a meaning only with --{about.needs}", f"--{key}")
        for other in about.excludes:
            if other in given:
                raise _without(f"{name}: --{other} has no meaning with --{key}", f"--{other}")
            if other in core:
                flag = spelled(core[other])
                raise _without(f"{name}: --{key} has no meaning with {flag}", f"--{key}")


def spelled(arg: Argument) -> str:
    """A flag as it may have been typed: ``-e (--echo)``."""
    short, long = (min(arg.names, key=len), max(arg.names, key=len))
    return f"-{short} (--{long})" if len(short) == 1 else f"--{long}"


def _without(message: str, flag: str) -> Refused:
    return Refused(message, hint=f"leave {flag} out")
