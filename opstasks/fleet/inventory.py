"""The hosts, their settings, and which of them -H selects.

`opstasks.fleet.hosts_file` reads all this from hosts.yaml.
"""

from __future__ import annotations

import difflib
import fnmatch
import os
import re
import socket
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec

from opstasks.core import durations
from opstasks.core.errors import Refused
from opstasks.core.hints import one_word, quoted

EVERYONE = "all"
# Every key of hosts.yaml with its purpose; installed with the program.
EXAMPLE = Path(__file__).with_name("hosts.example.yaml")
# A value of keep_connection: make a new login, even if the person's own ssh keeps a connection.
NEVER = "never"
# A longer wait than an hour is a mistake.
MOST_S = 3600
# A name of ours or of a system: a host, a group, a unit.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
# An address and an account that are safe on ssh's command line.
ADDRESS = re.compile(r"[A-Za-z0-9:][A-Za-z0-9.:_%-]*")
USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_AD_HOC = re.compile(
    r"(?:(?P<user>[^@\[\]]+)@)?(?P<address>\[[0-9A-Fa-f:.%]+\]|[^@:\[\]]+)"
    r"(?::(?P<port>\d+))?"
)


class RepoSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A git repository: where the host fetches it from, and the branch, tag or commit to run."""

    url: str
    ref: str = "main"


class DeploySpec(msgspec.Struct, frozen=True, kw_only=True):
    """What `deploy` brings; `watch_s` is how many seconds the new service is watched."""

    code: RepoSpec = RepoSpec(url="https://github.com/opensafely-core/job-runner")
    lib: RepoSpec = RepoSpec(url="https://github.com/opensafely-core/job-runner-dependencies")
    watch_s: Annotated[float, msgspec.Meta(gt=0, le=MOST_S)] = 15.0
    keep_snapshots: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 5


class PrivacySpec(msgspec.Struct, frozen=True, kw_only=True):
    """What may be sent from a host to something other than a terminal."""

    contents_in_pipes: bool = False


class HostSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One host; hosts.example.yaml documents every key."""

    name: str
    address: str = ""
    hostname: str = ""
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0
    user: str = ""
    identity_file: str = ""
    ssh_config: str = ""
    gateway: str = ""
    host_keys: tuple[str, ...] = ()
    host_key_checking: str = ""
    sudo: str = "ask"
    connect_timeout_s: Annotated[float, msgspec.Meta(gt=0, le=MOST_S)] = 10.0
    keep_connection: str = ""
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
    def keep_connection_s(self) -> int:
        """How long an unused connection stays open; 0: it ends with the run."""
        is_kept = self.keep_connection not in ("", NEVER)
        return durations.parse(self.keep_connection) if is_kept else 0

    @property
    def config_dir(self) -> str:
        """The folder of the env files."""
        return f"{self.home}/config"

    @property
    def workspaces_dir(self) -> str:
        """The folder of the medium-privacy workspaces, to which the Level 3 sync copies."""
        return f"{self.medium_privacy}/workspaces"

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
        """The lock that a change holds (`opstasks.fleet.lock`)."""
        return f"{self.lock_dir}/lock"

    @property
    def kept_in(self) -> str:
        """Where root keeps the old contents of files that opstasks replaced."""
        return f"{self.lock_dir}/replaced"

    @property
    def state_dir(self) -> str:
        """The folder of our own files on the host: releases and snapshots."""
        return f"{self.home}/opstasks"


class HostPattern(NamedTuple):
    """One item of -H, or of a file that it names; `origin` is where it was found."""

    text: str
    origin: str = "-H"


