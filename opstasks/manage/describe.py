"""The description of a backend: backends/base/host.yaml with backends/NAME/host.yaml over it.

A later entry for the same thing (the same path or name) replaces the earlier one's keys; lists
of people are joined. File contents come from ``files/`` beside the description, the backend's own
first; people's keys from ``keys/``. Paths and contents may hold placeholders: ``@home@
@service_user@ @unit@ @host@ @backend@ @high_privacy@ @medium_privacy@ @state_dir@ @lock_dir@
@code_url@ @code_ref@ @lib_url@ @lib_ref@ @vars.NAME@``.

Everything is checked before any connection is made; every mistake names its file and key.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import msgspec

from opstasks.core.errors import Refused
from opstasks.fleet.inventory import HostSpec
from opstasks.fleet.strict_yaml import parse_yaml
from opstasks.manage import keys, people, units
from opstasks.manage.model import MAPPINGS, SECTIONS, Description, Directory, Entry, File, Options
from opstasks.sync import units as sync

ENVIRONMENT = "OPSTASKS_BACKENDS"
BASE = "base"
_PLACEHOLDER = re.compile(r"@([a-z_]+(?:\.[A-Za-z0-9_]+)?)@")
_MODE = re.compile(r"0[0-7]{3}")
Fetch = Callable[[str, Iterable[str]], dict[str, Any]]


def describe_all(
    specs: Iterable[HostSpec], *, fetch: Fetch | None = None, upgrade: bool = False
) -> dict[str, Description]:
    """The description of every host by name; raises Refused with all that is wrong in any."""
    read = {spec.name: describe(spec) for spec in specs}
    asked = {
        (wanted.options.key_source, name) for wanted in read.values() for name in wanted.listed()
    }
    answers: dict[tuple[str, str], people.Found] = {}
    for source in {source for source, _ in asked if source}:
        names = sorted(name for used, name in asked if used == source)
        found_there = (fetch or _fetch)(source, names)
        answers |= {(source, name): found for name, found in found_there.items()}
    found = {}
    for spec in specs:
        wanted = read[spec.name]
        rings = {
            name: people.Keyring(
                _repository_keys(name, wanted, spec),
                answers.get((wanted.options.key_source, name), ()),
            )
            for name in wanted.listed()
        }
        complete = people.with_people(wanted, rings)
        options = msgspec.structs.replace(
            complete.options, upgrade=complete.options.upgrade or upgrade
        )
        found[spec.name] = msgspec.structs.replace(complete, options=options)
    return found


def _fetch(source: str, names: Iterable[str]) -> dict[str, Any]:
    from opstasks.manage import keysource

    return keysource.fetch(source, names)


def describe(spec: HostSpec) -> Description:
    """The description of one host without its people's accounts; raises Refused.

    Placeholders are filled in, and everything is checked that can be checked from here.
    """
    root = folder(spec)
    if spec.local and not spec.backend:
        raise Refused(
            "this machine is no host of hosts.yaml",
            hint="name one with -H; a host's own shell is known by its `hostname` there",
        )
    if not spec.backend or not root.joinpath(spec.backend, "host.yaml").is_file():
        names = {f.name for f in root.iterdir() if f.joinpath("host.yaml").is_file()} - {BASE}
        raise Refused(
            f"there is no description for backend {spec.backend!r}",
            host=spec.name,
            hint=f"set `backend` in hosts.yaml to one of {', '.join(sorted(names))}",
        )
    folders = [base_folder(root), root.joinpath(spec.backend)]
    folders = [place for place in folders if place.joinpath("host.yaml").is_file()]
    raw = merged([_read(place, spec) for place in folders])
    values = placeholders(spec)
    wanted = _convert(fill(raw, values, "host.yaml", spec), spec)
    contents = {
        file.path: fill(_source(folders, file.source, spec), values, file.source, spec)
        for file in wanted.files
    }
    wanted = msgspec.structs.replace(wanted, contents=contents)
    wrong = [*mistakes(wanted), *_sync_mistakes(wanted, spec)]
    if wrong:
        raise _refused(wrong, spec)
    return with_sync(wanted, spec)


def with_sync(wanted: Description, spec: HostSpec) -> Description:
    """The description with the Level 3 sync's files, for a host that has a source for it.

    Whether the timer runs is `sync.start`'s and `sync.stop`'s to say.
    """
    if not spec.level3_source:
        return wanted
    place = Directory(path=sync.folder(), owner="root", group="root", mode="0755", area="service")
    texts = sync.files(spec)
    files = [
        File(
            path=path,
            source="",
            owner="root",
            group="root",
            mode="0644",
            area="service",
            reload="daemon" if path.startswith(sync.UNIT_DIR) else "",
        )
        for path in texts
    ]
    return msgspec.structs.replace(
        wanted,
        directories=(*wanted.directories, place),
        files=(*wanted.files, *files),
        contents={**wanted.contents, **texts},
    )


def _sync_mistakes(wanted: Description, spec: HostSpec) -> Iterator[str]:
    for path in sync.files(spec) if spec.level3_source else ():
        if path in wanted.contents:
            yield f"files: {path}: belongs to the Level 3 sync (level3_source in hosts.yaml)"


def folder(spec: HostSpec) -> Traversable:
    """The folder of a host's description and of the keys of its people.

    $OPSTASKS_BACKENDS, else `backends` of the host in hosts.yaml, else the program's own folder.
    """
    named = os.environ.get(ENVIRONMENT) or spec.backends
    if not named:
        return resources.files("opstasks.backends")
    path = Path(named).expanduser()
    if not path.is_dir():
        origin = f"${ENVIRONMENT}" if os.environ.get(ENVIRONMENT) else "backends in hosts.yaml"
        raise Refused(f"{origin}: {named!r} is not a folder", host=spec.name, hint="correct it")
    return path


def base_folder(root: Traversable) -> Traversable:
    """The base for the descriptions in a folder: its own, else the program's.

    A folder of $OPSTASKS_BACKENDS replaces all of the program's, and may be without a base.
    """
    own = root.joinpath(BASE)
    if os.environ.get(ENVIRONMENT) or own.joinpath("host.yaml").is_file():
        return own
    return resources.files("opstasks.backends").joinpath(BASE)


def shown_folder(spec: HostSpec) -> str:
    """The same for people: as short as it is from here."""
    path = Path(str(folder(spec))).absolute()
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


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


# -- reading -----------------------------------------------------------------------------------


def _read(place: Traversable, spec: HostSpec) -> dict[str, Any]:
    import yaml

    where = f"backends/{place.name}/host.yaml"
    try:
        data = parse_yaml(place.joinpath("host.yaml").read_text()) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise Refused(f"{where}: {' '.join(str(error).split())}", host=spec.name) from error
    wrong = list(_layer_mistakes(data))
    if wrong:
        raise _refused([f"{where}: {text}" for text in wrong], spec)
    found: dict[str, Any] = data
    return found


def _layer_mistakes(data: Any) -> Iterator[str]:
    """Unknown keys and things that stand twice, in one file."""
    if not isinstance(data, dict):
        yield "needs to be a mapping of sections"
        return
    for section, entries in data.items():
        if section not in SECTIONS and section not in MAPPINGS:
            yield f"unknown section {_nearest(section, [*SECTIONS, *MAPPINGS])}"
        elif section in MAPPINGS:
            yield from _mapping_mistakes(section, entries)
        elif not isinstance(entries or [], list):
            yield f"{section}: needs to be a list"
        else:
            yield from _entry_mistakes(section, entries or [])


def _mapping_mistakes(section: str, values: Any) -> Iterator[str]:
    if not isinstance(values or {}, dict):
        yield f"{section}: needs to be a mapping"
    elif section == "options":
        for key in set(values or {}) - set(Options.__struct_fields__):
            yield f"options: unknown key {_nearest(key, Options.__struct_fields__)}"
    else:
        for role, names in (values or {}).items():
            if not isinstance(names or [], list):
                yield f"people.{role}: needs to be a list of names"


def _entry_mistakes(section: str, entries: list[Any]) -> Iterator[str]:
    kind, key = SECTIONS[section]
    seen: set[str] = set()
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get(key), str):
            yield f"{section}: {str(entry)[:60]!r} needs the key {key!r}"
            continue
        name = entry[key]
        if name in seen:
            yield f"{section}: {name!r} stands twice"
        seen.add(name)
        for unknown in set(entry) - set(kind.__struct_fields__):
            yield f"{section}: {name}: unknown key {_nearest(unknown, kind.__struct_fields__)}"


def _nearest(word: object, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(str(word), list(known), 1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(known))}"
    return f"{word!r}; {hint}"


def merged(layers: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Later layers over earlier ones, entry by entry; people of all layers together."""
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


