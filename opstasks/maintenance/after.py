"""After a reboot: is everything back as it was? One line for each thing, with its hint."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

from opstasks.core.command import cmd, quote
from opstasks.core.errors import CommandFailed
from opstasks.fleet import old_program as remote
from opstasks.fleet.host import Host
from opstasks.fleet.inventory import HostSpec
from opstasks.jobs.read import jobs_answer, jobs_command
from opstasks.maintenance import flags, records
from opstasks.maintenance import pause as pausing
from opstasks.maintenance.flags import Pause
from opstasks.maintenance.records import PREPARE, UNREADY_S, Item, Maintenance
from opstasks.primitives import systemd

SYNC_UNIT = "opstasks-level3-sync.timer"
BOOT_UNIT = "opstasks-boot.service"
# While it boots, a unit that has not begun looks like one that has ended.
BOOTING = ("initializing", "starting")
POLL_S = 2.0
WAIT_S = 90.0
NOT_PICKED_UP = ("waiting_on_reboot", "paused")
# A reboot that comes this long after a preparation that came to nothing is the one it was for.
MEANT_S = 7 * 24 * 3600


@dataclass(frozen=True)
class Line:
    """One thing that must be so; `may_come` says that it may become so by itself."""

    what: str
    good: bool
    text: str
    hint: str = ""
    may_come: bool = False


@dataclass(frozen=True)
class Checklist:
    """A host after its reboot; `changed` when a pause of ours was ended here."""

    lines: tuple[Line, ...]
    changed: bool = False

    @property
    def bad(self) -> tuple[Line, ...]:
        """What needs a person."""
        return tuple(line for line in self.lines if not line.good)


@dataclass(frozen=True)
class Facts:
    """What a host says of itself after a boot.

    `boot_done`: the boot's own work on the pause was over before the pause was looked at.
    """

    found: dict[str, Any]
    maintenance: Maintenance
    pause: Pause | None
    boot_done: bool = True

    @property
    def prepared(self) -> Item | None:
        """The preparation that this boot belongs to."""
        return self.maintenance.prepared()

    @property
    def unready(self) -> Item | None:
        """The preparation that came to nothing before this boot, or lately in it."""
        item = self.maintenance.unready()
        if item is None:
            return None
        if item.boot_id != self.maintenance.boot_id:
            return item if self.found["booted"] - item.ended < MEANT_S else None
        return item if self.maintenance.now - item.ended < UNREADY_S else None

    @property
    def unpaused_soon(self) -> bool:
        """Whether jobs may be taken up without anybody's doing: now, or when the boot is over."""
        return self.pause is None or not self.boot_done


def look_after(host: Host, wait_s: float = WAIT_S, *, end_pause: bool = True) -> Checklist:
    """Go through the checklist, giving what is still starting its time; end our own pause."""
    deadline = time.monotonic() + wait_s
    changed = False
    while True:
        facts = gather(host)
        if end_pause and ours_to_end(facts):
            pausing.unpause(host)
            changed = True
            continue
        lines = judge(host.name, facts)
        coming = [line for line in lines if not line.good and line.may_come]
        if not coming or time.monotonic() >= deadline:
            return Checklist(lines, changed)
        done = "the pause of the preparation was ended" if changed else "it was only looked at"
        host.checkpoint(f"{done}; again: inv -H {host.name} after-reboot")
        host.pause(POLL_S)


def gather(host: Host) -> Facts:
    """Everything in two round trips; the second one asks for the jobs that the first names.

    In this order: a boot that ends after it was asked for may still end the pause itself.
    """
    spec = host.spec
    booting, unit, told, counted = host.root.batch(
        [
            cmd("systemctl", "is-system-running"),
            systemd.show(BOOT_UNIT),
            records.read_command(spec),
            jobs_command(spec),
        ]
    )
    maintenance = records.parse(told.out)
    pause = flags.pause_of(jobs_answer(counted, host.name), maintenance.pause)
    prepared = maintenance.prepared()
    (result,) = host.root.batch([_command(spec, prepared.requeued if prepared else ())])
    if result.code:
        raise CommandFailed(
            "cannot look at it", returned=result.code, host=host.name, tail=result.tail()
        )
    begun = systemd.parse_show(BOOT_UNIT, unit.out).active in ("activating", "active")
    boot_done = not begun and booting.out.strip() not in BOOTING
    return Facts(json.loads(result.out), maintenance, pause, boot_done)


def _command(spec: HostSpec, ids: tuple[str, ...]) -> Any:
    request = {
        "database": spec.database,
        "service_user": spec.service_user,
        "config_dir": spec.config_dir,
        "unit": spec.unit,
        "sync_unit": SYNC_UNIT,
        "jobs": list(ids),
    }
    return remote.call("opstasks.maintenance.onhost.after", request)


def ours_to_end(facts: Facts) -> bool:
    """Whether a pause of a preparation outlived its reboot, and the boot left it to us."""
    pause = facts.pause
    if pause is None or pause.task != PREPARE or not facts.boot_done:
        return False
    # Its own one: it may have been cut off, and others may have come since.
    item = next((i for i in facts.maintenance.items if i.id == pause.id), None)
    return item is not None and item.boot_id != facts.maintenance.boot_id


