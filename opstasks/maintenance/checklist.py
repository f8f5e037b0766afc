"""The checklist after a reboot: one line for each thing that must be back, with its hint."""

from __future__ import annotations

from dataclasses import dataclass, field

from opstasks.core.command import quote
from opstasks.core.fields import Line, Moment
from opstasks.core.formats import minute_text
from opstasks.core.hints import one_word
from opstasks.core.state import HostState
from opstasks.maintenance.onhost.records import FAILED, INTERRUPTED, REFUSED
from opstasks.maintenance.onhost.units import HostUnit
from opstasks.maintenance.records import PREPARE, UNREADY_S, Maintenance, Pause, ScheduledItem

NOT_PICKED_UP = ("waiting_on_reboot", "paused")
# A reboot this soon after a failed preparation belongs to that preparation.
MEANT_S = 7 * 24 * 3600
_DAY_S = 86400


@dataclass(frozen=True)
class DatabaseNetwork:
    """The network of the database; `is_isolated`: its firewall rules are in place."""

    name: Line
    exists: bool
    is_isolated: bool


@dataclass(frozen=True)
class RequeuedJob:
    """The present state of a requeued job."""

    state: Line
    code: Line


@dataclass(frozen=True)
class AfterAnswer:
    """The state of a host after a boot; `error` says why the jobs could not be read.

    `booted_at` is in seconds since the epoch. `mounted` are the places that are mounted, `fstab`
    those that a boot must mount. `jobs` are the requeued jobs that are in the database, by id.
    """

    booted_at: Moment
    has_docker: bool
    network: DatabaseNetwork
    mounted: tuple[Line, ...]
    fstab: tuple[Line, ...]
    service: HostUnit
    sync: HostUnit
    jobs: dict[Line, RequeuedJob]
    error: Line


@dataclass(frozen=True)
class AfterFacts:
    """All facts of the checklist.

    `boot_done`: the boot had finished its own work on the pause before the pause was read.
    """

    host: AfterAnswer
    maintenance: Maintenance
    boot_done: bool = True

    @property
    def pause(self) -> Pause | None:
        """The present pause."""
        return self.maintenance.pause

    @property
    def prepared(self) -> ScheduledItem | None:
        """The preparation for this boot."""
        return self.maintenance.prepared()

    @property
    def unready(self) -> ScheduledItem | None:
        """A preparation that failed before this boot, or recently in it."""
        item = self.maintenance.unready()
        if item is None:
            return None
        if item.boot_id != self.maintenance.boot_id:
            return item if abs(self.host.booted_at - item.last_at) < MEANT_S else None
        return item if self.maintenance.age_s(item) < UNREADY_S else None

    @property
    def unpaused_soon(self) -> bool:
        """Whether jobs may begin without an operator: now, or when the boot is over."""
        return self.pause is None or not self.boot_done


@dataclass(frozen=True)
class ChecklistLine:
    """One condition; `may_come`: it may become true by itself."""

    what: str
    good: bool
    text: str
    hint: str = ""
    may_come: bool = False


@dataclass(frozen=True)
class Checklist:
    """A host after its reboot; `changed` when the preparation's pause was ended here.

    `now` is what the lines were made from.
    """

    lines: tuple[ChecklistLine, ...]
    changed: bool = False
    now: HostState = field(default_factory=HostState)

    @property
    def bad(self) -> tuple[ChecklistLine, ...]:
        """The lines that fail."""
        return tuple(line for line in self.lines if not line.good)


def state_of(facts: AfterFacts) -> HostState:
    """The state of the host, as it was read for the checklist."""
    found = facts.maintenance
    return HostState(
        service=facts.host.service.claim,
        paused=None if found.flag_error else found.pause is not None,
        jobs={id: job.state for id, job in facts.host.jobs.items()},
        boot_id=found.boot_id,
    )


def is_ours_to_end(facts: AfterFacts) -> bool:
    """Whether the preparation's pause is still there after its reboot, and is ours to end."""
    pause = facts.pause
    if pause is None or pause.task != PREPARE or not facts.boot_done:
        return False
    # The pause's own item: it may have been interrupted, and newer ones may exist.
    item = next((i for i in facts.maintenance.items if i.id == pause.id), None)
    return item is not None and item.boot_id != facts.maintenance.boot_id


def make_lines(name: str, facts: AfterFacts) -> tuple[ChecklistLine, ...]:
    """The checklist of the host `name`, in the order in which things start."""
    has_docker = facts.host.has_docker
    lines = [
        _boot(name, facts),
        ChecklistLine("docker", has_docker, _up(has_docker), "systemctl start docker", True),
        _network(name, facts),
        _mounts(facts),
        _service(name, facts),
        _jobs(name, facts),
        _pause(name, facts),
        _scheduled(name, facts),
    ]
    # A sync that is installed but not enabled was stopped by an operator.
    if facts.host.sync.enabled == "enabled":
        up = facts.host.sync.active == "active"
        lines.append(ChecklistLine("level 3 sync", up, _up(up), f"inv -H {name} sync.start", True))
    return tuple(lines)


def _up(good: bool) -> str:
    return "up" if good else "down"


