"""hosts.yaml: finding it, and reading it with the files that it includes.

All mistakes in the files are reported at once, each with the file, the line, the key's path, the
value and what was expected. `opstasks.fleet.host_settings` makes an inventory of what was read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from opstasks.core.errors import Refused
from opstasks.core.hints import one_word, quoted
from opstasks.fleet import setting_shapes, trusted_files
from opstasks.fleet.inventory import EVERYONE, NAME, HostSpec
from opstasks.fleet.key_files import read_file
from opstasks.fleet.mistakes import Mistakes, YamlText
from opstasks.fleet.named_files import home_path, is_file
from opstasks.fleet.strict_yaml import MOST_BYTES, YamlPath, parse_yaml, yaml_problem
from opstasks.fleet.struct_checks import Fields, fields_of, problems, shown

ENVIRONMENT = "OPSTASKS_HOSTS"
FILE_NAME = "hosts.yaml"
EXPECTED_NAME = "a name of letters, digits, dots and dashes"


class _FileKeys(msgspec.Struct):
    include: tuple[str, ...] = ()
    defaults: Any = None
    groups: Any = None
    hosts: Any = None


class _GroupKeys(msgspec.Struct):
    hosts: tuple[str, ...] = ()
    children: tuple[str, ...] = ()


# Fields that a file may not set: they are derived from the other settings.
_DERIVED = ("name", "groups", "local")
_OF_HOSTS = {name: each for name, each in fields_of(HostSpec).items() if name not in _DERIVED}
_OF_GROUPS = {**fields_of(_GroupKeys), **_OF_HOSTS}
HOST_KEYS = tuple(_OF_HOSTS)
GROUP_KEYS = tuple(_OF_GROUPS)
TOP_KEYS = tuple(fields_of(_FileKeys))


def find_inventory(explicit: str | None) -> Path | None:
    """The file to use: --inventory, $OPSTASKS_HOSTS, ./hosts.yaml or above, XDG; None without.

    Raises Refused when a file that was named does not exist.
    """
    for named, source in ((explicit, "--inventory"), (os.environ.get(ENVIRONMENT), ENVIRONMENT)):
        if named:
            path = home_path(named)
            if not is_file(path):
                what = f"{source} names {quoted(named)}, which is not a file"
                raise Refused(what, hint="inv --help flags")
            return path
    here = Path.cwd()
    config = home_path(os.environ.get("XDG_CONFIG_HOME") or "~/.config") / "opstasks"
    candidates = [folder / FILE_NAME for folder in (here, *here.parents, config)]
    found = next((path for path in candidates if is_file(path)), None)
    if found is not None:
        _refuse_strangers(found)
    return found


def _refuse_strangers(path: Path) -> None:
    """Refuse a file that was found and is not the operator's: it says where passwords are sent."""
    if reason := trusted_files.problem(path):
        raise Refused(
            f"{FILE_NAME} of this folder is not used: {reason}",
            hint=f"if you trust it: --inventory {one_word(path)}",
        )


@dataclass
class RawFleet:
    """The content of the files, without its mistakes; `origin` is the file of each section's name.

    The origin of the defaults is that of `("defaults",)`.
    """

    defaults: dict[str, Any] = field(default_factory=dict)
    groups: dict[str, dict[str, Any]] = field(default_factory=dict)
    hosts: dict[str, dict[str, Any]] = field(default_factory=dict)
    origin: dict[YamlPath, YamlText] = field(default_factory=dict)


def read(path: Path, mistakes: Mistakes) -> RawFleet:
    """Read a file and those that it includes; an included file may be missing."""
    raw = RawFleet()
    waiting, done = [path], set()
    while waiting:
        current = waiting.pop(0)
        if current.resolve() not in done:
            done.add(current.resolve())
            waiting[:0] = _read_one(current, raw, mistakes)
    return raw


def _read_one(path: Path, raw: RawFleet, mistakes: Mistakes) -> list[Path]:
    """Read one file; returns the files that it includes."""
    import yaml

    try:
        text = read_file(path, MOST_BYTES).decode("utf-8-sig")
        content = parse_yaml(text)
    except (OSError, ValueError, yaml.YAMLError) as error:  # ValueError: it is not UTF-8
        mistakes.add_line(yaml_problem(str(path), error))
        return []
    mistakes.text = YamlText(path.name, text)
    data = _good({} if content is None else content, fields_of(_FileKeys), (), mistakes)
    if "defaults" in data:
        raw.defaults |= _good(data["defaults"], _OF_HOSTS, ("defaults",), mistakes)
        raw.origin["defaults",] = mistakes.text
    for name, values in _named("groups", data, raw, mistakes):
        raw.groups[name] = _good(values, _OF_GROUPS, ("groups", name), mistakes)
    for name, values in _named("hosts", data, raw, mistakes):
        raw.hosts[name] = _good(values, _OF_HOSTS, ("hosts", name), mistakes)
    return list(_included(path.parent, data.get("include", []), mistakes))


def _good(values: Any, known: Fields, path: YamlPath, mistakes: Mistakes) -> dict[str, Any]:
    """The settings without those that have mistakes, which are added."""
    bad = mistakes.add_all(path, problems(values, known, setting_shapes.problem))
    if not isinstance(values, dict):
        return {}
    variables = values.get("vars")
    for name in variables if isinstance(variables, dict) else ():
        if reason := setting_shapes.VARIABLE.problem(name):
            mistakes.add((*path, "vars", name), reason)
    return {key: value for key, value in values.items() if key not in bad}


def _named(
    section: str, data: Mapping[str, Any], raw: RawFleet, mistakes: Mistakes
) -> Iterator[tuple[str, Any]]:
    """The entries of `hosts` or `groups` that have valid names."""
    entries = data.get(section, {})
    if not isinstance(entries, dict):
        mistakes.add((section,), f"{shown(entries)} is not a mapping of names")
        return
    for name, values in entries.items():
        path = (section, name)
        if not NAME.fullmatch(name) or name == EVERYONE:
            mistakes.add(path, f"{shown(name)} is not {EXPECTED_NAME}")
            continue
        if path in raw.origin:
            mistakes.add(path, f"{raw.origin[path].place(path)} has this name already")
        raw.origin.setdefault(path, mistakes.text)
        yield name, values


def _included(folder: Path, names: list[str], mistakes: Mistakes) -> Iterator[Path]:
    """The included files that exist; adds a mistake for one that cannot be used."""
    for place, name in enumerate(names):
        file = folder / home_path(name)
        try:
            if not file.is_file():
                continue
            reason = trusted_files.problem(file)
        except OSError as error:
            reason = f"{shown(name)}: {(error.strerror or str(error)).lower()}"
        else:
            reason = reason and f"{reason}; it says where passwords are sent"
        if reason:
            mistakes.add(("include", place), reason)
        else:
            yield file
