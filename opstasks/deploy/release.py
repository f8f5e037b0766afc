"""The record of a release, and the commands that work on it.

A record is one JSON file on the host, ``<home>/opstasks/releases/<id>.json``, written by
`remote_steps.py` at every step. A record without an outcome is an unfinished release.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any

from opstasks.core.command import Command, Raw, cmd, quote
from opstasks.core.errors import Refused
from opstasks.fleet import old_program as remote
from opstasks.fleet.host import Shell
from opstasks.fleet.inventory import HostSpec

# The longest a step may take besides its own waiting: a large database copied on a slow disk.
STEP_TIMEOUT_S = 900.0


@dataclass(frozen=True)
class Spec:
    """What one release is to do; everything that the host's script needs to know.

    `from_*` and `to_*` are full commit hashes, `*_name` what people call them; times in
    seconds; `restore_from` is the snapshot to go back to, "" for none; `keep` names the fields
    that the record repeats.
    """

    id: str
    who: str
    kind: str
    ref: str
    state_dir: str
    code: str
    lib: str
    config_dir: str
    database: str
    unit: str
    from_code: str
    to_code: str
    from_lib: str
    to_lib: str
    from_name: str
    to_name: str
    watch_s: float
    keep_snapshots: int
    restore_from: str = ""
    reason: str = ""
    keep: tuple[str, ...] = (
        "id",
        "who",
        "kind",
        "ref",
        "from_code",
        "to_code",
        "from_lib",
        "to_lib",
        "from_name",
        "to_name",
        "restore_from",
    )


@dataclass(frozen=True)
class Release:
    """A record as read back; `started` and `finished` are seconds since the epoch."""

    id: str
    who: str = ""
    kind: str = "deploy"
    ref: str = ""
    from_code: str = ""
    to_code: str = ""
    from_lib: str = ""
    to_lib: str = ""
    from_name: str = ""
    to_name: str = ""
    from_version: int = 0
    to_version: int = 0
    step: str = ""
    outcome: str = ""
    reason: str = ""
    how: str = ""
    snapshot: str = ""
    restore_from: str = ""
    started: float = 0.0
    finished: float = 0.0
    rolling_back: bool = False

    @property
    def is_unfinished(self) -> bool:
        """Whether its client went away before the end."""
        return not self.outcome

    def when(self) -> str:
        """The start, for people, in UTC."""
        return f"{datetime.fromtimestamp(self.started, UTC):%Y-%m-%d %H:%M} UTC"

    def describe(self) -> str:
        """For people: ``v2.71.0 -> v2.73.0, alice@laptop, 2024-05-01 10:00 UTC``."""
        return f"{self.from_name} -> {self.to_name}, {self.who}, {self.when()}"


def step_command(step: str, spec: Spec) -> Command:
    """One step of a release, as the service account."""
    limit = STEP_TIMEOUT_S + spec.watch_s
    asked = {"step": step, "spec": asdict(spec)}
    return remote.call("opstasks.deploy.onhost.steps", asked, shown=step).changing().within(limit)


def inspect_command(
    spec: HostSpec, staged_code: str, staged_lib: str, snapshot: str = ""
) -> Command:
    """Look at the staged (or else the present) code, the configuration and the databases."""
    asked = {
        "config_dir": str(spec.config_dir),
        "database": str(spec.database),
        "home": str(spec.home),
        "code": str(spec.code_dir),
        "lib": str(spec.lib_dir),
        "staged_code": staged_code,
        "staged_lib": staged_lib,
        "snapshot": snapshot,
    }
    return remote.call("opstasks.deploy.onhost.inspect", asked, shown="inspect")


def list_command(spec: HostSpec) -> Command:
    """Print every record, one JSON object after another; read with `parse_releases`."""
    folder = quote(f"{spec.state_dir}/releases")
    return cmd(
        Raw(f'for f in {folder}/*.json; do [ -e "$f" ] && cat "$f" && printf \'\\036\'; done; true')
    )


def parse_releases(text: str) -> tuple[Release, ...]:
    """The records that `list_command` printed, newest first; broken ones are left out.

    Age is by the host's own clock: ids carry that of whoever deployed.
    """
    known = {field.name for field in fields(Release)}
    found = []
    for part in text.split("\x1e"):
        try:
            record: dict[str, Any] = json.loads(part)
            found.append(Release(**{k: v for k, v in record.items() if k in known}))
        except (ValueError, TypeError):
            continue
    return tuple(sorted(found, key=lambda release: release.started, reverse=True))


def unfinished(releases: Iterable[Release]) -> Release | None:
    """The newest release whose client went away before the end."""
    return next((release for release in releases if release.is_unfinished), None)


def refuse_half_way(shell: Shell) -> None:
    """Raise Refused while a release is unfinished, before anything starts the service.

    Code and database of a release that was cut off may differ in age. The lock must be held.
    """
    host = shell.host
    cut_off = unfinished(parse_releases(shell.output(list_command(host.spec))))
    if cut_off:
        raise Refused(
            f"release {cut_off.describe()} is unfinished",
            host=host.name,
            hint=f"inv -H {host.name} deploy, which finishes it or goes back",
        )


def spec_for(host: HostSpec, **values: Any) -> Spec:
    """A spec with the host's own paths filled in."""
    return Spec(
        state_dir=str(host.state_dir),
        code=str(host.code_dir),
        lib=str(host.lib_dir),
        config_dir=str(host.config_dir),
        database=str(host.database),
        unit=host.unit,
        watch_s=values.pop("watch_s", None) or host.deploy.watch_s,
        keep_snapshots=host.deploy.keep_snapshots,
        **values,
    )
