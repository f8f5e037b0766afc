"""Runs on the host: what is there now, as `opstasks.core.state.HostState`.

A part that cannot be read is null: nothing is assumed.
"""

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

from opstasks.deploy.onhost.checkout import head
from opstasks.deploy.onhost.database_read import version_and_schema
from opstasks.deploy.onhost.record import ReleaseSpec
from opstasks.deploy.onhost.service import unit_state
from opstasks.onhost.protocol import HostFailure
from opstasks.onhost.release_records import read_all
from opstasks.onhost.unit_state import service_state


def seen(spec: ReleaseSpec) -> dict[str, Any]:
    """Service, commits, version of the database, and the id of an unfinished release."""
    found: dict[str, Any] = {}
    with contextlib.suppress(HostFailure):
        found["service"] = service_state(unit_state(spec))
    for name in ("code", "lib"):
        with contextlib.suppress(HostFailure):
            found[name] = head(spec[name])
    with contextlib.suppress(sqlite3.Error):
        found["database_version"] = version_and_schema(Path(spec["database"]))[0]
    good, bad = read_all(spec["state_dir"])
    begun = [id for id, record in good.items() if not record.get("outcome")]
    if begun or not bad:  # one that cannot be read may be unfinished
        found["unfinished"] = max(begun, default="")
    return found
