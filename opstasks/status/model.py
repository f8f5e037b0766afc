"""What `status` says about a host: typed values, for the screen and for `--json`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

# "up": it serves. "crash loop": it died several times in the last half hour, and has not been up
# for ten minutes since. "crashed": it died once, and systemd waits to start it again. "failed":
# systemd does not start it again. "stopped": it is not meant to run, or nothing has started it.
ServiceWord = Literal[
    "up",
    "crash loop",
    "crashed",
    "starting",
    "stopping",
    "stopped",
    "failed",
    "absent",
    "unknown",
]
# The first four make the exit code 1 (docs/exit-codes.md). "warning": it needs a person, but not
# now. "note": it is as somebody wanted it.
ConcernKind = Literal["down", "failed", "stale", "forgotten", "warning", "note"]
WRONG: tuple[ConcernKind, ...] = ("down", "failed", "stale", "forgotten")
KINDS: tuple[ConcernKind, ...] = (*WRONG, "warning", "note")


@dataclass(frozen=True)
class Concern:
    """One thing to know about a host; `look`, `undo` and `next` are commands to type, or ""."""

    kind: ConcernKind
    text: str
    look: str = ""
    undo: str = ""
    next: str = ""

    @property
    def is_wrong(self) -> bool:
        """Whether the host is not ok."""
        return self.kind in WRONG


@dataclass(frozen=True)
class ServiceStatus:
    """The service; `since_at` is when it got into this state (0: not known).

    `restarts` counts those of systemd since the last start by a person; `reason` is why it last
    died, if it died; `starts_at_boot` is None if that is not known.
    """

    state: ServiceWord = "unknown"
    since_at: float = 0.0
    restarts: int = 0
    reason: str = ""
    starts_at_boot: bool | None = None


@dataclass(frozen=True)
class LastRelease:
    """The newest deploy or rollback; `outcome` is "deployed", "rolled back", or "" (unfinished)."""

    kind: str
    outcome: str
    from_name: str
    to_name: str
    who: str
    started_at: float
    finished_at: float


@dataclass(frozen=True)
class PauseStatus:
    """The pause of new jobs; `until_at` is 0 without an end, `who` "" for one set by hand."""

    since_at: float
    until_at: float
    who: str
    why: str


@dataclass(frozen=True)
class LockStatus:
    """Who changes the host at the moment; `since_at` is 0 when it is not known."""

    who: str
    task: str
    since_at: float


@dataclass(frozen=True)
class NextWork:
    """The next scheduled work of the host."""

    id: str
    kind: str
    due_at: float
    reboots: bool
    is_running: bool
    who: str
    why: str


@dataclass(frozen=True)
class SyncStatus:
    """The Level 3 sync, where the host has one; `last_success_at` is 0 before the first run."""

    is_on: bool
    is_running: bool
    last_success_at: float


@dataclass(frozen=True)
class HostStatus:
    """A host; None where a value could not be read, or does not exist.

    `ok` is False if a concern is down, failed, stale or forgotten. `behind` counts the commits of
    the wanted branch that were there at the last fetch and are not in the release. `failed_24h` is
    the number of jobs that failed in the last 24 hours. `disk_percent` is the use of the fullest
    disk, `disks_percent` that of each, by mount point.
    """

    ok: bool = True
    service: ServiceStatus = field(default_factory=ServiceStatus)
    release: str | None = None
    behind: int | None = None
    running: int | None = None
    pending: int | None = None
    failed_24h: int | None = None
    disk_percent: int | None = None
    disk_mount: str | None = None
    disks_percent: dict[str, int] = field(default_factory=dict)
    is_paused: bool | None = None
    pause: PauseStatus | None = None
    next: NextWork | None = None
    last_release: LastRelease | None = None
    lock: LockStatus | None = None
    sync: SyncStatus | None = None
    concerns: tuple[Concern, ...] = ()
    read_at: float = 0.0
