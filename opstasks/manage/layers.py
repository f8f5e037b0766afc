"""The layers of a description: reading a host.yaml, merging layers, typing the result.

Every mistake is refused with its file, line and key.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from importlib.resources.abc import Traversable
from typing import Any

import msgspec

from opstasks.core.errors import Refused
from opstasks.core.fields import ready
from opstasks.fleet.inventory import HostSpec
from opstasks.fleet.mistakes import YamlText
from opstasks.fleet.strict_yaml import parse_yaml, yaml_problem
from opstasks.fleet.struct_checks import Problem, dotted, fields_of, nearest, plain, problems, shown
from opstasks.manage.model import MAPPINGS, SECTIONS, BackendOptions, Description, ManageEntry

_PLACEHOLDER = re.compile(r"@([a-z_]+(?:\.[A-Za-z0-9_]+)?)@")


class _PeopleSection(msgspec.Struct):
    people: dict[str, tuple[str, ...]] = {}


def read_layer(place: Traversable, spec: HostSpec) -> dict[str, Any]:
    """The content of one host.yaml, not to be changed; raises Refused with all its mistakes."""
    import yaml

    where = f"backends/{place.name}/host.yaml"
    try:
        text = place.joinpath("host.yaml").read_bytes().decode()
        data, wrong = _parsed(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise Refused(yaml_problem(where, error), host=spec.name) from error
    if wrong:
        known = YamlText(where, text)
        raise refused([f"{known.place(path)}: {problem}" for path, problem in wrong], spec)
    return data


@lru_cache(maxsize=16)
def _parsed(text: str) -> tuple[dict[str, Any], list[Problem]]:
    """The value of a layer, and its mistakes: all hosts share the same few layers."""
    found = parse_yaml(text)
    data = {} if found is None else found
    return data, list(_layer_problems(data))


def _layer_problems(data: Any) -> Iterator[Problem]:
    """Unknown sections, unknown keys, values of wrong types and duplicate names, in one file."""
    if not isinstance(data, dict):
        yield (), "must be a mapping of sections"
        return
    for section, entries in data.items():
        if section in SECTIONS:
            yield from _list_problems(section, entries)
        elif section == "options":
            found = problems(entries, fields_of(BackendOptions), path=(section,))
            yield from ((path, f"{dotted(path)}: {text}") for path, text in found)
        elif section == "people":
            found = problems({section: entries}, fields_of(_PeopleSection))
            yield from ((path, f"{dotted(path)}: {text}") for path, text in found)
        else:
            hint = nearest(section, [*SECTIONS, *MAPPINGS])
            yield (section,), f"unknown section {shown(section)}; {hint}"


def _list_problems(section: str, entries: Any) -> Iterator[Problem]:
    kind, key = SECTIONS[section]
    if not isinstance(entries, list):
        yield (section,), f"{section}: must be a list; write [] for none"
        return
    seen: set[str] = set()
    for place, entry in enumerate(entries):
        name = entry.get(key) if isinstance(entry, dict) else None
        if not isinstance(name, str) or not name:
            yield (section, place), f"{section}: {shown(entry)} needs the key {key!r}"
            continue
        if name in seen:
            yield (section, place), f"{section}: {shown(name)} is a duplicate"
        seen.add(name)
        for path, text in problems(entry, fields_of(kind)):
            yield (section, place, *path), f"{section}: {plain(name)}: {dotted(path)}: {text}"


def merged(layers: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Later layers merged over earlier ones, entry by entry; people of all layers combined."""
    lists: dict[str, dict[str, dict[str, Any]]] = {}
    options: dict[str, Any] = {}
    joined: dict[str, list[str]] = {}
    for layer in layers:
        options |= layer.get("options", {})
        for role, names in layer.get("people", {}).items():
            joined[role] = list(dict.fromkeys([*joined.get(role, []), *names]))
        for section in layer.keys() - set(MAPPINGS):
            known = lists.setdefault(section, {})
            for entry in layer[section]:
                name = str(entry[SECTIONS[section][1]])
                known[name] = {**known.get(name, {}), **entry}
    found: dict[str, Any] = {section: list(known.values()) for section, known in lists.items()}
    return {**found, "options": options, "people": joined}


def fill(value: Any, values: Mapping[str, str], where: str, spec: HostSpec) -> Any:
    """Replace every placeholder in a text, or in all texts of a structure."""
    if isinstance(value, dict):
        return {key: fill(item, values, where, spec) for key, item in value.items()}
    if isinstance(value, list):
        return [fill(item, values, where, spec) for item in value]
    if not isinstance(value, str):
        return value

    def one(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise Refused(
                f"backends: {where}: unknown placeholder {match[0]}",
                host=spec.name,
                hint=f"known: {', '.join(sorted(values))}",
            )
        return values[match[1]]

    return _PLACEHOLDER.sub(one, value)


def typed(raw: dict[str, Any], spec: HostSpec) -> Description:
    """The description as types; raises Refused naming every invalid entry."""
    found: dict[str, Any] = {}
    wrong: list[str] = []
    for section, (kind, key) in SECTIONS.items():
        entries: list[ManageEntry] = []
        for entry in raw.get(section, ()):
            try:
                entries.append(msgspec.convert(entry, ready(kind)))
            except msgspec.ValidationError as error:
                wrong.append(f"{section}: {entry[key]}: {error}")
        found[section] = tuple(entries)
    try:
        found["options"] = msgspec.convert(raw["options"], ready(BackendOptions))
        found["people"] = msgspec.convert(raw["people"], dict[str, tuple[str, ...]])
    except msgspec.ValidationError as error:
        wrong.append(f"options or people: {error}")
    if wrong:
        raise refused(wrong, spec)
    return Description(**found)


def refused(wrong: list[str], spec: HostSpec) -> Refused:
    """The error for mistakes in a description."""
    first, *more = wrong
    count = f"{len(wrong)} mistakes: " if more else ""
    return Refused(
        f"backend {spec.backend}: {count}{first}",
        host=spec.name,
        tail="\n".join(more),
        hint="correct the description; no connection was made",
    )