def _convert(raw: dict[str, Any], spec: HostSpec) -> Description:
    """Typed, section by section and entry by entry, so that a mistake can be named."""
    found: dict[str, Any] = {}
    wrong: list[str] = []
    for section, (kind, key) in SECTIONS.items():
        entries: list[Entry] = []
        for entry in raw.get(section, ()):
            try:
                entries.append(msgspec.convert(entry, kind))
            except msgspec.ValidationError as error:
                wrong.append(f"{section}: {entry[key]}: {error}")
        found[section] = tuple(entries)
    try:
        found["options"] = msgspec.convert(raw["options"], Options)
        found["people"] = msgspec.convert(raw["people"], dict[str, tuple[str, ...]])
    except msgspec.ValidationError as error:
        wrong.append(f"options or people: {error}")
    if wrong:
        raise _refused(wrong, spec)
    return Description(**found)


def _source(folders: list[Traversable], name: str, spec: HostSpec) -> str:
    for place in reversed(folders):
        path = place.joinpath("files", name)
        if path.is_file():
            try:
                return path.read_text()
            except (OSError, UnicodeDecodeError) as error:
                raise Refused(f"backends: files/{name}: {error}", host=spec.name) from error
    names = " or ".join(f"backends/{place.name}/files" for place in reversed(folders))
    raise Refused(f"no file {name!r} under {names}", host=spec.name)


