"""The inventory that hosts.yaml describes, every setting checked.

A host's settings are those of `defaults`, then of its groups from the farthest to the nearest,
then its own; mappings (`deploy`, `vars`) merge key by key.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from opstasks.core import durations
from opstasks.core.errors import Refused
from opstasks.core.formats import plural
from opstasks.fleet import setting_shapes as shapes
from opstasks.fleet.hosts_file import FILE_NAME, Mistakes, RawFleet, read
from opstasks.fleet.inventory import (
    NEVER,
    DeploySpec,
    HostSpec,
    Inventory,
    RepoSpec,
    parse_ad_hoc,
)


def load(path: Path | None) -> Inventory:
    """Read and check a file and the files that it includes; empty without a file.

    Raises Refused with everything that is wrong.
    """
    if path is None:
        return Inventory({}, {})
    mistakes = Mistakes()
    inventory = _Builder(read(path, mistakes), mistakes).inventory()
    if mistakes.found:
        first, *more = mistakes.found
        first = first.removeprefix(f"{path.name}: ")
        raise Refused(
            f"{path} has {plural(len(more) + 1, 'mistake')}: {first}",
            tail="\n".join(more),
            hint="see hosts.example.yaml",
        )
    return inventory


class _Builder:
    """Makes the inventory from what was read; collects every mistake."""

    def __init__(self, raw: RawFleet, mistakes: Mistakes) -> None:
        self._raw = raw
        self._mistakes = mistakes

    def inventory(self) -> Inventory:
        """The inventory, without the hosts that have mistakes."""
        self._at("defaults")
        members = {name: tuple(self._members(name, ())) for name in self._raw.groups}
        for name in self._raw.groups:
            if name in self._raw.hosts:
                self._mistakes.bad_value(f"groups.{name}", name, "a name that is not a host's")
        defaults = self._converted("defaults", {"name": "", **self._raw.defaults})
        hosts = {name: self._host(name, members) for name in self._raw.hosts}
        good = {name: spec for name, spec in hosts.items() if spec is not None}
        for spec in good.values():
            self._check_gateway(spec, good)
        known = {
            group: tuple(name for name in good if name in names) for group, names in members.items()
        }
        return Inventory(good, known, defaults)

    def _at(self, name: str) -> None:
        """Report the following mistakes for the file that defines this name."""
        self._mistakes.file = self._raw.origin.get(name, FILE_NAME)

    # -- groups ------------------------------------------------------------------------------

    def _members(self, group: str, above: tuple[str, ...]) -> Iterator[str]:
        """Every host of a group, also of its children."""
        path = f"groups.{group}"
        if group in above:
            self._mistakes.bad_value(f"{path}.children", group, "free of cycles")
            return
        values = self._raw.groups[group]
        for name in self._mistakes.words(f"{path}.hosts", values.get("hosts") or []):
            if name in self._raw.hosts:
                yield name
            else:
                self._undefined(f"{path}.hosts", name, self._raw.hosts)
        for child in self._mistakes.words(f"{path}.children", values.get("children") or []):
            if child in self._raw.groups:
                yield from self._members(child, (*above, group))
            else:
                self._undefined(f"{path}.children", child, self._raw.groups)

    def _undefined(self, path: str, name: str, known: Iterable[str]) -> None:
        near = difflib.get_close_matches(name, list(known), 1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        self._mistakes.add(path, f"{name!r} is not defined{hint}")

    # -- hosts -------------------------------------------------------------------------------

    def _host(self, name: str, members: Mapping[str, tuple[str, ...]]) -> HostSpec | None:
        self._at(name)
        groups = [group for group, hosts in members.items() if name in hosts]
        # A group that names the host itself is nearer than one that has it through a child.
        groups.sort(key=lambda group: name in (self._raw.groups[group].get("hosts") or []))
        values = dict(self._raw.defaults)
        for group in groups:
            values = merged(values, self._raw.groups[group])
        values = merged(values, self._raw.hosts[name])
        for key in ("hosts", "children"):
            values.pop(key, None)
        values.setdefault("address", name)
        return self._converted(f"hosts.{name}", {**values, "name": name, "groups": groups})

    def _converted(self, path: str, values: dict[str, Any]) -> HostSpec | None:
        """The settings as a `HostSpec`; None when one of them is wrong."""
        before = len(self._mistakes.found)
        self._check_shapes(path, values)
        self._check_deploy(path, values.get("deploy"))
        if len(self._mistakes.found) > before:
            return None
        try:
            return msgspec.convert(values, HostSpec)
        except msgspec.ValidationError as error:
            text, _, where = str(error).partition(" - at `$.")
            key = where.rstrip("`")
            found: Any = values
            for part in key.partition("[")[0].split("."):
                found = found.get(part) if isinstance(found, dict) else found
            self._mistakes.add(f"{path}.{key}", f"{found!r}: {text}")
            return None

    def _check_shapes(self, path: str, values: Mapping[str, Any]) -> None:
        for key, shape in shapes.SHAPES.items():
            self._check(f"{path}.{key}", values.get(key) or "", shape)
        for key in (*shapes.LINES, *shapes.LOCAL_PATHS):
            self._check_line(f"{path}.{key}", values.get(key), is_path=key in shapes.LOCAL_PATHS)
        self._check_span(f"{path}.keep_connection", values.get("keep_connection"))
        self._check_lists(path, values)
        port = values.get("port")
        if isinstance(port, int) and not 0 <= port < 65536:
            self._mistakes.bad_value(f"{path}.port", port, "a port (1 to 65535)")

    def _check(self, path: str, value: Any, shape: shapes.Shape) -> None:
        """Add a mistake if a value does not have the shape; the default "" is always accepted."""
        if value == "" or (isinstance(value, str) and shape.pattern.fullmatch(value)):
            return
        plain = value.rstrip("/") if isinstance(value, str) else ""
        if shape.pattern.fullmatch(plain):
            self._mistakes.add(path, f"{value!r} ends with a slash: write {plain}")
        else:
            self._mistakes.bad_value(path, value, shape.expected)

    def _check_line(self, path: str, value: Any, *, is_path: bool) -> None:
        if not isinstance(value, str):
            return  # another type is refused later
        if not shapes.is_line(value) or (is_path and value.startswith("-")):
            self._mistakes.bad_value(path, value, "a path" if is_path else "one line of text")
        elif path.endswith(".backends") and value and not value.startswith("/"):
            self._mistakes.bad_value(path, value, "an absolute path")

    def _check_lists(self, path: str, values: Mapping[str, Any]) -> None:
        keys = values.get("host_keys")
        for line in keys if isinstance(keys, list) else []:
            self._check(f"{path}.host_keys", line, shapes.HOST_KEY)
        words = values.get("tools_run_args")
        for word in words if isinstance(words, list) else []:
            self._check_line(f"{path}.tools_run_args", word, is_path=False)
        known = values.get("vars")
        for name, value in known.items() if isinstance(known, dict) else ():
            self._check(f"{path}.vars", name, shapes.VARIABLE)
            if isinstance(value, str):
                self._check(f"{path}.vars.{name}", value, shapes.VALUE)

    def _check_span(self, path: str, value: Any) -> None:
        try:
            if isinstance(value, str) and value not in ("", NEVER):
                durations.parse(value)
        except Refused as error:
            self._mistakes.add(path, f"{error.message}; {error.hint}")

    def _check_deploy(self, path: str, deploy: Any) -> None:
        if deploy is None:
            return
        where = f"{path}.deploy"
        deploy = self._mistakes.mapping(where, deploy, DeploySpec.__struct_fields__)
        for name in ("code", "lib"):
            if name not in deploy:
                continue
            fields = RepoSpec.__struct_fields__
            repo = self._mistakes.mapping(f"{where}.{name}", deploy[name], fields)
            for key, shape in (("url", shapes.URL), ("ref", shapes.REF)):
                self._check(f"{where}.{name}.{key}", repo.get(key, ""), shape)

    def _check_gateway(self, spec: HostSpec, hosts: Mapping[str, HostSpec]) -> None:
        self._at(spec.name)
        is_known = spec.gateway in hosts and spec.gateway != spec.name
        if spec.gateway and not is_known and parse_ad_hoc(spec.gateway) is None:
            path = f"hosts.{spec.name}.gateway"
            self._mistakes.bad_value(path, spec.gateway, "a host or user@host[:port]")


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """One mapping merged over another; inner mappings are merged key by key."""
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        both = isinstance(old, dict) and isinstance(value, dict)
        result[key] = merged(old, value) if both else value  # type: ignore[arg-type]
    return result
