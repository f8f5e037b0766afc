"""The inventory that hosts.yaml describes, every setting checked.

A host's settings are those of `defaults`, then of its groups from the farthest to the nearest,
then its own; mappings (`deploy`, `vars`) merge key by key.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from opstasks.core.errors import Refused
from opstasks.core.fields import ready
from opstasks.core.formats import plural
from opstasks.core.hints import one_word
from opstasks.fleet.hosts_file import RawFleet, read
from opstasks.fleet.inventory import EXAMPLE, DeploySpec, HostSpec, Inventory, parse_ad_hoc
from opstasks.fleet.mistakes import Mistakes, YamlText
from opstasks.fleet.strict_yaml import YamlPath
from opstasks.fleet.struct_checks import shown


def load(path: Path | None) -> Inventory:
    """Read and check a file and the files that it includes; empty without a file.

    Raises Refused with everything that is wrong.
    """
    if path is None:
        return Inventory({}, {})
    mistakes = Mistakes(YamlText(path.name, ""))
    inventory = _Builder(read(path, mistakes), mistakes).inventory(path)
    if mistakes.found:
        first, *more = mistakes.found
        first = first.removeprefix(f"{path.name}: ")
        raise Refused(
            f"{path} has {plural(len(more) + 1, 'mistake')}: {first}",
            tail="\n".join(more),
            hint=f"see {one_word(str(EXAMPLE))}",
        )
    return inventory


class _Builder:
    """Makes the inventory from what was read; collects every mistake."""

    def __init__(self, raw: RawFleet, mistakes: Mistakes) -> None:
        self._raw = raw
        self._mistakes = mistakes
        # A part of `deploy` keeps the other parts: a `ref` alone is a ref of the usual repository.
        self._defaults = merged({"deploy": msgspec.to_builtins(DeploySpec())}, raw.defaults)

    def inventory(self, file: Path) -> Inventory:
        """The inventory of everything in a file that has no mistakes."""
        members = {name: self._members(name) for name in self._raw.groups}
        for name in self._raw.groups:
            if name in self._raw.hosts:
                self._add(("groups", name), f"{name!r} is not a new name: a host has it")
        hosts = {name: self._host(name, members) for name in self._raw.hosts}
        self._check_gateways(hosts.values())
        known = {
            group: tuple(name for name in hosts if name in names)
            for group, names in members.items()
        }
        return Inventory(hosts, known, _spec({"name": "", **self._defaults}), file)

    def _add(self, path: YamlPath, problem: str) -> None:
        """Add a mistake in the file that defines a host, a group or the defaults."""
        self._mistakes.text = self._raw.origin.get(path[:2]) or self._raw.origin[path[:1]]
        self._mistakes.add(path, problem)

    # -- groups ------------------------------------------------------------------------------

    def _members(self, group: str) -> set[str]:
        """Every host of a group, also of its children."""
        found, seen, waiting = set[str](), {group}, [group]
        while waiting:
            path = ("groups", waiting.pop())
            values = self._raw.groups[path[1]]
            for place, name in enumerate(values.get("hosts", [])):
                if name not in self._raw.hosts:
                    self._undefined((*path, "hosts", place), name, self._raw.hosts)
                else:
                    found.add(name)
            for place, child in enumerate(values.get("children", [])):
                if child not in self._raw.groups:
                    self._undefined((*path, "children", place), child, self._raw.groups)
                elif child == group:
                    self._add((*path, "children", place), f"{child!r} is not free of cycles")
                elif child not in seen:
                    seen.add(child)
                    waiting.append(child)
        return found

    def _undefined(self, path: YamlPath, name: str, known: Iterable[str]) -> None:
        near = difflib.get_close_matches(name, list(known), 1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        self._add(path, f"{shown(name)} is not defined{hint}")

    # -- hosts -------------------------------------------------------------------------------

    def _host(self, name: str, members: Mapping[str, set[str]]) -> HostSpec:
        groups = [group for group, hosts in members.items() if name in hosts]
        # A group that names the host itself is nearer than one that has it through a child.
        groups.sort(key=lambda group: name in self._raw.groups[group].get("hosts", []))
        values = self._defaults
        for group in groups:
            values = merged(values, self._raw.groups[group])
        values = merged(values, self._raw.hosts[name])
        for key in ("hosts", "children"):
            values.pop(key, None)
        values["address"] = values.get("address") or name
        return _spec({**values, "name": name, "groups": groups})

    def _check_gateways(self, hosts: Iterable[HostSpec]) -> None:
        raw = self._raw
        layers: dict[YamlPath, dict[str, Any]] = {("defaults",): raw.defaults}
        layers |= {("groups", name): values for name, values in raw.groups.items()}
        layers |= {("hosts", name): values for name, values in raw.hosts.items()}
        for path, values in layers.items():
            gateway = values.get("gateway", "")
            if gateway and gateway not in raw.hosts and parse_ad_hoc(gateway) is None:
                text = f"{shown(gateway)} is not a host or user@host[:port]"
                self._add((*path, "gateway"), text)
        for spec in hosts:
            if spec.gateway == spec.name:
                path = self._setter(spec, "gateway")
                self._add(path, f"{shown(spec.gateway)} cannot be reached through itself")

    def _setter(self, spec: HostSpec, key: str) -> YamlPath:
        """The path of the setting that a host uses: its own, a group's or the defaults'."""
        if key in self._raw.hosts[spec.name]:
            return "hosts", spec.name, key
        groups = [group for group in spec.groups if key in self._raw.groups[group]]
        return ("groups", groups[-1], key) if groups else ("defaults", key)


def _spec(values: Mapping[str, Any]) -> HostSpec:
    """Settings, checked one by one when they were read, as a type."""
    return msgspec.convert(values, ready(HostSpec))


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """One mapping merged over another; inner mappings are merged key by key."""
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        both = isinstance(old, dict) and isinstance(value, dict)
        result[key] = merged(old, value) if both else value  # type: ignore[arg-type]
    return result
