"""The layers of a description: reading a host.yaml, merging layers, typing the result.

Every mistake is refused with its file and key.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from importlib.resources.abc import Traversable
from typing import Any

import msgspec

from opstasks.core.errors import Refused
from opstasks.core.fields import ready
from opstasks.fleet.inventory import HostSpec
from opstasks.fleet.strict_yaml import parse_yaml
from opstasks.manage.model import MAPPINGS, SECTIONS, BackendOptions, Description, ManageEntry

_PLACEHOLDER = re.compile(r"@([a-z_]+(?:\.[A-Za-z0-9_]+)?)@")


def read_layer(place: Traversable, spec: HostSpec) -> dict[str, Any]:
    """The content of one host.yaml, not to be changed; raises Refused with all its mistakes."""
    import yaml

    where = f"backends/{place.name}/host.yaml"
    try:
        data = _parsed(place.joinpath("host.yaml").read_bytes().decode()) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise Refused(f"{where}: {' '.join(str(error).split())}", host=spec.name) from error
    wrong = list(_layer_mistakes(data))
    if wrong:
        raise refused([f"{where}: {text}" for text in wrong], spec)
    found: dict[str, Any] = data
    return found


@lru_cache(maxsize=16)
def _parsed(text: str) -> Any:
    """The value of a layer: all hosts share the same few, and parsing takes most of the time."""
    return parse_yaml(text)


def _layer_mistakes(data: Any) -> Iterator[str]:
    """Unknown sections, unknown keys and duplicate names, in one file."""
    if not isinstance(data, dict):
        yield "must be a mapping of sections"
        return
    for section, entries in data.items():
        if section not in SECTIONS and section not in MAPPINGS:
            yield f"unknown section {_nearest(section, [*SECTIONS, *MAPPINGS])}"
        elif section in MAPPINGS:
            yield from _mapping_mistakes(section, entries)
        elif not isinstance(entries or [], list):
            yield f"{section}: must be a list"
        else:
            yield from _entry_mistakes(section, entries or [])


def _mapping_mistakes(section: str, values: Any) -> Iterator[str]:
    if not isinstance(values or {}, dict):
        yield f"{section}: must be a mapping"
    elif section == "options":
        for key in set(values or {}) - set(BackendOptions.__struct_fields__):
            yield f"options: unknown key {_nearest(key, BackendOptions.__struct_fields__)}"
    else:
        for role, names in (values or {}).items():
            if not isinstance(names or [], list):
                yield f"people.{role}: must be a list of names"


def _entry_mistakes(section: str, entries: list[Any]) -> Iterator[str]:
    kind, key = SECTIONS[section]
    seen: set[str] = set()
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get(key), str):
            yield f"{section}: {str(entry)[:60]!r} needs the key {key!r}"
            continue
        name = entry[key]
        if name in seen:
            yield f"{section}: {name!r} is a duplicate"
        seen.add(name)
        for unknown in set(entry) - set(kind.__struct_fields__):
            yield f"{section}: {name}: unknown key {_nearest(unknown, kind.__struct_fields__)}"


def _nearest(word: object, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(str(word), list(known), 1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(known))}"
    return f"{word!r}; {hint}"


def merged(layers: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Later layers merged over earlier ones, entry by entry; people of all layers combined."""
    lists: dict[str, dict[str, dict[str, Any]]] = {}
    options: dict[str, Any] = {}
    joined: dict[str, list[str]] = {}
    for layer in layers:
        options |= layer.get("options") or {}
        for role, names in (layer.get("people") or {}).items():
            joined[role] = list(dict.fromkeys([*joined.get(role, []), *(names or [])]))
        for section in layer.keys() - set(MAPPINGS):
            known = lists.setdefault(section, {})
            for entry in layer[section] or []:
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
