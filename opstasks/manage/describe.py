"""The description of a backend: backends/base/host.yaml with backends/NAME/host.yaml over it.

A later entry for the same thing (the same path or name) replaces the earlier one's keys. File
contents come from ``files/`` beside the description, the backend's own first. Paths and contents
may hold placeholders: ``@home@ @service_user@ @unit@ @host@ @backend@ @high_privacy@
@medium_privacy@ @state_dir@ @lock_dir@ @code_url@ @code_ref@ @lib_url@ @lib_ref@ @vars.NAME@``.

Everything is checked before any connection is made; every mistake names its file and key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any, Literal

import msgspec

from opstasks.errors import Refused
from opstasks.inventory import HostSpec

Area = Literal["accounts", "directories", "config", "service", "code", "database"]
AREAS: tuple[Area, ...] = ("accounts", "directories", "config", "service", "code", "database")
_PLACEHOLDER = re.compile(r"@([a-z_]+(?:\.[A-Za-z0-9_]+)?)@")
_MODE = re.compile(r"0[0-7]{3}")


class Group(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A group with a fixed id (0: whatever it has, it must only be there)."""

    name: str
    gid: int = 0
    area: Area = "accounts"


class User(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An account; `groups` are those it must be in besides its own."""

    name: str
    uid: int
    group: str
    groups: tuple[str, ...] = ()
    home: str
    shell: str = "/bin/bash"
    area: Area = "accounts"


class Directory(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A directory with owner and mode (an octal string)."""

    path: str
    owner: str
    group: str
    mode: str
    area: Area = "directories"


class File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file; with `once` only its owner and mode are kept after it was created.

    `check` is a command that must accept the staged file (``@file@``); `backup` keeps what was
    replaced as ``.bak``; `secret` contents are never read or shown; `reload` reloads systemd.
    """

    path: str
    source: str
    owner: str
    group: str
    mode: str
    area: Area = "config"
    once: bool = False
    backup: bool = False
    secret: bool = False
    reload: bool = False
    check: tuple[str, ...] = ()


class Checkout(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A git checkout that must exist; where it stands afterwards is `deploy`'s business."""

    path: str
    url: str
    ref: str
    owner: str
    area: Area = "code"


class Creation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A shell command, run once as `owner`, that makes `path`."""

    path: str
    run: str
    owner: str
    area: Area = "database"


class Unit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A systemd unit that is enabled and running."""

    name: str
    area: Area = "service"


class Description(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything a host should have, in the order in which it is made."""

    groups: tuple[Group, ...] = ()
    users: tuple[User, ...] = ()
    directories: tuple[Directory, ...] = ()
    files: tuple[File, ...] = ()
    checkouts: tuple[Checkout, ...] = ()
    creations: tuple[Creation, ...] = ()
    units: tuple[Unit, ...] = ()
    contents: dict[str, str] = {}


_KEYS = {"groups": "name", "users": "name", "units": "name"}


def describe(spec: HostSpec) -> Description:
    """The description of one host, placeholders filled in; raises Refused for any mistake."""
    root = resources.files("backends")
    if not spec.backend or not root.joinpath(spec.backend).is_dir():
        names = sorted(f.name for f in root.iterdir() if f.joinpath("host.yaml").is_file())
        raise Refused(
            f"there is no description for backend {spec.backend!r}",
            host=spec.name,
            cure=f"set `backend` in hosts.yaml to one of {', '.join(set(names) - {'base'})}",
        )
    folders = [root.joinpath("base"), root.joinpath(spec.backend)]
    raw = _merged([_read(folder, spec) for folder in folders])
    values = placeholders(spec)
    filled = _fill(raw, values, "host.yaml", spec)
    description = _convert(filled, spec)
    contents = {
        file.path: _fill(_source(folders, file.source, spec), values, file.source, spec)
        for file in description.files
    }
    _check(description, spec)
    return msgspec.structs.replace(description, contents=contents)


def placeholders(spec: HostSpec) -> dict[str, str]:
    """What may stand between two at signs."""
    return {
        "home": spec.home,
        "service_user": spec.service_user,
        "unit": spec.unit,
        "host": spec.name,
        "backend": spec.backend,
        "high_privacy": spec.high_privacy,
        "medium_privacy": spec.medium_privacy,
        "state_dir": spec.state_dir,
        "lock_dir": spec.lock_dir,
        "code_url": spec.deploy.code.url,
        "code_ref": spec.deploy.code.ref,
        "lib_url": spec.deploy.lib.url,
        "lib_ref": spec.deploy.lib.ref,
        "file": "@file@",
        **{f"vars.{name}": str(value) for name, value in spec.vars.items()},
    }


def _read(folder: Traversable, spec: HostSpec) -> dict[str, Any]:
    import yaml

    path = folder.joinpath("host.yaml")
    try:
        return yaml.load(path.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader)) or {}  # noqa: S506
    except (OSError, yaml.YAMLError) as error:
        text = " ".join(str(error).split())
        raise Refused(f"backends/{folder.name}/host.yaml: {text}", host=spec.name) from error


def _merged(layers: list[dict[str, Any]]) -> dict[str, Any]:
    """Later layers over earlier ones, entry by entry."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for layer in layers:
        for section, entries in layer.items():
            key = _KEYS.get(section, "path")
            known = found.setdefault(section, {})
            for entry in entries or []:
                name = str(entry.get(key, ""))
                known[name] = {**known.get(name, {}), **entry}
    return {section: list(entries.values()) for section, entries in found.items()}


def _fill(value: Any, values: Mapping[str, str], where: str, spec: HostSpec) -> Any:
    """Replace every placeholder in a text, or in all texts of a structure."""
    if isinstance(value, dict):
        return {key: _fill(item, values, where, spec) for key, item in value.items()}
    if isinstance(value, list):
        return [_fill(item, values, where, spec) for item in value]
    if not isinstance(value, str):
        return value

    def one(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise Refused(
                f"backends: {where}: unknown placeholder {match[0]}",
                host=spec.name,
                cure=f"known: {', '.join(sorted(values))}",
            )
        return values[match[1]]

    return _PLACEHOLDER.sub(one, value)


def _convert(raw: dict[str, Any], spec: HostSpec) -> Description:
    try:
        return msgspec.convert(raw, Description)
    except msgspec.ValidationError as error:
        raise Refused(f"backends/{spec.backend}/host.yaml: {error}", host=spec.name) from error


def _source(folders: list[Traversable], name: str, spec: HostSpec) -> str:
    for folder in reversed(folders):
        path = folder.joinpath("files", name)
        if path.is_file():
            return path.read_text()
    raise Refused(
        f"no file {name!r} under backends/{spec.backend}/files or backends/base/files",
        host=spec.name,
    )


def _check(description: Description, spec: HostSpec) -> None:
    """What the types cannot say: modes, absolute paths, known owners."""
    placed: tuple[Directory | File, ...] = (*description.directories, *description.files)
    for entry in placed:
        if not _MODE.fullmatch(entry.mode) or not entry.path.startswith("/"):
            raise Refused(
                f"backends: {entry.path!r} needs an absolute path and a mode like '0640'",
                host=spec.name,
            )
    for user in description.users:
        known = {group.name for group in description.groups}
        missing = {user.group, *user.groups} - known
        if missing:
            raise Refused(
                f"backends: user {user.name}: unknown groups {', '.join(sorted(missing))}",
                host=spec.name,
            )
