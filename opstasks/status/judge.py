"""`status`: from a host's answers to its row, and to the list of what needs a person."""

from __future__ import annotations

from dataclasses import dataclass, field

from opstasks.core.formats import minute_text, span_text
from opstasks.deploy.release import Release, unfinished
from opstasks.fleet import lock
from opstasks.jobs.read import JobsAnswer
from opstasks.maintenance.records import PREPARE, RUNNING, UNREAD, UNREADY_S, Maintenance, Pause
from opstasks.primitives.systemd import UnitState
from opstasks.sync.facts import SyncState

FULL_PERCENT = 90
FORGOTTEN_PAUSE_S = 24 * 3600
# The host ends a pause within seconds, unless its lock is held.
LATE_S = 120
# Where a value could not be read: nothing is assumed.
UNKNOWN = "unknown"
NO_JOBS = JobsAnswer(0.0, {}, {}, ())


@dataclass(frozen=True)
class StatusFacts:
    """A host's answers; `problems` says for each missing part why.

    `misfit`: why the service could not start with this code and database.
    """

    unit: UnitState
    deployed: str = ""
    misfit: str = ""
    jobs: JobsAnswer = NO_JOBS
    disks_percent: dict[str, int] = field(default_factory=dict)
    releases: tuple[Release, ...] = ()
    lock_owner: lock.Owner | None = None
    maintenance: Maintenance = UNREAD
    sync: SyncState | None = None
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class HostStatus:
    """A host's row; its texts are for people, `attention` lists what needs a person.

    `running` and `pending` are None when the jobs could not be read.
    """

    unit: str = "absent"
    since: str = ""
    deployed: str = ""
    paused: str = ""
    running: int | None = 0
    pending: int | None = 0
    disk: str = ""
    last_deploy: str = ""
    lock: str = ""
    scheduled: str = ""
    sync: str = ""
    attention: tuple[str, ...] = ()


def judge(facts: StatusFacts, now_at: float) -> HostStatus:
    """The row for a host's answers; `now_at` in seconds since the epoch."""
    unit = facts.unit
    return HostStatus(
        unit=unit.describe(),
        since=span_text(now_at - unit.since.timestamp()) if unit.since else "",
        deployed=facts.deployed,
        paused=_paused(facts.maintenance),
        running=facts.jobs.count("running"),
        pending=facts.jobs.count("pending"),
        disk=", ".join(f"{used} %" for used in dict.fromkeys(facts.disks_percent.values())),
        last_deploy=_last_deploy(facts.releases, now_at),
        lock=facts.lock_owner.describe() if facts.lock_owner else "",
        scheduled=_scheduled_text(facts.maintenance),
        sync=_sync_text(facts.sync),
        attention=attention(facts, now_at),
    )


# -- what needs a person ---------------------------------------------------------------------


def attention(facts: StatusFacts, now_at: float) -> tuple[str, ...]:
    """What needs a person, the service first."""
    return (
        *_unit_attention(facts.unit),
        *([facts.misfit] if facts.misfit else []),
        *facts.problems,
        *_jobs_attention(facts.jobs),
        *_disk_attention(facts.disks_percent),
        *_lock_attention(facts.lock_owner),
        *release_attention(facts.releases, facts.lock_owner),
        *pause_attention(facts.maintenance.pause, now_at),
        *scheduled_attention(
            facts.maintenance,
            serving=facts.unit.is_serving,
            paused=facts.maintenance.pause is not None,
        ),
        *(facts.sync.attention() if facts.sync else ()),
    )


def _unit_attention(unit: UnitState) -> list[str]:
    found = []
    if not unit.is_serving:
        found.append(f"the service is {unit.describe()}")
    if unit.restarts:
        found.append(f"the service was restarted {unit.restarts} time(s) after a crash")
    if unit.load == "loaded" and unit.enabled != "enabled":
        found.append(f"the service is {unit.enabled or 'not enabled'}: a reboot would not start it")
    return found


