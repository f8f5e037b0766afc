"""The tables of `deploy.pending` and `deploy.releases`: pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from opstasks.core.clock import Clock
from opstasks.core.formats import plural, span_text
from opstasks.core.hints import typed
from opstasks.core.result import FleetResult
from opstasks.deploy.document import CheckoutMove, DeployPreview
from opstasks.deploy.preview import UNCONFINED
from opstasks.deploy.release import Release
from opstasks.deploy.words import service_cell
from opstasks.onhost.limits import MOST_COMMITS
from opstasks.output.parts import Line, Painted, Part, bad, bold, good, odd, to_type
from opstasks.output.screens import Screen, no_answer
from opstasks.output.states import or_unknown
from opstasks.output.table import Column

Releases = Sequence[Release]


# -- deploy.pending --------------------------------------------------------------------------

PENDING_COLUMNS = (
    Column("HOST"),
    Column("DEPLOYED"),
    Column("TARGET"),
    Column("STATUS"),
    Column("MIGRATIONS", rank=1),
    Column("DEPENDENCIES", rank=2),
    Column("SERVICE", rank=3),
    Column("JOBS", rank=4, is_right=True),
    Column("NOT SET", rank=5, long="clip"),
)


def pending(hosts_text: str, deploy: str = "deploy") -> Screen[DeployPreview]:
    """What a deploy would change on each host; `hosts_text` selects the same hosts again.

    `deploy` are the words of the task that makes these changes: with the refs that were typed.
    """
    return Screen(
        PENDING_COLUMNS,
        rows=lambda host, found: [_pending_row(host, found)],
        failed=no_answer,
        headline=_pending_headline,
        notes=lambda host, found: _pending_notes(host, found, deploy),
        closing=lambda result: _pending_closing(result, f"{hosts_text} {deploy}".strip()),
    )


def _pending_headline(result: FleetResult[DeployPreview]) -> Line:
    values = list(result.values.values())
    unfinished = sum(bool(value.unfinished) for value in values)
    refused = sum(_is_refused(value) for value in values)
    would = sum(_would_change(value) for value in values)
    counts: list[Part] = [f"{would} of {plural(len(result.results), 'host')} would change"]
    counts += [bad(f", {refused} would be refused")] if refused else []
    counts += [bad(f", {unfinished} unfinished")] if unfinished else []
    if len(counts) == 1 and not would and values:
        return [f"nothing to deploy on {plural(len(values), 'host')}"]
    return counts


def _is_refused(found: DeployPreview) -> bool:
    return bool(found.problems) and not found.unfinished


def _would_change(found: DeployPreview) -> bool:
    return not (found.nothing_to_do or found.problems or found.unfinished)


def _pending_row(host: str, found: DeployPreview) -> Sequence[object]:
    return [
        host,
        found.code.name,
        found.code.target_name or odd("unknown"),
        _status_cell(found),
        _migrations_cell(found),
        move_cell(found.lib),
        service_cell(found.service, found.service_for_s),
        or_unknown(found.running_jobs),
        ", ".join(found.missing_keys),
    ]


def _status_cell(found: DeployPreview) -> Painted:
    if found.unfinished:
        return bad("UNFINISHED")
    cell = move_cell(found.code)
    return Painted(f"{cell.text}, refused", "red") if found.problems else cell


def move_cell(move: CheckoutMove) -> Painted:
    """A checkout relative to its target: ``5 behind``, ``up to date``."""
    if move.direction == "up to date":
        return good("up to date")
    if move.direction == "unknown":
        return odd("unknown")
    sides = ((move.gained, "behind"), (move.lost, "ahead"))
    text = ", ".join(f"{_count(commits)} {word}" for commits, word in sides if commits)
    return bad(text) if move.lost else odd(text or move.direction)


def _count(commits: Sequence[object]) -> str:
    return f"{len(commits)}{'+' if len(commits) >= MOST_COMMITS else ''}"


def _migrations_cell(found: DeployPreview) -> Part:
    if found.migrations_unknown:
        return odd("unknown")
    return ", ".join(str(item.version) for item in found.migrations) or "-"


def _pending_notes(host: str, found: DeployPreview, deploy: str) -> Iterator[Line]:
    for problem in found.problems if _is_refused(found) else ():
        yield [f"{host}  ", bad(problem.text)]
        yield [bold("  next:"), f"  {typed(problem.hint)}"]
    if found.unfinished:
        yield [f"{host}  ", bad(f"release {found.unfinished} is unfinished")]
        yield [bold("  next:"), "  ", to_type(f"inv -H {host} deploy")]
    if found.migrations_unknown and not found.problems:
        why = found.migrations_unknown.split("\n")[0]
        yield [f"{host}  ", odd(f"migrations unknown: {why}")]
    if not found.is_confined:
        yield [f"{host}  ", odd(UNCONFINED)]
    if found.code.lost and not found.unfinished:
        lost = plural(len(found.code.lost), "commit")
        yield [f"{host}  ", bad(f"a deploy would lose {lost} of the host")]
        yield [bold("  next:"), "  ", to_type(f"inv -H {host} {deploy} --dry")]


def _pending_closing(result: FleetResult[DeployPreview], words: str) -> Iterator[Line]:
    if any(map(_would_change, result.values.values())):
        yield ["deploy  ", to_type(f"inv {words}")]


# -- deploy.releases -------------------------------------------------------------------------

RELEASE_COLUMNS = (
    Column("HOST"),
    Column("STARTED"),
    Column("FROM", rank=1),
    Column("TO"),
    Column("RESULT"),
    Column("WHO", rank=2),
    Column("TOOK", rank=3, is_right=True),
    Column("DATABASE", rank=5),
    Column("REASON", rank=4, long="clip"),
)
RESULT_CELLS = {
    "deployed": good("deployed"),
    "rolled back": odd("rolled back"),
    "failed": bad("failed, undone"),
    "unfinished": bad("UNFINISHED"),
    "unreadable": bad("UNREADABLE"),
}


def releases(clock: Callable[[], Clock]) -> Screen[Releases]:
    """The releases of each host, newest first; the zone of `clock` is known once they are read."""
    return Screen(
        RELEASE_COLUMNS,
        rows=lambda host, found: [_release_row(clock(), host, item) for item in found],
        headline=lambda result: _releases_headline(clock(), result),
        closing=_releases_closing,
        nothing=lambda result: f"nothing was deployed yet on {plural(len(result.values), 'host')}",
        ids=lambda found: (item.id for item in found),
    )


def _releases_headline(clock: Clock, result: FleetResult[Releases]) -> Line:
    count = sum(map(len, result.values.values()))
    if not count:
        return ()
    hosts = plural(len(result.values), "host")
    return [f"{plural(count, 'release')} on {hosts}, newest first; now {clock.now_text}"]


def _release_row(clock: Clock, host: str, item: Release) -> Sequence[object]:
    took_s = item.finished_at - item.started_at
    is_long = item.finished_at and item.started_at and took_s >= 0
    return [
        host,
        clock.text(item.started_at),
        item.from_name,
        item.id if item.unread else item.to_name,
        RESULT_CELLS.get(item.result, item.result),
        item.who,
        span_text(took_s) if is_long else "",
        f"{item.from_version} -> {item.to_version}" if item.to_version else "",
        item.unread or item.reason,
    ]


def _releases_closing(result: FleetResult[Releases]) -> Iterable[Line]:
    for host, found in result.values.items():
        for item in found:
            if item.unread:
                yield [f"{host}  ", bad(item.problem)]
        if any(item.unread for item in found):
            yield [bold("  next:"), "  ", to_type(f"inv -H {host} doctor")]
        if any(item.is_unfinished for item in found):
            command = to_type(f"inv -H {host} deploy")
            yield [f"{host}  ", bad("UNFINISHED"), bold("  next:"), "  ", command]
