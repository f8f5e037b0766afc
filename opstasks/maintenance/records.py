"""What is armed on a host and what became of it, as its records tell."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from opstasks.core.command import Command
from opstasks.fleet import old_program as remote
from opstasks.fleet.inventory import HostSpec
from opstasks.maintenance.flags import Pause

T = TypeVar("T")
PREPARE, UNPAUSE = "prepare-reboot", "unpause"
# What still lies ahead, or is under way.
OPEN_STATES = ("armed", "running")
# How a preparation ends after which a host is not prepared.
UNREADY = ("refused", "failed", "cut off")
# How long that needs a person, unless something newer is armed.
UNREADY_S = 24 * 3600


@dataclass(frozen=True)
class Item:
    """One piece of work; times in seconds since the epoch, `*_s` in seconds.

    `outcome` is "" until it is over; `boot_id` is that of the boot in which it was armed,
    `next_boot` that of the boot which it was for, once that has come ("none" when it was given up
    before); `left` says what could not be put back after a failure.
    """

    id: str
    kind: str = PREPARE
    who: str = ""
    why: str = ""
    due: float = 0.0
    due_there: str = ""
    timed: bool = False
    step: str = ""
    steps: tuple[tuple[float, str], ...] = ()
    outcome: str = ""
    reason: str = ""
    detail: str = ""
    drain_s: float = 0.0
    reboot: bool = False
    keep_paused: bool = False
    boot_id: str = ""
    next_boot: str = ""
    armed_at: float = 0.0
    finished: float = 0.0
    was_active: bool = False
    paused_by_us: bool = False
    requeued: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()
    snapshot: str = ""
    left: tuple[str, ...] = ()

    @property
    def ended(self) -> float:
        """When it was over, or was last heard of."""
        return self.finished or (self.steps[-1][0] if self.steps else self.due)


@dataclass(frozen=True)
class Maintenance:
    """A host's records, its pause, and what is needed to judge them."""

    now: float = 0.0
    zone: str = ""
    boot_id: str = ""
    items: tuple[Item, ...] = ()
    pause: Pause | None = None
    units: dict[str, str] = field(default_factory=dict)

    def state(self, item: Item) -> str:
        """Where a piece of work stands.

        Its outcome; or armed, running; or what took it away: a reboot, or somebody's systemctl.
        """
        if item.outcome:
            return item.outcome
        if item.boot_id != self.boot_id:
            return "dropped" if item.step == "armed" else "cut off"
        timer, service = (self.units.get(f"opstasks-{item.id}.{k}", "") for k in UNIT_KINDS)
        if service in ("active", "activating", "deactivating"):
            return "running"
        if item.step == "armed" and (timer == "active" or not item.timed):
            return "armed"
        return "timer lost" if item.step == "armed" else "cut off"

    def why_so(self, item: Item) -> str:
        """The reason for the state, for people."""
        here = item.boot_id == self.boot_id
        words = {
            "dropped": "the host was rebooted before its time: arm it again, or dismiss it with"
            f" `scheduled.cancel {item.id}`",
            "cut off": f"{'its unit ended' if here else 'the host went down'} at {item.step!r}",
            "timer lost": "its timer is gone: arm it again",
        }
        return item.reason or words.get(self.state(item), "")

    def wanted(self) -> tuple[Item, ...]:
        """The items without those whose pause was ended or replaced by hand: they do nothing."""
        current = self.pause.id if self.pause else ""
        return tuple(i for i in self.items if i.outcome or i.kind != UNPAUSE or i.id == current)

    def open(self) -> tuple[Item, ...]:
        """What lies ahead or is under way, the next one first."""
        found = [item for item in self.wanted() if self.state(item) in OPEN_STATES]
        return tuple(sorted(found, key=lambda item: item.due))

    def dropped(self) -> tuple[Item, ...]:
        """What a reboot, or somebody, took away before its time and nobody has dismissed."""
        gone = ("dropped", "timer lost")
        waiting = (i for i in self.items if i.kind == PREPARE and not i.outcome)
        return tuple(item for item in waiting if self.state(item) in gone)

    def _tried(self, *states: str) -> Iterator[Item]:
        """Preparations that came to their time and ended so, the newest first."""
        begun = (i for i in self.items if i.kind == PREPARE and i.step != "armed")
        return (item for item in begun if self.state(item) in states)

    def prepared(self) -> Item | None:
        """The preparation that this boot belongs to, or that still waits for its reboot.

        One that no boot has noted down counts only while it is the newest: a boot notes it when
        it is through, and hosts that an older version prepared never do.
        """
        newest = next(self._tried("ready", *UNREADY), None)
        ready = next(self._tried("ready"), None)
        if ready is None or ready.next_boot == self.boot_id:
            return ready
        return ready if ready is newest and not ready.next_boot else None

    def unready(self) -> Item | None:
        """The newest preparation where it came to nothing and nobody has dismissed it."""
        newest = next(self._tried("ready", *UNREADY), None)
        if newest is None or newest.outcome in ("ready", "cut off"):
            return None
        # Refused while the host was prepared already: that one held until the boot.
        held = self.prepared() is not None and newest.boot_id != self.boot_id
        return None if held else newest

    def not_rebooted(self, *, serving: bool, paused: bool) -> Item | None:
        """The newest preparation while its reboot has not come, nor was it given up.

        Given up is what serves again, or is paused no longer. One that was refused since has
        touched nothing.
        """
        item = next(self._tried("ready", "failed", "cut off"), None)
        here = item is not None and item.outcome == "ready" and item.boot_id == self.boot_id
        return item if here and paused and not serving else None


UNIT_KINDS = ("timer", "service")


def read_command(spec: HostSpec) -> Command:
    """Read a host's records, as any account; parse with `parse`."""
    request = {"lock_dir": spec.lock_dir, "state_dir": spec.state_dir}
    return remote.call("opstasks.maintenance.onhost.records", request)


def parse(text: str) -> Maintenance:
    """What `read_command` printed; nothing for a host that could not say."""
    try:
        found: dict[str, Any] = json.loads(text)
    except ValueError:
        return Maintenance()
    return Maintenance(
        now=float(found["now"]),
        zone=str(found["zone"]),
        boot_id=str(found["boot_id"]),
        items=_newest_first(item_of(record) for record in found["records"]),
        pause=parse_pause(found["pause"]) if found["pause"] else None,
        units=found["units"],
    )


def _newest_first(items: Iterable[Item]) -> tuple[Item, ...]:
    """By the host's own clock: ids carry that of whoever armed it."""
    return tuple(sorted(items, key=lambda item: item.armed_at, reverse=True))


def parse_pause(note: Mapping[str, Any]) -> Pause:
    """A pause's note as a value."""
    return _known(Pause, note)


def item_of(record: dict[str, Any]) -> Item:
    """A record as a value; keys of another version are left out."""
    lists = ("steps", "requeued", "mounts", "left")
    return _known(Item, {k: tuple(v) if k in lists else v for k, v in record.items()})


def _known(kind: type[T], values: Mapping[str, Any]) -> T:
    names = {item.name for item in fields(kind)}  # type: ignore[arg-type]
    return kind(**{key: value for key, value in values.items() if key in names})
