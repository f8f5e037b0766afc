"""One row for each host: what serves, what runs, and what needs a person."""

from __future__ import annotations

import time
from dataclasses import dataclass

from opstasks.core.command import Command, cmd
from opstasks.core.errors import CommandFailed, ProgramFailed, TimedOut
from opstasks.core.formats import minute_text, span_text
from opstasks.core.result import Result
from opstasks.deploy import release
from opstasks.fleet import lock
from opstasks.fleet.host import Host
from opstasks.fleet.inventory import HostSpec
from opstasks.jobs import model as jobs
from opstasks.maintenance import records
from opstasks.maintenance.records import PREPARE, UNREADY_S, Maintenance, Pause
from opstasks.primitives import docker, git, systemd
from opstasks.sync import act as sync

FULL_PERCENT = 90
FORGOTTEN_PAUSE_S = 24 * 3600
# The host ends a pause within seconds, unless somebody holds its lock.
LATE_S = 120


@dataclass(frozen=True)
class HostStatus:
    """How a host stands; texts are for people, `attention` lists what needs one."""

    unit: str = "absent"
    since: str = ""
    deployed: str = ""
    paused: str = ""
    running: int = 0
    pending: int = 0
    disk: str = ""
    last_deploy: str = ""
    lock: str = ""
    scheduled: str = ""
    sync: str = ""
    attention: tuple[str, ...] = ()


def read(host: Host) -> HostStatus:
    """Read a host's status in one round trip as the service account."""
    results = host.service.gather(commands(host.spec))
    return judge(host.spec, results, time.time())


def commands(spec: HostSpec) -> dict[str, Command]:
    """What is asked, by name."""
    return {
        "unit": systemd.show(spec.unit),
        "deployed": git.describe(spec.code_dir),
        "jobs": jobs.read_command(spec, ["running"]),
        "containers": jobs.containers_command(),
        "disk": cmd("df", "--output=pcent,target", spec.home, spec.high_privacy),
        "releases": release.list_command(spec),
        "lock": lock.holder(spec),
        "maintenance": records.read_command(spec, with_flag=True),
        **({"sync": sync.look_command(spec)} if spec.level3_source else {}),
    }


def judge(spec: HostSpec, results: dict[str, Result], now: float) -> HostStatus:
    """From what the host answered to a row; `now` in seconds since the epoch."""
    unit = systemd.parse_show(spec.unit, results["unit"].out)
    database = (
        jobs.parse(results["jobs"].out)
        if results["jobs"].code == 0
        else (jobs.Database(error=results["jobs"].tail()))
    )
    containers = docker.parse_containers(results["containers"].out)
    joined = jobs.join(database.jobs, containers)
    releases = release.parse_releases(results["releases"].out)
    owner = lock.parse_owner(results["lock"].out)
    disks = _disks(results["disk"].out)
    maintenance, unread = _maintenance(spec, results["maintenance"])
    pause = maintenance.pause
    copying = sync.parse(spec, results["sync"].out) if "sync" in results else None
    attention = [
        *_unit_attention(unit),
        *([f"database: {database.error}"] if database.error else []),
        *(f"job {job.id}: {job.disagreement}" for job in joined if job.disagreement),
        *(["docker does not answer"] if results["containers"].code else []),
        *(f"{place} is {used} % full" for place, used in disks.items() if used >= FULL_PERCENT),
        *_release_attention(releases, owner),
        *unread,
        *_pause_attention(pause, now),
        *_scheduled_attention(maintenance, unit.is_serving, pause),
        *(copying.attention() if copying else ()),
    ]
    return HostStatus(
        unit=unit.describe(),
        since=span_text(now - unit.since.timestamp()) if unit.since else "",
        deployed=results["deployed"].text if results["deployed"].code == 0 else "",
        paused=_pause(pause) if pause else "",
        running=database.counts.get("running", 0),
        pending=database.counts.get("pending", 0),
        disk=", ".join(f"{used} %" for used in dict.fromkeys(disks.values())),
        last_deploy=_last(releases, now),
        lock=owner.describe() if owner else "",
        scheduled=_scheduled(maintenance),
        sync=_sync(copying),
        attention=tuple(attention),
    )


