"""Releases: the spec of a new one, and the records of earlier ones.

A record is one JSON file on the host, ``<home>/opstasks/releases/<id>.json``, written at every
step (`opstasks.deploy.onhost.record`). A record without an outcome is an unfinished release.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from opstasks.core.command import Command
from opstasks.core.errors import Refused
from opstasks.core.fields import Count, Line, Moment
from opstasks.core.formats import minute_text
from opstasks.core.hints import one_word
from opstasks.core.result import Result
from opstasks.fleet.host import Shell
from opstasks.fleet.inventory import HostSpec
from opstasks.fleet.program import Program
from opstasks.onhost.folder_rights import NO_FOLDER, READ_ONLY
from opstasks.onhost.release_records import DAMAGED, record_text

# More than people read; an unfinished release is listed however old it is.
MOST_RELEASES = 200
ALL_RELEASES = 100_000


@dataclass(frozen=True)
class ReleaseSpec:
    """The data of one release that its steps on the host need.

    `from_*` and `to_*` are full commit hashes, `*_name` are names for people; `restore_from` is
    the snapshot to go back to, or ""; `reason` says why the release is undone.
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


@dataclass(frozen=True)
class Release:
    """The record of a release; `started_at` and `finished_at` are in seconds since the epoch, or 0.

    `kind` is deploy or rollback, `step` the last step that was reached, `how` what happened to
    the database. `unread` says why its record cannot be used ("" if it can), `unread_place` is the
    file or folder that prevents it: the other values are empty then, and it may be unfinished. With
    an `id` of "", it stands for all records.
    """

    id: Line
    who: Line = ""
    kind: Line = "deploy"
    ref: Line = ""
    from_code: Line = ""
    to_code: Line = ""
    from_lib: Line = ""
    to_lib: Line = ""
    from_name: Line = ""
    to_name: Line = ""
    from_version: Count = 0
    to_version: Count = 0
    step: Line = ""
    outcome: Line = ""
    reason: Line = ""
    how: Line = ""
    snapshot: Line = ""
    restore_from: Line = ""
    started_at: Moment = 0.0
    finished_at: Moment = 0.0
    rolling_back: bool = False
    unread: Line = ""
    unread_place: Line = ""

    @property
    def is_unfinished(self) -> bool:
        """Whether its client disappeared before the end."""
        return not self.outcome and not self.unread

    @property
    def result(self) -> str:
        """How it ended: deployed, rolled back (by a person), failed (undone), unfinished.

        It is "unreadable" if its record cannot be used.
        """
        if self.unread:
            return "unreadable"
        if not self.outcome:
            return "unfinished"
        if self.outcome == "rolled back":
            return "failed"
        if self.outcome == "deployed":
            return "rolled back" if self.kind == "rollback" else "deployed"
        return self.outcome

    def when(self) -> str:
        """The start, for people, in UTC."""
        return minute_text(self.started_at)

    def describe(self) -> str:
        """For people: ``v2.71.0 -> v2.73.0, alice@laptop, 2024-05-01 10:00 UTC``."""
        return f"{self.from_name} to {self.to_name}, {self.who}, {self.when()}"

    @property
    def problem(self) -> str:
        """Why nothing may be deployed or started; "" if it has ended."""
        if self.unread:
            return f"{record_text(self.id)} cannot be read: {self.unread}"
        return f"release {self.describe()} is unfinished" if self.is_unfinished else ""


class ReleasesRequest(msgspec.Struct, frozen=True):
    """How many of the newest releases to list."""

    state_dir: str
    limit: int = MOST_RELEASES


class ReleasesAnswer(msgspec.Struct, frozen=True):
    """Newest first; beyond the limit, only unfinished ones."""

    releases: tuple[Release, ...]


RELEASES = Program("opstasks.deploy.onhost.releases", ReleasesRequest, ReleasesAnswer)


def list_command(spec: HostSpec) -> Command:
    """List the newest releases; parse with `parse_releases`."""
    return RELEASES.command(ReleasesRequest(str(spec.state_dir)))


