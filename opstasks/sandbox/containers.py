"""Containers of this machine's engine: find, make, fill and remove them."""

from __future__ import annotations

import io
import tarfile
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from docker.errors import APIError, NotFound
from docker.models.containers import Container
from docker.types import HostConfig

from opstasks.sandbox.engine import client

T = TypeVar("T")
# Where the Docker inside a host keeps its files.
NESTED = "/var/lib/docker"


def find_or_none(get: Callable[[str], T], name: str) -> T | None:
    """A container, network, volume or image; None if the name does not exist."""
    try:
        return get(name)
    except NotFound:
        return None


def discard_container(name: str) -> None:
    """Remove a container by name or id, running or not; it may be absent."""
    with suppress(APIError):
        client().containers.get(name).remove(force=True, v=True)


def discard_volume(name: str) -> None:
    """Remove a volume if it exists and nothing uses it."""
    with suppress(APIError):
        client().volumes.get(name).remove()


def labelled(label: str) -> list[Container]:
    """All containers with a label, stopped ones included."""
    return client().containers.list(all=True, filters={"label": label}, ignore_removed=True)


def create_machine(
    image: str,
    volume: str,
    *,
    labels: dict[str, str],
    name: str | None = None,
    hostname: str | None = None,
    addresses: dict[str, str] | None = None,
    **options: Any,
) -> Container:
    """Create (not start) a container for systemd, with its nested Docker on a volume.

    `addresses` are its fixed addresses by network; `options` are those of the SDK's
    `create_host_config`.
    """
    api = client().api
    endpoints = {
        network: api.create_endpoint_config(ipv4_address=address)
        for network, address in (addresses or {}).items()
    }
    made = api.create_container(
        image,
        name=name,
        hostname=hostname,
        labels=labels,
        stop_signal="SIGRTMIN+3",
        host_config=machine_config(binds=[f"{volume}:{NESTED}"], **options),
        networking_config={"EndpointsConfig": endpoints} if endpoints else None,
    )
    return client().containers.get(made["Id"])


def machine_config(**options: Any) -> HostConfig:
    """The rights of a container that is a machine.

    Not privileged: that fails if the engine itself lacks CAP_SYS_RESOURCE.
    """
    config = client().api.create_host_config(
        cap_add=["ALL"],
        cap_drop=["SYS_RESOURCE"],
        cgroupns="private",
        device_cgroup_rules=["a *:* rwm"],
        security_opt=["seccomp=unconfined", "apparmor=unconfined"],
        tmpfs={"/run": "", "/run/lock": ""},
        **options,
    )
    # As with `--security-opt systempaths=unconfined`, which the SDK does not support.
    config["MaskedPaths"] = config["ReadonlyPaths"] = []
    return config


class ContainerFiles:
    """Files to copy into a container, as a tar archive with owners and modes."""

    def __init__(self) -> None:
        self._buffer = io.BytesIO()
        self.tar = tarfile.open(fileobj=self._buffer, mode="w")  # noqa: SIM115

    def add(self, path: str, data: bytes | None, mode: int, uid: int = 0) -> None:
        """Add a file, or without data a directory; `path` has no slash at the start."""
        entry = tarfile.TarInfo(path)
        entry.mode, entry.uid, entry.gid, entry.mtime = mode, uid, uid, int(time.time())
        if data is None:
            entry.type = tarfile.DIRTYPE
            self.tar.addfile(entry)
        else:
            entry.size = len(data)
            self.tar.addfile(entry, io.BytesIO(data))

    def unpack_in(self, container: Container) -> None:
        """Copy everything into a container, running or not."""
        self.tar.close()
        container.put_archive("/", self._buffer.getvalue())