def _maintenance(spec: HostSpec, result: Result) -> tuple[Maintenance, list[str]]:
    """What is scheduled and who paused; or nothing, and why it could not be read."""
    try:
        return records.READ.decode(result, spec.name), []
    except (CommandFailed, ProgramFailed, TimedOut) as error:
        return records.UNREAD, [f"scheduled work: {error.message}"]


def _unit_attention(unit: systemd.UnitState) -> list[str]:
    found = []
    if not unit.is_serving:
        found.append(f"the service is {unit.describe()}")
    if unit.restarts:
        found.append(f"the service was restarted {unit.restarts} time(s) after a crash")
    if unit.load == "loaded" and unit.enabled != "enabled":
        found.append(f"the service is {unit.enabled or 'not enabled'}: a reboot would not start it")
    return found


def _release_attention(
    releases: tuple[release.Release, ...], owner: lock.Owner | None
) -> list[str]:
    cut_off = release.unfinished(releases)
    if cut_off and owner is None:
        return [f"unfinished release {cut_off.describe()}: run `deploy`"]
    return []


def _pause(pause: Pause) -> str:
    """Since when, until when, by whom and why."""
    until = f" until {minute_text(pause.until_at)}" if pause.until_at else ""
    why = f": {pause.why}" if pause.why else ""
    return f"since {minute_text(pause.since_at)}{until} by {pause.who or 'hand'}{why}"


def _pause_attention(pause: Pause | None, now: float) -> list[str]:
    if pause is None:
        return []
    whose = pause.who or "hand"
    if pause.until_at:
        late = now - pause.until_at
        return (
            [f"paused by {whose}, should have ended {span_text(late)} ago"] if late > LATE_S else []
        )
    if now - pause.since_at > FORGOTTEN_PAUSE_S:
        return [
            f"paused by {whose} for {span_text(now - pause.since_at)}, without an end: forgotten?"
        ]
    return []


def _scheduled(maintenance: Maintenance) -> str:
    """The next thing that the host will do by itself, other than ending a pause."""
    ahead = [item for item in maintenance.open() if item.kind == PREPARE]
    if not ahead:
        return ""
    item = ahead[0]
    if maintenance.state(item) == records.RUNNING:
        return f"{item.kind} under way"
    return f"{item.kind} in {span_text(item.due_at - maintenance.now_at)}"


def _scheduled_attention(maintenance: Maintenance, serving: bool, pause: Pause | None) -> list[str]:
    found = [f"{i.kind} for {i.due_there}: {maintenance.reason(i)}" for i in maintenance.dropped()]
    found += _unready_attention(maintenance)
    if maintenance.not_rebooted(serving=serving, paused=pause is not None):
        found.append("prepared for a reboot that has not come")
    return found


def _unready_attention(maintenance: Maintenance) -> list[str]:
    """A preparation that came to nothing while nobody watched, until a newer one or for a day."""
    item = maintenance.unready()
    newest = next((i for i in maintenance.items if i.kind == PREPARE), None)
    if item is None or item is not newest or maintenance.now_at - item.last_at > UNREADY_S:
        return []
    how = f"{maintenance.state(item)}: {maintenance.reason(item)}"
    return [f"{item.kind} for {item.due_there} {how} ({item.id})"]


def _sync(state: sync.State | None) -> str:
    """How long ago Level 3 files were last copied; nothing where there are none to copy."""
    if state is None:
        return ""
    if not state.on:
        return "off"
    return f"{span_text(state.success_age_s)} ago" if state.last_success else "never"


def _disks(text: str) -> dict[str, int]:
    """Mount point to per cent used, from df."""
    rows = [line.split(None, 1) for line in text.splitlines()[1:]]
    return {row[1]: int(row[0].rstrip("%")) for row in rows if len(row) == 2}


def _last(releases: tuple[release.Release, ...], now: float) -> str:
    if not releases:
        return ""
    last = releases[0]
    return f"{last.to_name} {last.outcome or 'UNFINISHED'} {span_text(now - last.started)} ago"
