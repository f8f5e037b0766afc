"""The paths and names of a host that the programs need; the host and the client share this."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Site:
    """What the programs need to know about a host: accounts, folders, files, the unit."""

    host: str
    service_user: str
    home: str
    state_dir: str
    lock_dir: str
    lock_file: str
    code_dir: str
    config_dir: str
    database: str
    unit: str


def site_of(request: dict[str, Any]) -> Site:
    """The site that a request names."""
    return Site(**request["site"])
