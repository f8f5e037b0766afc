"""The types of JSON values (`opstasks.cli.json_values`): their fields, and whether a value fits."""

from __future__ import annotations

import collections.abc
import inspect
import re
import types
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from opstasks.cli.json_values import fields_of
from opstasks.core.state import HostState

_LISTS = (list, tuple, set, frozenset, collections.abc.Sequence)
_MAPS = (dict, collections.abc.Mapping)
_EPOCH = r"seconds since the epoch(, or 0|, 0 [^.;]*)?"
_PLAIN = {bool: "true or false", int: "number", float: "number", str: "text"}


def plain(kind: Any) -> Any:
    """A type without its limits and without its own name."""
    while True:
        if get_origin(kind) is Annotated:
            kind = get_args(kind)[0]
        elif hasattr(kind, "__supertype__"):
            kind = kind.__supertype__
        elif hasattr(kind, "__value__"):
            kind = kind.__value__
        else:
            return kind


def is_moment(name: str, kind: Any) -> bool:
    """Whether a field is shown as ISO 8601, or null."""
    arms = {plain(arm) for arm in _arms(plain(kind))}
    return (name == "at" or name.endswith("_at")) and bool(arms & {int, float})


def _arms(kind: Any) -> tuple[Any, ...]:
    is_union = get_origin(kind) in (Union, types.UnionType)
    return get_args(kind) if is_union else (kind,)


# -- whether a value fits ------------------------------------------------------------------------


def problems(kind: Any, value: object, where: str) -> Iterator[str]:
    """What is wrong with a decoded value of a type."""
    kind = plain(kind)
    arms = _arms(kind)
    if len(arms) > 1:
        found = [list(problems(arm, value, where)) for arm in arms]
        if all(found):
            yield min(found, key=len)[0]
    elif (named := fields_of(kind)) is not None:
        yield from _object_problems(kind, named, value, where)
    elif (origin := get_origin(kind) or kind) in _LISTS:
        yield from _list_problems(get_args(kind), value, where)
    elif origin in _MAPS:
        if not isinstance(value, dict):
            yield f"{where}: no object, but {value!r}"
            return
        inner = (get_args(kind) or (Any, Any))[1]
        for key, item in value.items():
            yield from problems(inner, item, f"{where}.{key}")
    elif not _is_one(kind, value):
        yield f"{where}: {value!r} is no {text(kind)}"


def _object_problems(kind: Any, named: dict[str, Any], value: object, where: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{where}: no object, but {value!r}"
        return
    missing = [] if kind is HostState else [name for name in named if name not in value]
    unknown = [name for name in value if name not in named]
    if missing or unknown:
        yield f"{where}: fields missing: {missing}, unknown: {unknown}"
    for name in named.keys() & value.keys():
        place, item = f"{where}.{name}", value[name]
        if not is_moment(name, named[name]):
            yield from problems(named[name], item, place)
        elif not (item is None or _is_iso(item)):
            yield f"{place}: {item!r} is no moment"


def _list_problems(args: tuple[Any, ...], value: object, where: str) -> Iterator[str]:
    if not isinstance(value, list):
        yield f"{where}: no list, but {value!r}"
        return
    same = len(args) < 2 or args[1] is Ellipsis
    kinds = [args[0] if args else Any] * len(value) if same else list(args)
    if len(kinds) != len(value):
        yield f"{where}: {len(value)} items, not {len(kinds)}"
    for number, (kind, item) in enumerate(zip(kinds, value, strict=False)):
        yield from problems(kind, item, f"{where}[{number}]")


def _is_iso(value: object) -> bool:
    try:
        return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def _is_one(kind: Any, value: object) -> bool:
    if kind in (Any, object):
        return True
    if kind in (None, types.NoneType):
        return value is None
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    # Other types are shown as text.
    return isinstance(value, bool if kind is bool else str)


# -- in words ------------------------------------------------------------------------------------


def text(kind: Any, name: str = "") -> str:
    """A type in words, for docs/json.md."""
    kind = plain(kind)
    if is_moment(name, kind):
        return "moment or null"
    arms = _arms(kind)
    if len(arms) > 1:
        return " or ".join(text(arm) for arm in arms)
    if kind in (None, types.NoneType):
        return "null"
    if get_origin(kind) is Literal:
        return ", ".join(f"`{word}`" for word in get_args(kind))
    origin, args = get_origin(kind) or kind, get_args(kind)
    if origin in _LISTS:
        inner = [arg for arg in args if arg is not Ellipsis]
        return "list of " + " and ".join(text(arg) for arg in inner) if inner else "list"
    if origin in _MAPS:
        return f"object of {text(args[1])} by name" if args else "object"
    if fields_of(kind) is not None:
        return f"[{kind.__name__}](#{kind.__name__.lower()})"
    return _PLAIN.get(kind, "text" if kind in (Path,) or isinstance(kind, type) else "any value")


def meaning(kind: Any) -> str:
    """What a type and its fields mean, for docs/json.md: its docstring, in the words of JSON.

    There, a moment is no number, and None is null.
    """
    found = [_sentence(text) for text in re.split(r"(?<=\.)\s+", inspect.getdoc(kind) or "")]
    text = " ".join(sentence for sentence in found if sentence)
    for python, word in (("None", "null"), ("True", "true"), ("False", "false")):
        text = re.sub(rf"\b{python}\b", word, text)
    return re.sub(r"(_at`[^.;,]*?)\b0\b", r"\1null", text)


def _sentence(text: str) -> str:
    """A sentence without what is only for readers of the code."""
    text = re.sub(r" \(`opstasks[^)]*\)", "", " ".join(text.split()))
    text = re.sub(f", in {_EPOCH}", "", text).removesuffix(".")
    clauses = [part for part in text.split("; ") if not re.search(_EPOCH, part)]
    is_code = text.startswith("Raises ")
    return "; ".join(clauses) + "." if clauses and not is_code else ""


def inside(kind: Any) -> Iterator[Any]:
    """The structs and dataclasses that a type is made of, the outer ones first."""
    kind = plain(kind)
    named = fields_of(kind)
    if named is not None:
        yield kind
    parts = named.values() if named is not None else get_args(kind)
    if get_origin(kind) is not Literal:
        for part in parts:
            yield from inside(part)
