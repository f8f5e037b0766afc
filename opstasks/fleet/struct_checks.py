"""Check values of a YAML text against the fields of a struct: each mistake with its path, pure.

A new field is checked by its type. An empty text is a value only where it is the default; a missing
value ("key:") is none at all.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any, get_args, get_origin

import msgspec
from msgspec.structs import FieldInfo

from opstasks.core.lines import clipped
from opstasks.fleet.strict_yaml import YamlPath

# What is wrong with the value at a path.
Problem = tuple[YamlPath, str]
# The problem of a text that is not empty, by its path; "" for none.
TextCheck = Callable[[YamlPath, str], str]
Fields = Mapping[str, FieldInfo]


@cache
def fields_of(kind: type[msgspec.Struct]) -> Fields:
    """The fields of a struct by name."""
    return {field.name: field for field in msgspec.structs.fields(kind)}


def any_text(path: YamlPath, text: str) -> str:
    """A check that accepts every text."""
    return ""


def problems(
    value: Any, known: Fields, check: TextCheck = any_text, path: YamlPath = ()
) -> Iterator[Problem]:
    """What is wrong with a mapping of fields; any of them may be missing."""
    if not isinstance(value, dict):
        yield path, _not(value, "a mapping", "{}")
        return
    for name, item in value.items():
        below = (*path, name)
        if name not in known:
            yield below, f"unknown key; {nearest(name, known)}"
        else:
            field = known[name]
            yield from _of_type(item, field.type, check, below, is_optional=field.default == "")


def nearest(word: object, known: Iterable[str]) -> str:
    """A hint for a word that is not known."""
    near = difflib.get_close_matches(str(word)[:60], list(known), 1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"


def shown(value: Any) -> str:
    """A value in an error."""
    return clipped(repr(value), 80)


def dotted(path: YamlPath) -> str:
    """A path for people: `hosts.tpp.host_keys[0]`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{plain(part)}" for part in path)
    return text.removeprefix(".")


def plain(name: str) -> str:
    """A key or a name in an error: quoted if it would not be one line as it is."""
    return clipped(name, 80) if name.isprintable() else shown(name)


def _not(value: Any, expected: str, none: str = "") -> str:
    if value is None:
        return (
            f"has no value; {f'write {none} for none, or' if none else 'write one, or'} remove it"
        )
    return f"{shown(value)} is not {expected}"


def _of_type(
    value: Any, kind: Any, check: TextCheck, path: YamlPath, *, is_optional: bool
) -> Iterator[Problem]:
    """What is wrong with a value of any type of a field."""
    origin = get_origin(kind)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield from problems(value, fields_of(kind), check, path)
    elif origin is tuple:
        if not isinstance(value, list):
            yield path, _not(value, "a list", "[]")
            return
        for place, item in enumerate(value):
            yield from _of_type(item, get_args(kind)[0], check, (*path, place), is_optional=False)
    elif origin is dict:
        if not isinstance(value, dict):
            yield path, _not(value, "a mapping", "{}")
            return
        for name, item in value.items():
            inner = get_args(kind)[1]
            yield from _of_type(item, inner, check, (*path, name), is_optional=True)
    elif problem := _of_scalar(value, kind, check, path, is_optional=is_optional):
        yield path, problem


def _of_scalar(
    value: Any, kind: Any, check: TextCheck, path: YamlPath, *, is_optional: bool
) -> str:
    if value is None:
        return _not(value, "")
    if value == "" and not is_optional:
        return "is empty: write a value, or remove it"
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        return f"{shown(value)}: {error}"
    if not isinstance(value, str) or not value:
        return ""
    # No program takes it, and for a file it ends the name.
    return f"{shown(value)} has the character \\0" if "\0" in value else check(path, value)