def _repository_keys(name: str, wanted: Description, spec: HostSpec) -> tuple[keys.Key, ...]:
    """A person's keys of the repository; they may be absent only where there is a source."""
    path = folder(spec).joinpath("keys", name)
    if not path.is_file() and wanted.options.key_source:
        return ()
    try:
        found = keys.parse(path.read_text())
    except (OSError, UnicodeDecodeError, keys.NotAKey) as error:
        reason = getattr(error, "strerror", None) or error
        raise Refused(
            f"backends/keys/{name}: {reason}",
            host=spec.name,
            hint=f"put {name}'s public keys there, or take {name} off the lists",
        ) from error
    if not found:
        raise Refused(f"backends/keys/{name}: holds no key", host=spec.name)
    return found


# -- what the types cannot say -----------------------------------------------------------------


def mistakes(wanted: Description) -> Iterator[str]:
    """Modes, absolute paths, known groups, patterns, unit files, lists of people."""
    yield from _mode_mistakes(wanted)
    yield from _path_mistakes(wanted)
    yield from _option_mistakes(wanted.options)
    yield from _account_mistakes(wanted)
    yield from people.mistakes(wanted)
    for setting in wanted.settings:
        yield from _setting_mistakes(setting.name, setting.match, setting.line)
    for path, text in wanted.contents.items():
        if path.startswith("/etc/systemd/system/"):
            yield from (f"files: {path}: {said}" for said in units.mistakes(path, text))


def _mode_mistakes(wanted: Description) -> Iterator[str]:
    modes = [
        (f"{section}: {entry.path}", entry.mode)
        for section in ("directories", "files", "rights")
        for entry in getattr(wanted, section)
    ]
    for tree in wanted.trees:
        named = (tree.files, tree.directories, *tree.tolerated)
        modes += [(f"trees: {tree.path}", mode) for mode in named]
    for where, mode in modes:
        if not _MODE.fullmatch(mode):
            yield f"{where}: mode {mode!r} is not like '0640'"


def _path_mistakes(wanted: Description) -> Iterator[str]:
    placed = ("directories", "files", "settings", "rights", "removals", "trees", "checkouts")
    for section in placed:
        for entry in getattr(wanted, section):
            if not _plain(entry.path):
                yield f"{section}: {entry.path!r} is no plain absolute path"


def _plain(path: str) -> bool:
    parts = path.split("/")
    return path.startswith("/") and ".." not in parts and not set(path) & set("\0\n")


def _option_mistakes(options: Options) -> Iterator[str]:
    source = options.key_source
    if source and not (source.startswith("https://") and "{name}" in source):
        yield f"options: key_source {source!r} needs to be an https address with {{name}} in it"


def _account_mistakes(wanted: Description) -> Iterator[str]:
    known = {group.name for group in wanted.groups}
    for user in wanted.users:
        for group in sorted({user.group, *user.groups} - known):
            yield f"users: {user.name}: unknown group {group!r}"


def _setting_mistakes(name: str, match: str, line: str) -> Iterator[str]:
    try:
        found = re.search(match, line)
    except re.error as error:
        yield f"settings: {name}: match: {error}"
        return
    if not found or "\n" in line:
        yield f"settings: {name}: `match` has to find `line`, which is one line"


def _refused(wrong: list[str], spec: HostSpec) -> Refused:
    count = len(wrong)
    text = wrong[0] if count == 1 else f"{count} mistakes:\n  " + "\n  ".join(wrong)
    return Refused(
        f"backend {spec.backend}: {text}",
        host=spec.name,
        hint="correct the description; nothing was connected to",
    )