def judge(name: str, facts: Facts) -> tuple[Line, ...]:
    """The checklist, in the order in which things come up."""
    found = facts.found
    network = found["network"]
    start = f"inv -H {name} service.restart"
    fenced = network["there"] and network["fenced"]
    words = "there, fenced in" if fenced else "missing" if not network["there"] else "NOT fenced in"
    lines = [
        _boot(name, facts),
        Line("docker", found["docker"], _up(found["docker"]), "systemctl start docker", True),
        Line("database network", fenced, f"{network['name']}: {words}", start, True),
        _mounts(facts),
        _service(name, facts),
        _jobs(name, facts),
        _pause(name, facts),
        _scheduled(name, facts),
    ]
    # One that is installed and not enabled was stopped by an operator.
    if found["sync"].get("UnitFileState") == "enabled":
        up = found["sync"].get("ActiveState") == "active"
        lines.append(Line("level 3 sync", up, _up(up), f"inv -H {name} sync.start", True))
    return tuple(lines)


def _up(good: bool) -> str:
    return "up" if good else "down"


def _boot(name: str, facts: Facts) -> Line:
    there = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(facts.found["booted"]))
    serving = facts.found["service"].get("ActiveState") == "active"
    if facts.maintenance.not_rebooted(serving=serving, paused=facts.pause is not None):
        hint = "reboot it, or give the reboot up: "
        hint += f"inv -H {name} service.start, then inv -H {name} unpause"
        return Line("boot", False, f"not rebooted since it was prepared; booted {there}", hint)
    if facts.unready:
        return _unready(name, facts, facts.unready, there)
    item = facts.prepared
    if item is None:
        return Line("boot", True, f"booted {there}; no preparation was made for it")
    if item.boot_id == facts.maintenance.boot_id:
        return Line("boot", True, f"booted {there}; the preparation by {item.who} was given up")
    return Line("boot", True, f"a new boot, {there}; prepared {item.due_there} by {item.who}")


def _unready(name: str, facts: Facts, item: Item, there: str) -> Line:
    """Nobody watched it come to nothing; the reboot may have come all the same."""
    found = facts.maintenance
    how = {"refused": "was refused", "failed": "failed", "cut off": "was cut off"}
    text = f"the preparation for {item.due_there} by {item.who} ({item.id})"
    text += f" {how[found.state(item)]}: {found.why_so(item)}"
    if item.boot_id == found.boot_id:
        hint = f"mend that, then inv -H {name} prepare-reboot"
        return Line("boot", False, f"not rebooted since; booted {there}; {text}", hint)
    days = int((found.now - item.ended) // 86400) + 1
    hint = f"inv -H {name} jobs.ls --state failed --since {days}d"
    text = f"a new boot, {there}, but {text}; jobs that ran then may have failed"
    # A boot that is not through may still note that the host was prepared before.
    return Line("boot", False, text, hint, may_come=not facts.boot_done)


def _mounts(facts: Facts) -> Line:
    before = facts.prepared.mounts if facts.prepared else ()
    wanted = {*before, *facts.found["fstab"]}
    missing = sorted(wanted - set(facts.found["mounted"]))
    text = f"missing: {', '.join(missing)}" if missing else f"all {len(wanted)} there"
    return Line(
        "mounts", not missing, text, f"mount {' '.join(map(quote, missing))}" if missing else ""
    )


def _service(name: str, facts: Facts) -> Line:
    state = facts.found["service"]
    up = state.get("ActiveState") == "active" and state.get("SubState") == "running"
    was_up = facts.prepared is None or facts.prepared.was_active
    text = "running" if up else f"{state.get('ActiveState')} ({state.get('SubState')})"
    if not was_up and not up:
        return Line("service", True, f"{text}, as it was before")
    return Line("service", up, text, f"inv -H {name} service.start", may_come=True)


def _jobs(name: str, facts: Facts) -> Line:
    """Every requeued job must be there, and have been taken up again."""
    ids = facts.prepared.requeued if facts.prepared else ()
    found = facts.found["jobs"]
    if facts.found["error"]:
        return Line("requeued jobs", False, facts.found["error"], f"inv -H {name} doctor")
    lost = [id for id in ids if id not in found]
    waiting = [id for id in ids if found.get(id, ["", ""])[1] in NOT_PICKED_UP]
    broken = [id for id in ids if found.get(id, ["", ""])[1] == "internal_error"]
    if lost:
        kept = facts.prepared.snapshot if facts.prepared else ""
        text = f"LOST: {', '.join(lost)}"
        return Line("requeued jobs", False, text, f"the database of before is {kept}")
    if broken:
        text = f"internal error: {', '.join(broken)}"
        return Line("requeued jobs", False, text, f"inv -H {name} jobs.retry {broken[0]}")
    if waiting and facts.pause and facts.pause.task != PREPARE:
        return Line("requeued jobs", True, f"{len(waiting)} wait for the end of the pause")
    if waiting:
        text = f"not picked up yet: {', '.join(waiting)}"
        return Line("requeued jobs", False, text, f"inv -H {name} logs", facts.unpaused_soon)
    return Line("requeued jobs", True, f"{len(ids)} picked up again" if ids else "none")


def _pause(name: str, facts: Facts) -> Line:
    pause = facts.pause
    if pause is None:
        return Line("pause", True, "not paused")
    hint = f"inv -H {name} unpause"
    if pause.task == PREPARE:
        return Line("pause", False, "still paused for the reboot", hint, facts.unpaused_soon)
    whose = pause.who or "somebody, by hand"
    if pause.until and pause.until < facts.maintenance.now:
        return Line("pause", False, f"paused by {whose}; it should have ended", hint)
    return Line("pause", True, f"paused by {whose}, not by the preparation")


def _scheduled(name: str, facts: Facts) -> Line:
    dropped = facts.maintenance.dropped()
    if not dropped:
        return Line("scheduled", True, "nothing was dropped")
    item = dropped[0]
    text = f"the reboot dropped {item.kind} for {item.due_there}, by {item.who}"
    hint = f"arm it again, or dismiss it: inv -H {name} scheduled.cancel {item.id}"
    return Line("scheduled", False, text, hint)