def _boot(name: str, facts: AfterFacts) -> ChecklistLine:
    booted = minute_text(facts.host.booted_at)
    serving = facts.host.service.active == "active"
    made = facts.maintenance.not_rebooted(serving=serving, paused=facts.pause is not None)
    if made:
        # What was stopped or paused before the preparation stays so.
        words = ["service.start"] * made.was_active + ["unpause"] * made.paused_by_us
        undo = f", or cancel the reboot: inv -H {name} {' '.join(words)}" if words else ""
        hint = f"reboot it{undo}"
        text = f"not rebooted since it was prepared; booted {booted}"
        return ChecklistLine("boot", False, text, hint)
    if facts.unready:
        return _unready(name, facts, facts.unready, booted)
    item = facts.prepared
    if item is None:
        return ChecklistLine("boot", True, f"booted {booted}; no preparation was made for it")
    if item.boot_id == facts.maintenance.boot_id:
        text = f"booted {booted}; the preparation by {item.who} was abandoned"
        return ChecklistLine("boot", True, text)
    text = f"a new boot, {booted}; prepared {item.due_there} by {item.who}"
    return ChecklistLine("boot", True, text)


def _unready(name: str, facts: AfterFacts, item: ScheduledItem, booted: str) -> ChecklistLine:
    """The line for a failed preparation; the host may have been rebooted anyway."""
    found = facts.maintenance
    how = {REFUSED: "was refused", FAILED: "failed", INTERRUPTED: "was interrupted"}
    text = f"the preparation for {item.due_there} by {item.who} ({item.id})"
    text += f" {how[found.state(item)]}: {found.reason(item)}"
    if item.boot_id == found.boot_id:
        hint = f"fix that, then inv -H {name} prepare-reboot"
        return ChecklistLine("boot", False, f"not rebooted since; booted {booted}; {text}", hint)
    days = int(found.age_s(item) // _DAY_S) + 1
    hint = f"inv -H {name} jobs.ls --state failed --since {days}d"
    text = f"a new boot, {booted}, but {text}; jobs that ran then may have failed"
    # A boot that is not finished may still note that the host was prepared before.
    return ChecklistLine("boot", False, text, hint, may_come=not facts.boot_done)


def _network(name: str, facts: AfterFacts) -> ChecklistLine:
    network = facts.host.network
    good = network.exists and network.is_isolated
    words = "isolated" if good else "NOT isolated" if network.exists else "missing"
    hint = f"inv -H {name} service.restart"
    return ChecklistLine("database network", good, f"{network.name}: {words}", hint, True)


def _mounts(facts: AfterFacts) -> ChecklistLine:
    before = facts.prepared.mounts if facts.prepared else ()
    wanted = {*before, *facts.host.fstab}
    missing = sorted(wanted - set(facts.host.mounted))
    if not missing:
        return ChecklistLine("mounts", True, f"{len(wanted)} of {len(wanted)} mounted")
    hint = f"mount {' '.join(map(quote, missing))}"
    return ChecklistLine("mounts", False, f"missing: {', '.join(missing)}", hint)


def _service(name: str, facts: AfterFacts) -> ChecklistLine:
    service = facts.host.service
    up = service.active == "active" and service.sub == "running"
    was_up = facts.prepared is None or facts.prepared.was_active
    text = "running" if up else f"{service.active} ({service.sub})"
    if not was_up and not up:
        return ChecklistLine("service", True, f"{text}, as it was before")
    return ChecklistLine("service", up, text, f"inv -H {name} service.start", may_come=True)


def _jobs(name: str, facts: AfterFacts) -> ChecklistLine:
    """Check that every requeued job is in the database and was picked up again."""
    what, found = "requeued jobs", facts.host.jobs
    ids = facts.prepared.requeued if facts.prepared else ()
    if facts.host.error:
        return ChecklistLine(what, False, facts.host.error, f"inv -H {name} doctor")
    lost = [id for id in ids if id not in found]
    if lost:
        copy = facts.prepared.snapshot if facts.prepared else ""
        text = f"LOST: {', '.join(lost)}"
        return ChecklistLine(what, False, text, f"the database copy made before is {copy}")
    broken = [id for id in ids if found[id].code == "internal_error"]
    if broken:
        text = f"internal error: {', '.join(broken)}"
        return ChecklistLine(what, False, text, f"inv -H {name} jobs.retry {one_word(broken[0])}")
    waiting = [id for id in ids if found[id].code in NOT_PICKED_UP]
    if waiting and facts.pause and facts.pause.task != PREPARE:
        return ChecklistLine(what, True, f"{len(waiting)} wait for the end of the pause")
    if waiting:
        text = f"not picked up yet: {', '.join(waiting)}"
        return ChecklistLine(what, False, text, f"inv -H {name} logs", facts.unpaused_soon)
    return ChecklistLine(what, True, f"{len(ids)} picked up again" if ids else "none")


def _pause(name: str, facts: AfterFacts) -> ChecklistLine:
    if facts.maintenance.flag_error:
        text = f"cannot read the flag: {facts.maintenance.flag_error}"
        return ChecklistLine("pause", False, text, f"inv -H {name} doctor")
    pause = facts.pause
    if pause is None:
        return ChecklistLine("pause", True, "not paused")
    hint = f"inv -H {name} unpause"
    if pause.task == PREPARE:
        text = "still paused for the reboot"
        return ChecklistLine("pause", False, text, hint, facts.unpaused_soon)
    who = pause.who or "someone, by hand"
    if pause.until_at and pause.until_at < facts.maintenance.now_at:
        return ChecklistLine("pause", False, f"paused by {who}; it should have ended", hint)
    return ChecklistLine("pause", True, f"paused by {who}, not by the preparation")


def _scheduled(name: str, facts: AfterFacts) -> ChecklistLine:
    dropped = facts.maintenance.dropped()
    if not dropped:
        return ChecklistLine("scheduled", True, "nothing was dropped")
    item = dropped[0]
    text = f"the reboot dropped {item.kind} for {item.due_there}, by {item.who}"
    hint = f"schedule it again, or dismiss it: inv -H {name} scheduled.cancel {one_word(item.id)}"
    return ChecklistLine("scheduled", False, text, hint)
