"""Who: the fleet as hosts.yaml describes it, checked before anything connects.

A host's settings are those of `defaults`, then of its groups from the farthest to the nearest,
then its own; mappings (`deploy`, `vars`) merge key by key. Everything that is wrong in a file is
reported at once, each with the key's path, the value and what was expected.
"""

from __future__ import annotations

import difflib
import fnmatch
import os
import re
import socket
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec

from opstasks.core.errors import Refused

ENVIRONMENT = "OPSTASKS_HOSTS"
FILE_NAME = "hosts.yaml"
EVERYONE = "all"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_ADDRESS = re.compile(r"[A-Za-z0-9:][A-Za-z0-9.:_%-]*")
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_PATH = re.compile(r"/[^\0\n]*")
_URL = re.compile(r"(https?://|ssh://|file:///|/|[A-Za-z0-9_.-]+@)[^\s\0]+")
_REF = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+-]*")
_HOST_KEY = re.compile(
    r"(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)|sk-\S+) [A-Za-z0-9+/]+={0,3}( .*)?"
)
_AD_HOC = re.compile(
    r"(?:(?P<user>[^@\[\]]+)@)?(?P<address>\[[0-9A-Fa-f:.%]+\]|[^@:\[\]]+)"
    r"(?::(?P<port>\d+))?"
)


class RepoSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A git repository: where the host fetches it from, and the branch, tag or commit to run."""

    url: str = ""
    ref: str = "main"


class DeploySpec(msgspec.Struct, frozen=True, kw_only=True):
    """What `deploy` brings; `watch_s` is how many seconds the new service is watched."""

    code: RepoSpec = RepoSpec(url="https://github.com/opensafely-core/job-runner")
    lib: RepoSpec = RepoSpec(url="https://github.com/opensafely-core/job-runner-dependencies")
    watch_s: Annotated[float, msgspec.Meta(gt=0)] = 15.0
    keep_snapshots: Annotated[int, msgspec.Meta(ge=1)] = 5


class PrivacySpec(msgspec.Struct, frozen=True, kw_only=True):
    """What may leave a host other than to a terminal."""

    contents_in_pipes: bool = False


class HostSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One host; hosts.example.yaml documents every key."""

    name: str
    address: str = ""
    hostname: str = ""
    port: int = 0
    user: str = ""
    identity_file: str = ""
    ssh_config: str = ""
    gateway: str = ""
    host_keys: tuple[str, ...] = ()
    host_key_checking: str = "strict"
    sudo: str = "ask"
    connect_timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 10.0
    backend: str = ""
    backends: str = ""
    service_user: str = "opensafely"
    home: str = "/home/opensafely"
    high_privacy: str = "/srv/high_privacy"
    medium_privacy: str = "/srv/medium_privacy"
    level3_source: str = ""
    level4_folder: str = ""
    lock_dir: str = "/var/lib/opstasks"
    unit: str = "jobrunner"
    registry: str = "ghcr.io/opensafely-core"
    registry_proxy: str = ""
    tools_run_args: tuple[str, ...] = ("--privileged", "--pid=host")
    deploy: DeploySpec = DeploySpec()
    privacy: PrivacySpec = PrivacySpec()
    vars: dict[str, str | int | bool] = {}
    groups: tuple[str, ...] = ()
    local: bool = False

    @property
    def config_dir(self) -> str:
        """Where the env files lie."""
        return f"{self.home}/config"

    @property
    def secret_dir(self) -> str:
        """Where certificates and keys lie."""
        return f"{self.home}/secret"

    @property
    def bin_dir(self) -> str:
        """Where the host's own scripts lie."""
        return f"{self.home}/bin"

    @property
    def code_dir(self) -> str:
        """The checkout of job-runner."""
        return f"{self.home}/jobrunner/code"

    @property
    def lib_dir(self) -> str:
        """The checkout of its dependencies."""
        return f"{self.home}/jobrunner/lib"

    @property
    def workdir(self) -> str:
        """job-runner's working directory."""
        return f"{self.home}/jobrunner/workdir"

    @property
    def database(self) -> str:
        """job-runner's database."""
        return f"{self.workdir}/db.sqlite"

    @property
    def lock_file(self) -> str:
        """What one holds who changes the host."""
        return f"{self.lock_dir}/lock"

    @property
    def state_dir(self) -> str:
        """What we keep on the host: releases and snapshots."""
        return f"{self.home}/opstasks"


