"""Which host keys a connection accepts: as strict as OpenSSH, or stricter.

Fabric itself would add unknown keys silently.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opstasks.core.errors import Refused
from opstasks.fleet import known_hosts

if TYPE_CHECKING:
    import paramiko

KNOWN_HOSTS = (Path("/etc/ssh/ssh_known_hosts"), Path("~/.ssh/known_hosts"))


def trust(connection: Any, pins: tuple[str, ...], checking: str) -> None:
    """Accept the pinned keys only; without pins, those of the known_hosts files.

    The host's name in these files is its HostName or HostKeyAlias of ssh_config.
    """
    alias = connection.ssh_config.get("hostkeyalias")
    place = known_hosts.place_of(alias or connection.host, 22 if alias else connection.port)
    if pins:
        try:
            keys = known_hosts.pinned(pins)
        except ValueError as error:
            raise Refused(f"{place}: {error}", hint="correct host_keys in hosts.yaml") from error
    else:
        keys = known_hosts.known(place, _known_hosts_texts(connection.ssh_config))
    connection.client.set_missing_host_key_policy(_policy(keys, place, checking))
    connection.connect_kwargs["disabled_algorithms"] = {"keys": keys.unwanted_algorithms}


def _known_hosts_texts(ssh_config: Mapping[str, Any]) -> list[str]:
    """The texts of the readable files among those of ssh_config, or the usual ones."""
    chosen = ssh_config.get("userknownhostsfile", "").split()
    paths = [*(Path(name) for name in chosen), *KNOWN_HOSTS[: 1 if chosen else None]]
    texts = []
    for path in paths:
        with contextlib.suppress(OSError):
            texts.append(path.expanduser().read_text("utf-8", "replace"))
    return texts


def _policy(keys: known_hosts.HostKeys, place: str, checking: str) -> paramiko.MissingHostKeyPolicy:
    """A policy that raises HostKeyError for a key that is not accepted."""
    import paramiko

    class Strict(paramiko.MissingHostKeyPolicy):
        def missing_host_key(
            self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey
        ) -> None:
            shown = (key.get_name(), key.asbytes())
            if shown in keys.revoked:
                raise HostKeyRevokedError(f"the host key of {place} is REVOKED")
            if shown in keys.accepted:
                return
            if keys.accepted:
                raise HostKeyChangedError(
                    f"the host key of {place} has CHANGED; someone may be between us and it"
                )
            if checking != "accept-new":
                raise HostKeyUnknownError(f"the host key of {place} is not known")
            _learn(place, key)

    return Strict()


def _learn(place: str, key: paramiko.PKey) -> None:
    """Add a key to known_hosts, as OpenSSH's `accept-new` does; another one is refused later."""
    path = KNOWN_HOSTS[1].expanduser()
    path.parent.mkdir(mode=0o700, exist_ok=True)
    old = path.read_text("utf-8", "replace") if path.exists() else ""
    start = "" if not old or old.endswith("\n") else "\n"
    with path.open("a") as file:
        file.write(f"{start}{place} {key.get_name()} {key.get_base64()}\n")


class HostKeyError(Exception):
    """A host, or the gateway to it, showed a key that is not accepted."""

    hint = ""


class HostKeyUnknownError(HostKeyError):
    """The key of the host is unknown here."""

    hint = "pin it under host_keys in hosts.yaml, or connect once with ssh and compare"


class HostKeyChangedError(HostKeyError):
    """The host shows a different key from the known one."""

    hint = "ask the people who run the host, then correct host_keys or known_hosts"


class HostKeyRevokedError(HostKeyError):
    """The host shows a key that was revoked."""

    hint = "do not connect; ask the people who run the host"