class Inventory:
    """Hosts in the order of definition, and groups by name; `file` is where they come from."""

    def __init__(
        self,
        hosts: Mapping[str, HostSpec],
        groups: Mapping[str, tuple[str, ...]],
        defaults: HostSpec | None = None,
        file: Path | None = None,
    ) -> None:
        self.hosts = dict(hosts)
        self.groups = dict(groups)
        self.defaults = defaults or HostSpec(name="")
        self.file = file

    def names(self) -> list[str]:
        """Everything that -H knows: hosts, groups and `all`."""
        return [*self.hosts, *self.groups, EVERYONE]

    def select(self, patterns: Iterable[str]) -> list[HostSpec]:
        """Hosts that match the patterns, in inventory order; `user@host` ones last.

        A pattern has names, groups, globs and `user@host[:port]`, separated by commas; a
        leading `!` excludes hosts. Raises Refused for an unknown name.
        """
        return self.choose(
            [HostPattern(item.strip()) for pattern in patterns for item in pattern.split(",")]
        )

    def choose(self, items: Sequence[HostPattern]) -> list[HostSpec]:
        """Like `select`, for single items; the error for an unknown name begins with its origin."""
        for item in items:
            if not item.text.strip("!"):
                raise Refused(f"{item.origin}: a name is empty", hint=self._known())
        wanted = [item for item in items if not item.text.startswith("!")]
        unwanted = [
            HostPattern(item.text[1:], item.origin) for item in items if item.text[0] == "!"
        ]
        chosen: dict[str, HostSpec] = {}
        for item in wanted or [HostPattern(EVERYONE)]:
            chosen.update({spec.name: spec for spec in self._match(item)})
        dropped = {spec.name for item in unwanted for spec in self._match(item)}
        order = {name: place for place, name in enumerate(self.hosts)}
        found = [spec for name, spec in chosen.items() if name not in dropped]
        if not found:
            text = ",".join(item.text for item in items)[:200]
            raise Refused(f"-H: {quoted(text)} selects no host", hint=self._known())
        return sorted(found, key=lambda spec: order.get(spec.name, len(order)))

    def nearest(self, text: str, alike: float = 0.6) -> str:
        """The host or group with the name that is most like a text; "" if none is."""
        plain = {name.lower(): name for name in self.names()}
        near = difflib.get_close_matches(text.lower(), plain, 1, alike)
        return plain[near[0]] if near else ""

    def knows(self, name: str) -> bool:
        """Whether a name is a host of hosts.yaml, or `user@host` in full."""
        return name in self.hosts or parse_ad_hoc(name) is not None

    def gateway_of(self, spec: HostSpec) -> HostSpec | None:
        """The host to go through, or None."""
        if not spec.gateway:
            return None
        return self.hosts.get(spec.gateway) or self._ad_hoc(spec.gateway)

    def _match(self, item: HostPattern) -> list[HostSpec]:
        text = item.text
        if text == EVERYONE:
            return list(self.hosts.values())
        if text in self.hosts:
            return [self.hosts[text]]
        if text in self.groups:
            return [self.hosts[name] for name in self.groups[text]]
        if any(sign in text for sign in "*?["):
            return self._glob(item)
        if "@" in text or ":" in text:
            return [self._ad_hoc(text, item.origin)]
        raise self._unknown(item)

    def _glob(self, item: HostPattern) -> list[HostSpec]:
        text = item.text
        groups = [name for name in self.groups if fnmatch.fnmatchcase(name, text)]
        names = {name for group in groups for name in self.groups[group]}
        names |= {name for name in self.hosts if fnmatch.fnmatchcase(name, text)}
        if not names:
            if "@" in text or ":" in text:
                return [self._ad_hoc(text, item.origin)]
            raise self._unknown(item)
        return [spec for name, spec in self.hosts.items() if name in names]

    def _ad_hoc(self, text: str, origin: str = "-H") -> HostSpec:
        found = parse_ad_hoc(text)
        if found is None:
            raise Refused(f"{origin}: {quoted(text)} is not user@host[:port]", hint=self._known())
        user, address, port = found
        own = self.defaults
        return msgspec.structs.replace(
            own, name=text, address=address, port=port or own.port, user=user or own.user
        )

    def _unknown(self, item: HostPattern) -> Refused:
        what = f"{item.origin}: no host or group is called {quoted(item.text)}"
        if near := self.nearest(item.text):
            # The host is a guess: no command that would change it.
            return Refused(f"{what}; did you mean {near!r}?", hint=f"inv -H {near} status")
        return Refused(what, hint=self._known())

    def _known(self) -> str:
        names = ", ".join(self.names()[:20])
        if self.hosts:
            return f"inv hosts; known: {names}"
        return self.no_hosts_hint()

    def no_hosts_hint(self) -> str:
        """What to do without any host: the file that is read, or one that is searched."""
        folder = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
        example = one_word(str(EXAMPLE))
        how = f"or write {folder}/opstasks/hosts.yaml"
        if self.file:
            how = f"or add hosts to {one_word(str(self.file))}"
        return f"name a host with -H user@host, {how} as in {example}"


def parse_ad_hoc(text: str) -> tuple[str, str, int] | None:
    """User ("" for the default), address and port (0 for the default) of `user@host[:port]`.

    None for other text, and for a name alone: that is a host of the inventory, or a mistake.
    """
    match = _AD_HOC.fullmatch(text)
    if match is None or not {"@", ":"} & set(text):
        return None
    user, address, port = match["user"] or "", match["address"].strip("[]"), match["port"]
    good_user = not user or USER.fullmatch(user)
    good_port = port is None or (len(port) < 6 and 0 < int(port) < 65536)
    good = good_user and good_port and ADDRESS.fullmatch(address)
    return (user, address, int(port or 0)) if good else None


def local_host(inventory: Inventory) -> HostSpec:
    """The host of the inventory with this machine's `hostname`; otherwise the defaults."""
    here = socket.gethostname()
    known = [spec for spec in inventory.hosts.values() if spec.hostname == here]
    spec = known[0] if known else inventory.defaults
    return msgspec.structs.replace(spec, name=spec.name or "local", address="localhost", local=True)
