"""YAML with plain values only: everything that YAML reads in a surprising way is an error.

YAML 1.1 reads 0022 as 18, 22:22 as 1342, 1_0 as 10 and `no` as false, takes the last one of
duplicate keys, and lets a short text stand for billions of values. Here, numbers are decimal, and
only `true` and `false` are truth values. Dates, tags (!), and keys that are not texts are errors.
There are no anchors, aliases and merge keys: hosts.yaml has `defaults` and `groups` for values that
several hosts share. For YAML, U+2028 and similar characters end a line, and so a comment. Editors
and reviews do not show that, so these characters are errors too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from opstasks.core.lines import clipped, hidden_sign

# Enough for some thousand hosts; a description of a backend has a few kB.
MOST_BYTES = 4 << 20
# libyaml's own composer crashes when a text nests some ten thousand levels.
MOST_LEVELS = 100
# A longer number is a mistake. These are finite, and Python reads them in no time.
MOST_DIGITS = 18
# How deep `line_numbers` looks: deeper than any setting of hosts.yaml or of a description.
_NUMBERED_LEVELS = 8
_INT = re.compile(rf"[-+]?(0|[1-9][0-9]{{0,{MOST_DIGITS - 1}}})")
_FLOAT = re.compile(rf"[-+]?(0|[1-9][0-9]{{0,{MOST_DIGITS - 1}}})\.[0-9]{{1,{MOST_DIGITS}}}")
_TRUTHS = {"true": True, "false": False}
# libyaml refuses these, too, but does not say in which line.
_CONTROL = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")
# Block collections nest by their indentation, at most two levels for each column.
_FAR_RIGHT = re.compile(rf"^[ ?:-]{{{MOST_LEVELS // 2}}}", re.MULTILINE)
_TAG = "tag:yaml.org,2002:"
# Where a value is: the keys and the places in lists that lead to it.
YamlPath = tuple[str | int, ...]


def parse_yaml(text: str) -> Any:
    """The value of a YAML text; raises yaml.YAMLError with the line and the reason."""
    import yaml

    base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    if len(text) > MOST_BYTES:
        raise yaml.YAMLError(f"longer than {MOST_BYTES >> 20} MiB")
    if found := hidden_sign(text):
        raise yaml.YAMLError(found)
    if control := _CONTROL.search(text):
        line = text.count("\n", 0, control.start()) + 1
        raise yaml.YAMLError(f"line {line} has the control character U+{ord(control[0]):04X}")
    _refuse_unsupported(text, yaml, base)

    loader = _strict(base, yaml)
    return yaml.load(text, loader)  # noqa: S506 (a subclass of the safe loader)


def _strict(base: Any, yaml: Any) -> Any:
    """The safe loader, strict about keys and values."""

    class Loader(base):  # type: ignore[misc]
        pass

    def mapping(loader: Any, node: Any) -> dict[Any, Any]:
        # Compares keys as written, not as values: this halves the time for a large hosts.yaml.
        names = [key.value for key, _ in node.value if key.tag == f"{_TAG}str"]
        if len(names) < len(node.value) or len(set(names)) < len(names):
            raise _error(*_bad_key(node))
        return dict(base.construct_mapping(loader, node, deep=True))

    def scalar(kind: str) -> Any:
        read, expected = _SCALARS[kind]

        def construct(loader: Any, node: Any) -> Any:
            value = read(node.value)
            if value is None:
                text = f"{_written(node)} is not {expected}; quote it if it is a text"
                raise _error(text, node.start_mark)
            return value

        return construct

    Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
    for kind in _SCALARS:
        Loader.add_constructor(f"{_TAG}{kind}", scalar(kind))
    return Loader


def _whole(written: str) -> int | None:
    return int(written) if _INT.fullmatch(written) else None


def _decimal(written: str) -> float | None:
    return float(written) if _FLOAT.fullmatch(written) else None


def _nothing(written: str) -> None:
    """Reads no value, however it is written."""


_DECIMAL = f"a plain decimal number of at most {MOST_DIGITS} digits"
# For each of YAML's kinds of values without quotes: how it is read, and what it should have been.
_SCALARS: dict[str, tuple[Callable[[str], Any], str]] = {
    "int": (_whole, _DECIMAL),
    "float": (_decimal, _DECIMAL),
    "bool": (_TRUTHS.get, "`true` or `false`"),
    "timestamp": (_nothing, "a plain value, but a date"),
    "value": (_nothing, "a plain value"),
    "merge": (_nothing, "a plain value"),
}


def yaml_problem(name: str, error: Exception) -> str:
    """An error of `parse_yaml` in one line: the file, the line and the reason."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return f"{name}: {' '.join(str(error).split())}"
    context, problem = getattr(error, "context", None), getattr(error, "problem", None)
    return f"{name}:{mark.line + 1}: {': '.join(filter(None, (context, problem)))}"


def _error(text: str, mark: Any) -> Exception:
    import yaml

    return yaml.MarkedYAMLError(problem=text, problem_mark=mark)


def _written(node: Any) -> str:
    return repr(clipped(str(node.value), 60))


def _bad_key(node: Any) -> tuple[str, Any]:
    """What is wrong with the first bad key of a mapping, and where it is."""
    seen = set()
    for key, _ in node.value:
        if key.tag == f"{_TAG}merge":
            return "merge keys (<<) are not supported", key.start_mark
        if not isinstance(key.value, str):
            return "a list or a mapping cannot be a key", key.start_mark
        if key.tag != f"{_TAG}str":
            return f"the key {_written(key)} is not a text: quote it", key.start_mark
        if key.value in seen:
            return f"duplicate key {_written(key)}", key.start_mark
        seen.add(key.value)
    raise AssertionError("all keys are good")


def _refuse_unsupported(text: str, yaml: Any, base: Any) -> None:
    """Refuse deep nesting, anchors, aliases and tags.

    Most texts cannot contain them, so their events are not examined.
    """
    is_flat = text.count("[") + text.count("{") <= MOST_LEVELS and not _FAR_RIGHT.search(text)
    if is_flat and not any(sign in text for sign in "*&!"):
        return
    level = 0
    for event in yaml.parse(text, base):
        if getattr(event, "anchor", None):
            message = "anchors and aliases (&, *) are not supported; quote it if it is a text"
            raise _error(message, event.start_mark)
        if getattr(event, "tag", None):
            raise _error("tags (!) are not supported; quote it if it is a text", event.start_mark)
        level += isinstance(event, yaml.CollectionStartEvent)
        level -= isinstance(event, yaml.CollectionEndEvent)
        if level > MOST_LEVELS:
            raise _error(f"more than {MOST_LEVELS} levels", event.start_mark)


def line_numbers(text: str) -> dict[YamlPath, int]:
    """The line of each value of a text that `parse_yaml` reads, by its path; counted from 1."""
    import yaml

    root = yaml.compose(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return dict(_numbered(root, ())) if root is not None else {}


def _numbered(node: Any, path: YamlPath) -> Iterator[tuple[YamlPath, int]]:
    if isinstance(node.value, str) or len(path) == _NUMBERED_LEVELS:
        return
    for place, item in enumerate(node.value):
        # Of a mapping, the key's line: the value may begin on the next one.
        key, value = item if isinstance(item, tuple) else (item, item)
        below = (*path, place if key is value else key.value)
        yield below, key.start_mark.line + 1
        yield from _numbered(value, below)