# Keys that a file may not set: they follow from where the host stands.
_DERIVED = ("name", "groups", "local")
HOST_KEYS = tuple(key for key in HostSpec.__struct_fields__ if key not in _DERIVED)
GROUP_KEYS = ("hosts", "children", *HOST_KEYS)
TOP_KEYS = ("include", "defaults", "groups", "hosts")

# Beyond its type: what a value must look like.
_SHAPES: dict[str, tuple[re.Pattern[str], str]] = {
    "address": (_ADDRESS, "a host name or an IP address"),
    "hostname": (_NAME, "the host's own name"),
    "user": (_USER, "an account name"),
    "service_user": (_USER, "an account name"),
    "home": (_PATH, "an absolute path"),
    "high_privacy": (_PATH, "an absolute path"),
    "medium_privacy": (_PATH, "an absolute path"),
    "level3_source": (_PATH, "an absolute path"),
    "level4_folder": (re.compile(r"[^\0\n\r\t]+"), "one line of text"),
    "lock_dir": (_PATH, "an absolute path"),
    "unit": (_NAME, "a systemd unit's name"),
    "backend": (_NAME, "a folder's name under backends/"),
    "backends": (_PATH, "an absolute path"),
    "host_key_checking": (re.compile("strict|accept-new"), "'strict' or 'accept-new'"),
    "sudo": (re.compile("ask|nopasswd"), "'ask' or 'nopasswd'"),
    "registry": (re.compile(r"[a-z0-9][a-z0-9._:/-]*"), "a registry and path"),
    "registry_proxy": (re.compile(r"[a-z0-9][a-z0-9._:/-]*"), "a registry and path"),
}


