"""`status` as a screen: one row for each host, then what needs a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from opstasks.core.clock import Clock
from opstasks.core.formats import span_text
from opstasks.core.result import FleetResult
from opstasks.jobs.disks import FULL_PERCENT
from opstasks.maintenance.texts import work_text
from opstasks.output.notes import Note, note_lines
from opstasks.output.parts import Line, Part, bad, bold, good, odd
from opstasks.output.screens import Screen, no_answer
from opstasks.output.states import NOT_KNOWN, or_unknown, service_part, silent_text
from opstasks.output.table import Column
from opstasks.status.model import KINDS, WRONG, Concern, HostStatus, LastRelease, ServiceStatus
from opstasks.sync.facts import is_ahead

COLUMNS = (
    Column("HOST"),
    Column("SERVICE"),
    Column("RELEASE"),
    Column("BEHIND", rank=4, is_right=True),
    Column("RUN", is_right=True),
    Column("WAIT", is_right=True),
    Column("FAIL24h", rank=1, is_right=True),
    Column("DISK", is_right=True),
    Column("FULLEST", rank=7),
    Column("NEXT", rank=2),
    Column("PAUSED", rank=3),
    Column("LAST DEPLOY", rank=5),
    Column("LOCK", rank=6, long="clip"),
    Column("SYNC", rank=8),
)
PAINTS: Mapping[str, Callable[[str], Part]] = {
    "warning": odd,
    "note": str,
    "stale": odd,
    "forgotten": odd,
}


def status_screen(
    clock: Callable[[], Clock], width: int, *, wide: bool = False
) -> Screen[HostStatus]:
    """The screen for a window of a width (0: a pipe); `wide` shows texts whole.

    `clock` is asked after the hosts have answered: they say their zone.
    """

    def closing(result: FleetResult[HostStatus]) -> Iterable[Line]:
        return note_lines(notes(result, is_whole=wide), width)

    return Screen(
        COLUMNS,
        lambda host, found: [row(host, found, clock())],
        failed=no_answer,
        headline=lambda result: headline(result, clock()),
        closing=closing,
    )


def headline(result: FleetResult[HostStatus], clock: Clock) -> Line:
    """The answer: ``02:13 UTC, 1 of 3 ok: 1 down, 1 no answer``."""
    fine = sum(status.ok for status in result.values.values())
    count = len(result.results)
    words = Counter(filter(None, (_worst(item.outcome, item.value) for item in result)))
    order = dict.fromkeys((*WRONG, *words))
    wrong = ", ".join(f"{words[word]} {word}" for word in order if words[word])
    text = f"{fine} of {count} ok"
    return [
        f"{clock.now_text}, ",
        good(text) if fine == count else bad(text),
        f": {wrong}" if wrong else "",
    ]


def _worst(outcome: str, status: HostStatus | None) -> str:
    """One word for a host; "" if it is ok."""
    if status is None:
        return silent_text(outcome)
    wrong = [concern.kind for concern in status.concerns if concern.is_wrong]
    return min(wrong, key=KINDS.index, default="")


def notes(result: FleetResult[HostStatus], *, is_whole: bool = False) -> list[Note]:
    """What needs a person, the worst first, and what is as somebody wanted it."""
    found = [(host, one) for host, status in result.values.items() for one in status.concerns]
    found.sort(key=lambda pair: KINDS.index(pair[1].kind))
    return [_note(host, concern, is_whole=is_whole) for host, concern in found]


def _note(host: str, concern: Concern, *, is_whole: bool) -> Note:
    labels = ("look", "undo", "next")
    commands = [(label, getattr(concern, label)) for label in labels if getattr(concern, label)]
    # What people wrote is whole; of the words of a program, the beginning says enough.
    most_lines = 0 if is_whole else 2 if concern.kind in ("note", "forgotten") else 1
    text = PAINTS.get(concern.kind, bad)(concern.text)
    return Note(bold(host), text, tuple(commands), most_lines)


# -- a row -------------------------------------------------------------------------------------


def row(host: str, found: HostStatus, clock: Clock) -> Sequence[object]:
    """The row of a host."""
    now_at = found.read_at or clock.now_at
    return [
        host,
        _service(found.service, now_at),
        found.release or NOT_KNOWN,
        odd(str(found.behind)) if found.behind else found.behind,
        or_unknown(found.running),
        or_unknown(found.pending),
        _failed(found.failed_24h),
        _disk(found.disk_percent),
        _fullest(found),
        _next(found, now_at),
        _paused(found, clock),
        _last_deploy(found.last_release, now_at),
        _lock(found, now_at),
        _sync(found, now_at),
    ]


def _service(service: ServiceStatus, now_at: float) -> Part:
    has_age = service.since_at and service.state != "absent"
    return service_part(service.state, now_at - service.since_at if has_age else None)


def _failed(value: int | None) -> object:
    return odd(str(value)) if value else or_unknown(value)


def _disk(percent: int | None) -> Part:
    if percent is None:
        return NOT_KNOWN
    return odd(f"{percent}%") if percent >= FULL_PERCENT else f"{percent}%"


def _fullest(found: HostStatus) -> str:
    """Where the fullest disk is, if the disks differ."""
    differ = len(set(found.disks_percent.values())) > 1
    return found.disk_mount or "" if differ else ""


def _next(found: HostStatus, now_at: float) -> str:
    """``reboot in 3h59m``."""
    work = found.next
    if work is None:
        return ""
    name = work_text(work.kind, reboots=work.reboots)
    return f"{name} now" if work.is_running else f"{name} in {span_text(work.due_at - now_at)}"


def _paused(found: HostStatus, clock: Clock) -> Part:
    if found.is_paused is None:
        return NOT_KNOWN
    if found.pause is None:
        return ""
    until, since = found.pause.until_at, found.pause.since_at
    return odd(f"until {clock.text(until)}" if until else f"since {clock.text(since)}")


def _last_deploy(last: LastRelease | None, now_at: float) -> Part:
    """``v2.73.0 3h ago``; for a rollback: ``back to v2.71.0 3h ago``."""
    if last is None:
        return ""
    age = f"{span_text(now_at - last.started_at)} ago"
    what = f"back to {last.to_name}" if last.kind == "rollback" else last.to_name
    if last.outcome == "deployed":
        return f"{what} {age}"
    how = "undone" if last.outcome == "rolled back" else last.outcome or "UNFINISHED"
    return odd(f"{what} {how} {age}")


def _lock(found: HostStatus, now_at: float) -> Part:
    """``deploy by alice@laptop, 4m``."""
    lock = found.lock
    if lock is None:
        return ""
    age = f", {span_text(now_at - lock.since_at)}" if lock.since_at else ""
    return odd(f"{lock.task} by {lock.who}{age}")


def _sync(found: HostStatus, now_at: float) -> Part:
    """How long ago Level 3 files were last copied; empty on a host without them."""
    sync = found.sync
    if sync is None:
        return ""
    if not sync.is_on:
        return odd("off")
    at = sync.last_success_at
    if is_ahead(at, now_at):
        return odd("unknown")
    return f"{span_text(now_at - at)} ago" if at else odd("never")