def _jobs_attention(jobs: JobsAnswer) -> list[str]:
    if jobs.problem:
        return [f"jobs: unknown, {jobs.problem}"]
    found = jobs.joined(orphans=True)
    texts = [f"job {job.id}: {job.disagreement}" for job in found if job.disagreement]
    return [*texts, *(["docker does not answer"] if jobs.docker.problem else [])]


def _disk_attention(disks_percent: dict[str, int]) -> list[str]:
    full = {place: used for place, used in disks_percent.items() if used >= FULL_PERCENT}
    return [f"{place} is {used} % full" for place, used in full.items()]


def _lock_attention(owner: lock.Owner | None) -> list[str]:
    """A lock whose holder is not a run of ours."""
    is_odd = owner == lock.NAMELESS
    return ["the lock is held without a name: see who with `lock.show`"] if is_odd else []


def release_attention(releases: tuple[Release, ...], owner: lock.Owner | None) -> list[str]:
    """An unfinished release, unless a person is working on it."""
    found = unfinished(releases)
    if found and owner is None:
        return [f"unfinished release {found.describe()}: run `deploy`"]
    return []


def pause_attention(pause: Pause | None, now_at: float) -> list[str]:
    """A pause that may be forgotten, or that should have ended."""
    if pause is None:
        return []
    who = pause.who or "hand"
    if pause.until_at:
        late_s = now_at - pause.until_at
        text = f"paused by {who}, should have ended {span_text(late_s)} ago"
        return [text] if late_s > LATE_S else []
    age_s = now_at - pause.since_at
    text = f"paused by {who} {span_text(age_s)} ago without an end: forgotten?"
    return [text] if age_s > FORGOTTEN_PAUSE_S else []


def scheduled_attention(maintenance: Maintenance, *, serving: bool, paused: bool) -> list[str]:
    """Scheduled work that was dropped or failed, and a reboot that has not happened."""
    found = [f"{i.kind} for {i.due_there}: {maintenance.reason(i)}" for i in maintenance.dropped()]
    found += _unready_attention(maintenance)
    if maintenance.not_rebooted(serving=serving, paused=paused):
        found.append("prepared for a reboot that has not happened")
    return found


def _unready_attention(maintenance: Maintenance) -> list[str]:
    """A preparation that failed or was refused: for a day, or until there is a newer one."""
    item = maintenance.unready()
    newest = next((i for i in maintenance.items if i.kind == PREPARE), None)
    if item is None or item is not newest or maintenance.now_at - item.last_at > UNREADY_S:
        return []
    how = f"{maintenance.state(item)}: {maintenance.reason(item)}"
    return [f"{item.kind} for {item.due_there} {how} ({item.id})"]


# -- the columns -----------------------------------------------------------------------------


def _paused(maintenance: Maintenance) -> str:
    """The pause, also when it is not known whether there is one."""
    if maintenance.flag_error:
        return UNKNOWN
    return _pause_text(maintenance.pause) if maintenance.pause else ""


def _pause_text(pause: Pause) -> str:
    """The start and end of a pause, by whom and why."""
    until = f" until {minute_text(pause.until_at)}" if pause.until_at else ""
    why = f": {pause.why}" if pause.why else ""
    return f"since {minute_text(pause.since_at)}{until} by {pause.who or 'hand'}{why}"


def _scheduled_text(maintenance: Maintenance) -> str:
    """The next scheduled work of the host, other than the end of a pause."""
    item = next((item for item in maintenance.open() if item.kind == PREPARE), None)
    if item is None:
        return ""
    if maintenance.state(item) == RUNNING:
        return f"{item.kind} in progress"
    return f"{item.kind} in {span_text(item.due_at - maintenance.now_at)}"


def _sync_text(state: SyncState | None) -> str:
    """How long ago Level 3 files were last copied; empty on a host without them."""
    if state is None:
        return ""
    if not state.on:
        return "off"
    return f"{span_text(state.success_age_s)} ago" if state.last_success_at else "never"


def _last_deploy(releases: tuple[Release, ...], now_at: float) -> str:
    if not releases:
        return ""
    last = releases[0]
    age = span_text(now_at - last.started_at)
    return f"{last.to_name} {last.outcome or 'UNFINISHED'} {age} ago"