class Inventory:
    """Hosts in the order of definition, and groups by name."""

    def __init__(
        self,
        hosts: Mapping[str, HostSpec],
        groups: Mapping[str, tuple[str, ...]],
        defaults: HostSpec | None = None,
    ) -> None:
        self.hosts = dict(hosts)
        self.groups = dict(groups)
        self.defaults = defaults or HostSpec(name="")

    def names(self) -> list[str]:
        """Everything that -H knows: hosts, groups and `all`."""
        return [*self.hosts, *self.groups, EVERYONE]

    def select(self, patterns: Iterable[str]) -> list[HostSpec]:
        """Hosts that the patterns name, in inventory order, ad-hoc ones last.

        A pattern holds names, groups, globs and `user@host[:port]`, separated by commas; a
        leading `!` takes hosts away again. Raises Refused for a name that nobody has.
        """
        items = [item.strip() for pattern in patterns for item in pattern.split(",")]
        if not all(item.strip("!") for item in items):
            raise Refused("-H was given an empty name", hint=self._known())
        wanted = [item for item in items if not item.startswith("!")]
        unwanted = [item[1:] for item in items if item.startswith("!")]
        chosen: dict[str, HostSpec] = {}
        for item in wanted or [EVERYONE]:
            chosen.update({spec.name: spec for spec in self._match(item)})
        dropped = {spec.name for item in unwanted for spec in self._match(item)}
        order = {name: place for place, name in enumerate(self.hosts)}
        found = [spec for name, spec in chosen.items() if name not in dropped]
        if not found:
            raise Refused(f"{','.join(items)!r} selects no host", hint=self._known())
        return sorted(found, key=lambda spec: order.get(spec.name, len(order)))

    def gateway_of(self, spec: HostSpec) -> HostSpec | None:
        """The host to go through, or None."""
        if not spec.gateway:
            return None
        return self.hosts.get(spec.gateway) or self._ad_hoc(spec.gateway)

    def _match(self, item: str) -> list[HostSpec]:
        if item == EVERYONE:
            return list(self.hosts.values())
        if item in self.hosts:
            return [self.hosts[item]]
        if item in self.groups:
            return [self.hosts[name] for name in self.groups[item]]
        if any(sign in item for sign in "*?["):
            return self._glob(item)
        if "@" in item or ":" in item:
            return [self._ad_hoc(item)]
        raise self._unknown(item)

    def _glob(self, item: str) -> list[HostSpec]:
        groups = [name for name in self.groups if fnmatch.fnmatchcase(name, item)]
        names = {name for group in groups for name in self.groups[group]}
        names |= {name for name in self.hosts if fnmatch.fnmatchcase(name, item)}
        if not names:
            if "@" in item or ":" in item:
                return [self._ad_hoc(item)]
            raise self._unknown(item)
        return [spec for name, spec in self.hosts.items() if name in names]

    def _ad_hoc(self, item: str) -> HostSpec:
        found = parse_ad_hoc(item)
        if found is None:
            raise Refused(f"{item!r} is no user@host[:port]", hint=self._known())
        user, address, port = found
        own = self.defaults
        return msgspec.structs.replace(
            own, name=item, address=address, port=port or own.port, user=user or own.user
        )

    def _unknown(self, item: str) -> Refused:
        near = difflib.get_close_matches(item, self.names(), 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return Refused(f"no host or group is called {item!r}{hint}", hint=self._known())

    def _known(self) -> str:
        names = ", ".join(self.names()[:20])
        return f"known: {names}" if self.hosts else "write a hosts.yaml, see hosts.example.yaml"


def parse_ad_hoc(text: str) -> tuple[str, str, int] | None:
    """User ("" for the default), address and port (0 for the default) of `user@host[:port]`.

    None for anything else.

    A name alone is none: it is a host of the inventory, or a slip of the pen.
    """
    match = _AD_HOC.fullmatch(text)
    if match is None or not {"@", ":"} & set(text):
        return None
    user, address, port = match["user"] or "", match["address"].strip("[]"), match["port"]
    good_user = not user or _USER.fullmatch(user)
    good_port = port is None or (len(port) < 6 and 0 < int(port) < 65536)
    good = good_user and good_port and _ADDRESS.fullmatch(address)
    return (user, address, int(port or 0)) if good else None


# -- finding and reading ----------------------------------------------------------------------


def find_inventory(explicit: str | None) -> Path | None:
    """The file to use: --inventory, $OPSTASKS_HOSTS, ./hosts.yaml or above, XDG; None without.

    Raises Refused when a file that was named is not there.
    """
    for named, source in ((explicit, "--inventory"), (os.environ.get(ENVIRONMENT), ENVIRONMENT)):
        if named:
            path = Path(named).expanduser()
            if not path.is_file():
                raise Refused(f"{source} names {named!r}, which is no file", hint="correct it")
            return path
    here = Path.cwd()
    config = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "opstasks"
    candidates = [folder / FILE_NAME for folder in (here, *here.parents, config)]
    found = next((path for path in candidates if _is_file(path)), None)
    if found is not None:
        _refuse_strangers(found)
    return found


def _is_file(path: Path) -> bool:
    """Whether a file is there, as far as we may look: another one's home may be closed to us."""
    try:
        return path.is_file()
    except OSError:
        return False


def _refuse_strangers(path: Path) -> None:
    """A file that was merely found decides where passwords go: it must be the operator's own."""
    for place in (path, path.parent):
        info = place.stat()
        if info.st_uid not in (0, os.geteuid()) or info.st_mode & 0o002:
            raise Refused(
                f"{place} belongs to someone else, or anyone may write it",
                hint=f"if it is good, say so: --inventory {path}",
            )


def load(path: Path | None) -> Inventory:
    """Read and check a file with all it includes; raises Refused with everything that is wrong."""
    if path is None:
        return Inventory({}, {})
    reader = _Reader()
    reader.read(path)
    inventory = reader.build()
    if reader.problems:
        count = len(reader.problems)
        text = "\n  ".join(reader.problems)
        raise Refused(f"{path} has {count} mistake(s):\n  {text}", hint="see hosts.example.yaml")
    return inventory


def local_host(inventory: Inventory) -> HostSpec:
    """Find the host of the inventory whose `hostname` this machine has, or else the defaults."""
    here = socket.gethostname()
    known = [spec for spec in inventory.hosts.values() if spec.hostname == here]
    spec = known[0] if known else inventory.defaults
    return msgspec.structs.replace(spec, name=spec.name or "local", address="localhost", local=True)


def parse_yaml(text: str) -> Any:
    """Plain YAML, but a key that stands twice is an error (YAML itself takes the last)."""
    import yaml

    base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class Loader(base):  # type: ignore[misc, valid-type]
        """The safe loader, strict about keys."""

    def mapping(loader: Any, node: Any) -> dict[Any, Any]:
        keys = [loader.construct_object(key) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.YAMLError(f"the key {key!r} stands twice{node.start_mark}")
        return dict(base.construct_mapping(loader, node, deep=True))

    Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
    return yaml.load(text, Loader)  # noqa: S506 (a subclass of the safe loader)


class _Reader:
    """Reads files into raw mappings, then builds the inventory, collecting every mistake."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self._read: set[Path] = set()
        self._file = ""
        self._defaults: dict[str, Any] = {}
        self._groups: dict[str, dict[str, Any]] = {}
        self._hosts: dict[str, dict[str, Any]] = {}
        self._from: dict[str, str] = {}

    # -- reading -----------------------------------------------------------------------------

    def read(self, path: Path) -> None:
        """Read one file and those it includes; a file that is included may be absent."""
        import yaml

        if path.resolve() in self._read:
            return
        self._read.add(path.resolve())
        self._file = path.name
        try:
            data = parse_yaml(path.read_text())
        # ValueError: a date that is none.
        except (OSError, ValueError, yaml.YAMLError) as error:
            self.problems.append(f"{path}: {' '.join(str(error).split())}")
            return
        data = self._mapping("", data or {}, TOP_KEYS)
        for name, values in self._mapping(
            "defaults", data.get("defaults") or {}, HOST_KEYS
        ).items():
            self._defaults[name] = values
        self._from["defaults"] = path.name
        for name, values in self._named("groups", data).items():
            self._groups[name] = self._mapping(f"groups.{name}", values or {}, GROUP_KEYS)
        for name, values in self._named("hosts", data).items():
            if name in self._hosts:
                self._bad(f"hosts.{name}", name, f"a new name ({self._from[name]} has it already)")
            self._hosts[name] = self._mapping(f"hosts.{name}", values or {}, HOST_KEYS)
        for item in self._list("include", data.get("include") or []):
            included = path.parent / Path(item).expanduser()
            if included.is_file():
                self.read(included)

    def _named(self, section: str, data: Mapping[str, Any]) -> dict[str, Any]:
        """The entries of `hosts` or `groups`, with good names only."""
        entries = data.get(section) or {}
        if not isinstance(entries, dict):
            self._bad(section, entries, "a mapping of names")
            return {}
        found = {}
        for name, values in entries.items():
            if not isinstance(name, str) or not _NAME.fullmatch(name) or name == EVERYONE:
                self._bad(section, name, "a name of letters, digits, dots and dashes")
                continue
            found[name] = values
            if section == "hosts" or name not in self._from:
                self._from.setdefault(name, self._file)
        return found

    def _mapping(self, path: str, value: Any, keys: Iterable[str]) -> dict[str, Any]:
        """A mapping with known keys only."""
        if not isinstance(value, dict):
            self._bad(path, value, "a mapping")
            return {}
        allowed = list(keys)
        for key in value:
            if key not in allowed:
                near = difflib.get_close_matches(str(key), allowed, 1)
                hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(allowed)}"
                where = f"{path}.{key}" if path else str(key)
                self.problems.append(f"{self._file}: {where}: unknown key; {hint}")
        return {key: item for key, item in value.items() if key in allowed}

    def _list(self, path: str, value: Any) -> list[str]:
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self._bad(path, value, "a list of words")
            return []
        return value

    def _bad(self, path: str, value: Any, expected: str) -> None:
        self.problems.append(f"{self._file}: {path}: {value!r} is not {expected}")

    # -- building ----------------------------------------------------------------------------

    def build(self) -> Inventory:
        """The inventory of all that was read; mistakes go to `problems`."""
        self._file = self._from.get("defaults", FILE_NAME)
        members = {name: tuple(self._members(name, ())) for name in self._groups}
        for name in self._groups:
            if name in self._hosts:
                self._bad(f"groups.{name}", name, "a name that no host has")
        defaults = self._convert("defaults", {"name": "", **self._defaults})
        hosts = {}
        for name in self._hosts:
            self._file = self._from.get(name, FILE_NAME)
            spec = self._host(name, members)
            if spec is not None:
                hosts[name] = spec
        for spec in hosts.values():
            self._check_gateway(spec, hosts)
        known = {
            group: tuple(name for name in self._hosts if name in set(names) and name in hosts)
            for group, names in members.items()
        }
        return Inventory(hosts, known, defaults)

    def _members(self, group: str, above: tuple[str, ...]) -> Iterator[str]:
        """Every host of a group, its children's included."""
        path = f"groups.{group}"
        if group in above:
            self._bad(f"{path}.children", group, "free of circles")
            return
        raw = self._groups[group]
        for name in self._list(f"{path}.hosts", raw.get("hosts") or []):
            if name in self._hosts:
                yield name
            else:
                self._unknown(f"{path}.hosts", name, self._hosts)
        for child in self._list(f"{path}.children", raw.get("children") or []):
            if child in self._groups:
                yield from self._members(child, (*above, group))
            else:
                self._unknown(f"{path}.children", child, self._groups)

    def _unknown(self, path: str, name: str, known: Iterable[str]) -> None:
        near = difflib.get_close_matches(name, list(known), 1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        problem = f"{self._file}: {path}: {name!r} is not defined{hint}"
        if problem not in self.problems:
            self.problems.append(problem)

    def _host(self, name: str, members: Mapping[str, tuple[str, ...]]) -> HostSpec | None:
        mine = [group for group, hosts in members.items() if name in hosts]
        # A group that names the host itself is nearer than one that has it through a child.
        mine.sort(key=lambda group: name in (self._groups[group].get("hosts") or []))
        values = dict(self._defaults)
        for group in mine:
            values = _merge(values, self._groups[group])
        values = _merge(values, self._hosts[name])
        for key in ("hosts", "children"):
            values.pop(key, None)
        values.setdefault("address", name)
        return self._convert(f"hosts.{name}", {**values, "name": name, "groups": mine})

    def _convert(self, path: str, values: dict[str, Any]) -> HostSpec | None:
        before = len(self.problems)
        for key, (shape, expected) in _SHAPES.items():
            value = values.get(key)
            if value and not (isinstance(value, str) and shape.fullmatch(value)):
                self._bad(f"{path}.{key}", value, expected)
        self._check_deploy(path, values.get("deploy"))
        keys = values.get("host_keys")
        for line in keys if isinstance(keys, list) else []:
            if not _HOST_KEY.fullmatch(str(line)):
                self._bad(f"{path}.host_keys", line, "a key type and a base64 key")
        if isinstance(values.get("port"), int) and not 0 <= values["port"] < 65536:
            self._bad(f"{path}.port", values["port"], "a port (1 to 65535)")
        if len(self.problems) > before:
            return None
        try:
            return msgspec.convert(values, HostSpec)
        except msgspec.ValidationError as error:
            text, _, where = str(error).partition(" - at `$.")
            key = where.rstrip("`")
            found: Any = values
            for part in key.partition("[")[0].split("."):
                found = found.get(part) if isinstance(found, dict) else found
            self.problems.append(f"{self._file}: {path}.{key}: {found!r}: {text}")
            return None

    def _check_deploy(self, path: str, deploy: Any) -> None:
        if deploy is None:
            return
        deploy = self._mapping(f"{path}.deploy", deploy, DeploySpec.__struct_fields__)
        for name in ("code", "lib"):
            if name not in deploy:
                continue
            repo = self._mapping(f"{path}.deploy.{name}", deploy[name], RepoSpec.__struct_fields__)
            for key, shape, expected in (("url", _URL, "a git URL"), ("ref", _REF, "a git ref")):
                value = repo.get(key)
                if value is not None and not shape.fullmatch(str(value)):
                    self._bad(f"{path}.deploy.{name}.{key}", value, expected)

    def _check_gateway(self, spec: HostSpec, hosts: Mapping[str, HostSpec]) -> None:
        self._file = self._from.get(spec.name, FILE_NAME)
        known = spec.gateway in hosts and spec.gateway != spec.name
        if spec.gateway and not known and parse_ad_hoc(spec.gateway) is None:
            self._bad(f"hosts.{spec.name}.gateway", spec.gateway, "a host or user@host[:port]")


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Put one mapping over another, mappings inside key by key."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        both = isinstance(old, dict) and isinstance(value, dict)
        merged[key] = _merge(old, value) if both else value  # type: ignore[arg-type]
    return merged
