"""The paths and names of a host that the programs need; the host and the client share this."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opstasks.onhost.protocol import HostRefusal
from opstasks.onhost.safe_files import check_owned_by_root

# Root's own folders under `Site.lock_dir`.
RECORDS, SCRIPTS = "scheduled", "scripts"


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
    """The site that a request names.

    Raises HostRefusal if root's files are in a folder that another account could replace.
    """
    site = Site(**request["site"])
    if os.geteuid() == 0:
        try:
            for folder in ("", RECORDS, SCRIPTS):
                check_owned_by_root(str(Path(site.lock_dir, folder)))
        except OSError as error:
            raise HostRefusal(f"root does not use {site.lock_dir}: {error}") from None
    return site
