"""hosts.yaml: finding it, and reading it with the files that it includes.

All mistakes in the files are reported at once, each with the key's path, the value and what was
expected. `opstasks.fleet.host_settings` makes an inventory of what was read.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from opstasks.core.errors import Refused
from opstasks.core.hints import one_word
from opstasks.fleet import trusted_files
from opstasks.fleet.inventory import EVERYONE, NAME, HostSpec
from opstasks.fleet.key_files import read_file
from opstasks.fleet.strict_yaml import MOST_BYTES, parse_yaml

ENVIRONMENT = "OPSTASKS_HOSTS"
FILE_NAME = "hosts.yaml"

# Fields that a file may not set: they are derived from the other settings.
_DERIVED = ("name", "groups", "local")
HOST_KEYS = tuple(key for key in HostSpec.__struct_fields__ if key not in _DERIVED)
GROUP_KEYS = ("hosts", "children", *HOST_KEYS)
TOP_KEYS = ("include", "defaults", "groups", "hosts")


def find_inventory(explicit: str | None) -> Path | None:
    """The file to use: --inventory, $OPSTASKS_HOSTS, ./hosts.yaml or above, XDG; None without.

    Raises Refused when a file that was named does not exist.
    """
    for named, source in ((explicit, "--inventory"), (os.environ.get(ENVIRONMENT), ENVIRONMENT)):
        if named:
            path = Path(named).expanduser()
            if not path.is_file():
                what = f"{source} names {named!r}, which is not a file"
                raise Refused(what, hint="inv --help flags")
            return path
    here = Path.cwd()
    config = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "opstasks"
    candidates = [folder / FILE_NAME for folder in (here, *here.parents, config)]
    found = next((path for path in candidates if _is_file(path)), None)
    if found is not None:
        _refuse_strangers(found)
    return found


def _is_file(path: Path) -> bool:
    """Whether the file exists and is visible to this account."""
    try:
        return path.is_file()
    except OSError:
        return False


def _refuse_strangers(path: Path) -> None:
    """Refuse a file that was found and is not the operator's: it says where passwords are sent."""
    if reason := trusted_files.problem(path):
        raise Refused(
            f"{FILE_NAME} of this folder is not used: {reason}",
            hint=f"if you trust it: --inventory {one_word(path)}",
        )


@dataclass
class Mistakes:
    """The mistakes in the files; `file` is the one that is being read."""

    file: str = FILE_NAME
    found: list[str] = field(default_factory=list)

    def add(self, path: str, problem: str) -> None:
        """Add a mistake at a key."""
        text = f"{self.file}: {path}: {problem}"
        if text not in self.found:
            self.found.append(text)

    def bad_value(self, path: str, value: Any, expected: str) -> None:
        """Add the mistake that a key has an invalid value."""
        self.add(path, f"{value!r} is not {expected}")

    def mapping(self, path: str, value: Any, keys: Iterable[str]) -> dict[str, Any]:
        """The known keys of a mapping; other keys are mistakes."""
        if not isinstance(value, dict):
            self.bad_value(path, value, "a mapping")
            return {}
        allowed = list(keys)
        for key in value:
            if key not in allowed:
                near = difflib.get_close_matches(str(key), allowed, 1)
                hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(allowed)}"
                self.add(f"{path}.{key}" if path else str(key), f"unknown key; {hint}")
        return {key: item for key, item in value.items() if key in allowed}

    def words(self, path: str, value: Any) -> list[str]:
        """A list of words; anything else is a mistake."""
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self.bad_value(path, value, "a list of words")
            return []
        return value


@dataclass
class RawFleet:
    """The content of the files, with known keys only; `origin` is the file of each name."""

    defaults: dict[str, Any] = field(default_factory=dict)
    groups: dict[str, dict[str, Any]] = field(default_factory=dict)
    hosts: dict[str, dict[str, Any]] = field(default_factory=dict)
    origin: dict[str, str] = field(default_factory=dict)


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

    mistakes.file = path.name
    try:
        content = parse_yaml(read_file(path, MOST_BYTES).decode("utf-8-sig"))
    except (OSError, ValueError, yaml.YAMLError) as error:  # ValueError: an impossible date
        mistakes.found.append(f"{path}: {' '.join(str(error).split())}")
        return []
    data = mistakes.mapping("", content or {}, TOP_KEYS)
    raw.defaults |= mistakes.mapping("defaults", data.get("defaults") or {}, HOST_KEYS)
    raw.origin["defaults"] = path.name
    for name, values in _named("groups", data, mistakes).items():
        raw.origin.setdefault(name, path.name)
        raw.groups[name] = mistakes.mapping(f"groups.{name}", values or {}, GROUP_KEYS)
    for name, values in _named("hosts", data, mistakes).items():
        if name in raw.hosts:
            where = raw.origin[name]
            mistakes.bad_value(f"hosts.{name}", name, f"a new name ({where} has it already)")
        raw.origin.setdefault(name, path.name)
        raw.hosts[name] = mistakes.mapping(f"hosts.{name}", values or {}, HOST_KEYS)
    names = mistakes.words("include", data.get("include") or [])
    included = [path.parent / Path(name).expanduser() for name in names]
    return [file for file in included if file.is_file() and _is_trusted(file, mistakes)]


def _is_trusted(file: Path, mistakes: Mistakes) -> bool:
    """Whether only the operator can change an included file; adds a mistake otherwise."""
    try:
        reason = trusted_files.problem(file)
    except OSError as error:
        reason = f"{file}: {error.strerror}"
    if reason:
        mistakes.add("include", f"{reason}; it says where passwords are sent")
    return not reason


def _named(section: str, data: Mapping[str, Any], mistakes: Mistakes) -> dict[str, Any]:
    """The entries of `hosts` or `groups` that have valid names."""
    entries = data.get(section) or {}
    if not isinstance(entries, dict):
        mistakes.bad_value(section, entries, "a mapping of names")
        return {}
    found = {}
    for name, values in entries.items():
        if not isinstance(name, str) or not NAME.fullmatch(name) or name == EVERYONE:
            mistakes.bad_value(section, name, "a name of letters, digits, dots and dashes")
            continue
        found[name] = values
    return found