def parse_releases(result: Result, host: str) -> tuple[Release, ...]:
    """The releases that `list_command` printed; raises what `Program.decode` raises."""
    return RELEASES.decode(result, host).releases


def list_releases(shell: Shell, limit: int = MOST_RELEASES) -> tuple[Release, ...]:
    """The newest releases of a host; raises what `Shell.call` raises."""
    request = ReleasesRequest(str(shell.host.spec.state_dir), limit)
    return shell.call(RELEASES, request).releases


def unfinished(releases: Iterable[Release]) -> Release | None:
    """The newest release that is unfinished."""
    return next((release for release in releases if release.is_unfinished), None)


def blocking(releases: Iterable[Release]) -> Release | None:
    """The newest release that is unfinished, or else one that may be: it cannot be read."""
    found = list(releases)
    return unfinished(found) or next((release for release in found if release.unread), None)


def refuse_blocking(spec: HostSpec, releases: Iterable[Release], hint: str) -> None:
    """Raise Refused while a release is unfinished, or may be; `hint` is about an unfinished one."""
    if found := blocking(releases):
        if found.unread:
            hint = unread_hint(str(spec.state_dir), spec.service_user, found)
        raise Refused(found.problem, host=spec.name, hint=hint)


def refuse_half_way(shell: Shell) -> None:
    """Raise Refused while a release is unfinished; call it before starting the service.

    Code and database of an unfinished release may be incompatible. The caller must have the lock.
    """
    refuse_start(shell.host.spec, list_releases(shell))


def refuse_start(spec: HostSpec, releases: Iterable[Release]) -> None:
    """Raise Refused if one of a host's releases forbids to start the service."""
    refuse_blocking(spec, releases, f"inv -H {spec.name} deploy; it finishes it or goes back")


def unread_hint(state_dir: str, owner: str, found: Release) -> str:
    """What to do about a record that cannot be used; `owner` is the service account."""
    place = f"{state_dir}/releases"
    if found.unread == DAMAGED:
        # The host says its name: only that gets into a line to paste.
        record = f"{place}/{found.id.rpartition('/')[2]}.json"
        return f"look at it; to go on without it: mv {one_word(record)} {one_word(record + '.bad')}"
    place = known_place(state_dir, "releases", found.unread_place)
    return closed_hint(state_dir, owner, place, found.unread)


def known_place(state_dir: str, name: str, said: str) -> str:
    """The place that a host named, if it is the folder `name` in the state's folder, or that one.

    Else "": it is above both. What the host says is only compared: it must not get into a hint.
    """
    return said if said in (state_dir, f"{state_dir}/{name}") else ""


def closed_hint(folder: str, owner: str, place: str, why: str) -> str:
    """What to do if the `owner` of a `folder` cannot use a `place`; `why` is the host's.

    The place is the folder or one in it, or "" for one above it.
    """
    if why == READ_ONLY:
        return "find out why the disk is read-only: dmesg"
    if why == NO_FOLDER and not place:
        return f"a part of this path is no folder: namei -l {one_word(folder)}"
    if why == NO_FOLDER:
        return f"look at it, then: mv {one_word(place)} {one_word(place + '.old')}"
    folder = one_word(folder)
    return f"as root: chown -R {one_word(f'{owner}:')} {folder}; chmod -R u+rwX {folder}"


def spec_for(host: HostSpec, *, watch_s: float, **values: Any) -> ReleaseSpec:
    """A spec with the host's own paths; `watch_s` 0 means the inventory's value."""
    return ReleaseSpec(
        state_dir=str(host.state_dir),
        code=str(host.code_dir),
        lib=str(host.lib_dir),
        config_dir=str(host.config_dir),
        database=str(host.database),
        unit=host.unit,
        watch_s=watch_s or host.deploy.watch_s,
        keep_snapshots=host.deploy.keep_snapshots,
        **values,
    )


def name_in(spec: ReleaseSpec, commit: str | None) -> str:
    """A checkout's commit for people: by the names of the release, else the start of its hash."""
    if not commit:
        return "an unknown commit"
    names = {spec.from_code: spec.from_name, spec.to_code: spec.to_name}
    return names.get(commit, commit[:10])
