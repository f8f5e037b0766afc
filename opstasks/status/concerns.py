"""What there is to know about a host besides its service, each with the commands to type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from opstasks.core.formats import span_text
from opstasks.core.hints import one_word
from opstasks.deploy.release import Release, blocking
from opstasks.fleet import lock
from opstasks.jobs import disks
from opstasks.jobs.find import is_id
from opstasks.jobs.read import JobsAnswer
from opstasks.maintenance.records import PREPARE, UNREADY_S, Maintenance, Pause, ScheduledItem
from opstasks.status.model import Concern, ConcernKind
from opstasks.status.service import FORGOTTEN_S
from opstasks.sync.facts import SyncState

# The host ends a pause within seconds, unless its lock is held.
PAUSE_LATE_S = 120
# A release that is newer may be the cause of a service that dies.
SUSPECT_S = 24 * 3600.0
# Of jobs that disagree with docker, so many are named.
MOST_JOBS = 5


def inv(host: str, words: str) -> str:
    """A command to type for a host."""
    return f"inv -H {one_word(host)} {words}"


# -- code, jobs, disks ---------------------------------------------------------------------------


def of_code(misfit: str, problems: Sequence[str], host: str) -> list[Concern]:
    """Code that cannot start with its database, and parts that could not be read."""
    found = [Concern("failed", misfit, next=inv(host, "deploy"))] if misfit else []
    return found + [Concern("failed", text, inv(host, "doctor")) for text in problems]


def of_jobs(jobs: JobsAnswer, host: str) -> list[Concern]:
    """A database or a docker that does not answer; jobs that have lost their containers."""
    if jobs.problem:
        return [Concern("failed", f"jobs: unknown, {jobs.problem}", inv(host, "doctor"))]
    if jobs.docker.problem:
        return [Concern("failed", "docker does not answer", inv(host, "doctor"))]
    odd = [job for job in jobs.joined(orphans=True) if job.disagreement]
    found = []
    for job in odd[:MOST_JOBS]:
        # What an ended job left takes up room, but stops nothing.
        kind: ConcernKind = "stale" if job.is_active else "warning"
        is_job = is_id(job.id) and bool(job.workspace)
        look = f"jobs.show {one_word(job.id)}" if is_job else "doctor"
        found.append(Concern(kind, f"job {job.id}: {job.disagreement}", inv(host, look)))
    if left := odd[MOST_JOBS:]:
        kind = "stale" if any(job.is_active for job in left) else "warning"
        text = f"{len(left)} more jobs disagree with docker"
        found.append(Concern(kind, text, inv(host, "jobs.ls")))
    return found


def of_disks(percents: Mapping[str, int], host: str) -> list[Concern]:
    """Disks that are almost full."""
    full = [(place, used) for place, used in percents.items() if used >= disks.FULL_PERCENT]
    look = inv(host, "host.stats")
    return [Concern("warning", f"{place} is {used}% full", look) for place, used in full]


# -- lock and releases ---------------------------------------------------------------------------


def of_lock(owner: lock.Owner | None, host: str) -> list[Concern]:
    """A lock that is held for hours, or whose holder did not write its name."""
    look = inv(host, "lock.show")
    if owner == lock.NAMELESS:
        return [Concern("warning", "the lock is held without a name", look)]
    if owner is not None and owner.age_s > lock.LONG_S:
        text = f"{owner.task} of {owner.who} holds the lock for {span_text(owner.age_s)}"
        return [Concern("stale", text, look)]
    return []


def undo_of(releases: Sequence[Release], host: str, now_at: float) -> str:
    """The command that takes back the newest release; "" if it cannot be the cause."""
    newest = releases[0] if releases else None
    if newest is None or newest.outcome != "deployed" or newest.kind != "deploy":
        return ""
    return inv(host, "deploy.rollback") if now_at - newest.finished_at < SUSPECT_S else ""


def of_releases(
    releases: Sequence[Release], owner: lock.Owner | None, host: str, now_at: float
) -> list[Concern]:
    """An unfinished release, unless a person is working on it; one that was undone today.

    A record that cannot be read may be of an unfinished one.
    """
    found = blocking(releases)
    if found and found.unread:
        look, go_on = inv(host, "deploy.releases"), inv(host, "doctor")
        return [Concern("failed", found.problem, look, next=go_on)]
    if found and owner is None:
        age = span_text(now_at - found.started_at)
        text = f"{found.kind} from {found.from_name} to {found.to_name} by {found.who}, {age} ago"
        look, go_on = inv(host, "deploy.releases"), inv(host, "deploy")
        return [Concern("stale", f"unfinished: {text}", look, next=go_on)]
    newest = releases[0] if releases else None
    if newest is None or newest.outcome != "rolled back":
        return []
    age_s = now_at - newest.started_at
    text = f"{newest.kind} of {newest.to_name} was undone {span_text(age_s)} ago"
    text += f": {newest.reason}" if newest.reason else ""
    look = inv(host, "deploy.releases")
    return [Concern("warning", text, look)] if age_s < SUSPECT_S else []


# -- pauses and scheduled work -------------------------------------------------------------------


def of_pause(
    maintenance: Maintenance, host: str, now_at: float, *, explained: bool = False
) -> list[Concern]:
    """The pause; `explained`: another concern says why the flag could not be read."""
    if maintenance.flag_error and not explained:
        text = f"paused or not is not known: {maintenance.flag_error}"
        return [Concern("failed", text, inv(host, "doctor"))]
    pause = maintenance.pause
    return [pause_concern(pause, host, now_at)] if pause else []


def pause_concern(pause: Pause, host: str, now_at: float) -> Concern:
    """A pause: as intended, forgotten, or over its end."""
    who = f"by {pause.who}" if pause.who else "by hand"
    why = f' ("{pause.why}")' if pause.why else ""
    undo = inv(host, "unpause")
    if pause.until_at:
        late_s = now_at - pause.until_at
        if late_s > PAUSE_LATE_S:
            text = f"paused {who}, should have ended {span_text(late_s)} ago{why}"
            return Concern("forgotten", text, inv(host, "scheduled"), undo)
        # No clock time: the reader may be in another zone than the host.
        rest, age = span_text(-late_s), span_text(now_at - pause.since_at)
        return Concern("note", f"paused {who} {age} ago, ends in {rest}{why}")
    age_s = now_at - pause.since_at
    text = f"paused {who} {span_text(age_s)} ago, without an end"
    if age_s > FORGOTTEN_S:
        return Concern("forgotten", f"{text}: forgotten?{why}", undo=undo)
    return Concern("note", text + why)


def prepared(item: ScheduledItem, host: str, now_at: float) -> Concern:
    """A host that is stopped because it waits for its reboot."""
    age_s = now_at - item.last_at
    who = f" by {item.who}" if item.who else ""
    text = f"prepared for a reboot{who} {span_text(age_s)} ago, which has not happened"
    kind: ConcernKind = "forgotten" if age_s > FORGOTTEN_S else "note"
    return Concern(kind, text, inv(host, "scheduled"), inv(host, "after-reboot"))


def of_scheduled(maintenance: Maintenance, host: str) -> list[Concern]:
    """Scheduled work that was dropped or failed."""
    look = inv(host, "scheduled")
    found = [
        Concern("stale", f"{item.kind} for {item.due_there}: {maintenance.reason(item)}", look)
        for item in maintenance.dropped()
    ]
    return found + _unready(maintenance, look)


def _unready(maintenance: Maintenance, look: str) -> list[Concern]:
    """A preparation that failed or was refused: for a day, or until there is a newer one."""
    item = maintenance.unready()
    newest = next((i for i in maintenance.items if i.kind == PREPARE), None)
    if item is None or item is not newest or maintenance.age_s(item) > UNREADY_S:
        return []
    how = f"{maintenance.state(item)}: {maintenance.reason(item)}"
    return [Concern("failed", f"{item.kind} for {item.due_there} {how} ({item.id})", look)]


# -- the Level 3 sync ----------------------------------------------------------------------------


def of_sync(state: SyncState, host: str) -> list[Concern]:
    """What the Level 3 sync needs, as one thing."""
    texts = state.attention()
    look, start = inv(host, "sync.status"), inv(host, "sync.start")
    return [Concern(_sync_kind(state), "; ".join(texts), look, next=start)] if texts else []


def _sync_kind(state: SyncState) -> ConcernKind:
    if not state.on:
        return "forgotten" if state.success_age_s > FORGOTTEN_S else "warning"
    if state.has_failed:
        return "failed"
    return "stale" if state.is_late else "warning"
