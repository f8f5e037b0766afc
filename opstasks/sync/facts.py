"""The state of the Level 3 sync of a host: the request, the answer, and what needs a person."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import msgspec

from opstasks.core.command import Command
from opstasks.core.fields import Count, Line, Moment, Small
from opstasks.core.formats import span_text
from opstasks.core.result import Result
from opstasks.fleet.host import Host
from opstasks.fleet.inventory import HostSpec
from opstasks.fleet.program import Program
from opstasks.sync import units

# How long runs may fail before it needs a person.
LATE_S = 15 * 60
START = "sync.start"


@dataclass(frozen=True)
class SyncRecord:
    """The record of a run (`opstasks.sync.onhost.records`).

    Times are seconds since the epoch, 0 for an event that has not happened.
    """

    started_at: Moment = 0.0
    ended_at: Moment = 0.0
    error: Line = ""
    hint: Line = ""
    copied: Count = 0
    copied_bytes: Count = 0
    items: tuple[Line, ...] = ()
    skipped: tuple[Line, ...] = ()
    clashes: tuple[Line, ...] = ()
    uncopied: tuple[Line, ...] = ()

    def is_after(self, earlier: SyncRecord) -> bool:
        """Whether it is of another run than an `earlier` record; its time may be an earlier one.

        The host's clock may have been set back since.
        """
        return self.started_at not in (0.0, earlier.started_at)


class SyncUnit(msgspec.Struct, frozen=True):
    """The state of a unit in systemd's words; empty for missing values."""

    load_state: Line = ""
    active_state: Line = ""
    unit_file_state: Line = ""
    result: Line = ""


class SyncInspectRequest(msgspec.Struct, frozen=True):
    """The files to hash, the units to read, and the places of the records and the source."""

    files: tuple[str, ...]
    timer: str
    service: str
    state_dir: str
    source: str


class SyncFacts(msgspec.Struct, frozen=True):
    """A host's answer; `now_at` is its own clock, `by_hand` are ids of processes."""

    files: dict[str, Line]
    timer: SyncUnit
    service: SyncUnit
    last: SyncRecord
    last_success_at: Moment
    by_hand: tuple[Small, ...]
    now_at: Moment


INSPECT = Program("opstasks.sync.onhost.inspect", SyncInspectRequest, SyncFacts)


@dataclass(frozen=True)
class SyncState:
    """The state of a host's sync; `now_at` is the host's own clock.

    `on` means now, `enabled` means after the next boot. Times are seconds since the epoch.
    """

    source: str
    on: bool = False
    enabled: bool = False
    installed: bool = False
    outdated: bool = False
    running: bool = False
    result: str = "success"
    last: SyncRecord = field(default_factory=SyncRecord)
    last_success_at: float = 0.0
    by_hand: tuple[int, ...] = ()
    now_at: float = 0.0

    @property
    def success_age_s(self) -> float:
        """Seconds since a run last succeeded; 0 if no run has succeeded, or nobody can say."""
        return max(0.0, self.now_at - self.last_success_at) if self.last_success_at else 0.0

    @property
    def is_success_ahead(self) -> bool:
        """Whether the last success is in the future (`is_ahead`)."""
        return is_ahead(self.last_success_at, self.now_at)

    @property
    def is_late(self) -> bool:
        """Whether no run has succeeded for too long, as far as anybody can say."""
        return not self.running and (self.is_success_ahead or self.success_age_s > LATE_S)

    @property
    def has_crashed(self) -> bool:
        """Whether systemd says that the last run failed, with or without a record."""
        return not self.running and self.result != "success"

    @property
    def has_failed(self) -> bool:
        """Whether the last run failed."""
        return bool(self.last.error) or self.has_crashed

    @property
    def is_well(self) -> bool:
        """Whether `sync.start` has nothing to do."""
        return self.on and self.enabled and not self.outdated and not self.has_failed

    @property
    def is_off(self) -> bool:
        """Whether `sync.stop` has nothing to do."""
        return not (self.on or self.running or self.enabled)

    def attention(self) -> list[str]:
        """What needs a person, in one line each, with the task that helps."""
        return [f"{text}: run `{task}`" if task else text for text, task in self.findings()]

    def findings(self) -> list[tuple[str, str]]:
        """What needs a person, each with the task that helps; "" if none does."""
        return [*self._units_findings(), *self._runs_findings(), *self._others_findings()]

    def _units_findings(self) -> list[tuple[str, str]]:
        if not self.on:
            until = ", but the next boot will start it" if self.enabled else ""
            return [(f"the level 3 sync is off{until}", START)] if self.source else []
        found = []
        if not self.enabled:
            found.append(("the level 3 sync will not start after a reboot", START))
        if self.outdated:
            found.append(("the level 3 sync differs from hosts.yaml", START))
        return found

    def _runs_findings(self) -> list[tuple[str, str]]:
        if not self.on:
            return []
        if self.last.error:
            return [(f"level 3 sync: {self.last.error}", "")]
        if self.has_crashed:
            return [(f"level 3 sync: its last run failed ({self.result})", "")]
        if not self.is_late:
            return []
        if self.is_success_ahead:
            text = "the level 3 sync has not run since the host's clock was set back"
            return [(text, "")]
        return [(f"the level 3 sync has not run for {span_text(self.success_age_s)}", "")]

    def _others_findings(self) -> list[tuple[str, str]]:
        if not self.by_hand:
            return []
        pids = ", ".join(map(str, self.by_hand))
        return [(f"someone copies from {self.source} by hand (process {pids})", "")]


def is_ahead(success_at: float, now_at: float) -> bool:
    """Whether a success is in the future: the clock was set back, and no run succeeded since.

    A sync that is well has a new success after its next run.
    """
    return success_at - now_at > units.EVERY_S


def inspect_command(spec: HostSpec) -> Command:
    """Read the state of the sync; decode with `decode`."""
    return INSPECT.command(inspect_request(spec))


def inspect_request(spec: HostSpec) -> SyncInspectRequest:
    """The request for a host's state."""
    return SyncInspectRequest(
        files=tuple(units.files(spec)),
        timer=units.TIMER,
        service=units.SERVICE,
        state_dir=spec.state_dir,
        source=spec.level3_source or "/",
    )


def decode(spec: HostSpec, result: Result) -> SyncState:
    """The state that `inspect_command` read; raises what `Program.decode` raises."""
    return state_of(spec, INSPECT.decode(result, spec.name))


def inspect(host: Host) -> SyncState:
    """The state of a host's sync, in one round trip as the service account."""
    return state_of(host.spec, host.service.call(INSPECT, inspect_request(host.spec)))


def state_of(spec: HostSpec, found: SyncFacts) -> SyncState:
    """The state from a host's answer."""
    wanted = {
        path: hashlib.sha256(content.encode()).hexdigest()
        for path, content in units.files(spec).items()
    }
    return SyncState(
        source=spec.level3_source,
        on=found.timer.active_state == "active",
        enabled=found.timer.unit_file_state == "enabled",
        installed=found.service.load_state == "loaded",
        outdated=found.files != wanted,
        running=found.service.active_state == "activating",
        result=found.service.result or "success",
        last=found.last,
        last_success_at=found.last_success_at,
        by_hand=found.by_hand,
        now_at=found.now_at,
    )
