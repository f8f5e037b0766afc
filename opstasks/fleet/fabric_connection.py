"""Fabric's connection over an existing login, for authors of tasks."""

from __future__ import annotations

import functools
from typing import Any

import fabric
import paramiko


class _Client(paramiko.SSHClient):
    """A client that is already connected: settings, host key and login are those of OpenSSH."""

    def __init__(self, wire: paramiko.Transport) -> None:
        super().__init__()
        self._transport = wire


def fabric_connection(wire: paramiko.Transport, host: str, user: str, port: int) -> Any:
    """An open connection of Fabric; it has no settings of its own."""
    connection: Any = fabric.Connection(host=host, user=user, port=port, config=_config())
    connection.client, connection.transport = _Client(wire), wire
    return connection


@functools.cache
def _config() -> fabric.Config:
    """Fabric's settings, without its files (a `gateway` in ~/.fabric.yaml), and without ssh_config.

    OpenSSH has read ssh_config.
    """
    return fabric.Config(ssh_config=paramiko.SSHConfig(), lazy=True)
