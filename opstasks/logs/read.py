"""Read the service's log of one host: the lines so far, and each new line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from opstasks.core.errors import Refused
from opstasks.core.result import Result
from opstasks.fleet.host import Host, check
from opstasks.onhost.journal_records import NO_PERMISSION
from opstasks.onhost.limits import MAX_LINE
from opstasks.primitives import journal


@dataclass(frozen=True)
class WantedLog:
    """The newest `lines` (0: all) `since` a time, only from records that contain `job`."""

    lines: int = 0
    since: str = ""
    job: str = ""


def read(host: Host, wanted: WantedLog) -> list[str]:
    """The lines, oldest first; raises Refused if the account may not read the journal."""
    unit = host.spec.unit
    if wanted.job:
        request = journal.unit_records(
            unit, wanted.job, lines=wanted.lines, since_time=wanted.since
        )
        try:
            return list(host.service.call(journal.RECORDS, request).lines)
        except Refused as refusal:
            _explain(host, refusal)
            raise
    command = journal.unit_lines(unit, lines=wanted.lines, since_time=wanted.since)
    command = command.printing(journal.MAX_LOG_BYTES)
    (result,) = host.service.batch([command])
    _check_readable(host, result)
    return [shortened(line) for line in check(result, command, host.name).lines]


def follow(
    host: Host,
    wanted: WantedLog,
    on_line: Callable[[str], None],
    on_wait: Callable[[], None] = lambda: None,
) -> None:
    """Pass on the lines, and then each new line, without end.

    `on_wait` is called after each piece of output, which has one line or more, and at least once a
    second; an exception from either callback ends it. Raises Refused if the account may not read
    the journal.
    """
    if wanted.job:
        _follow_records(host, wanted, on_line, on_wait)
    else:
        _follow_unit(host, wanted, on_line, on_wait)


def shortened(line: str) -> str:
    """A line that fits on a screen; journald itself keeps no longer one than 48 KiB."""
    if len(line) <= MAX_LINE:
        return line
    return f"{line[:MAX_LINE]}… (the rest of this line is left out)"


def _follow_records(
    host: Host, wanted: WantedLog, on_line: Callable[[str], None], on_wait: Callable[[], None]
) -> None:
    request = journal.unit_records(host.spec.unit, wanted.job, since_time=wanted.since, follow=True)
    try:
        host.service.follow(journal.RECORDS, request, on_line, on_wait)
    except Refused as refusal:
        _explain(host, refusal)
        raise


def _follow_unit(
    host: Host, wanted: WantedLog, on_line: Callable[[str], None], on_wait: Callable[[], None]
) -> None:
    command = journal.unit_lines(
        host.spec.unit, lines=wanted.lines, since_time=wanted.since, follow=True
    )
    rest = b""

    def take(data: bytes) -> None:
        nonlocal rest
        *whole, rest = (rest + data).split(b"\n")
        for line in whole:
            on_line(shortened(line.decode("utf-8", "replace")))
        rest = rest[: MAX_LINE * 4]  # no character has more bytes
        on_wait()

    result = host.service.stream(command, take)
    _check_readable(host, result)
    check(result, command, host.name)


def _explain(host: Host, refusal: Refused) -> None:
    """Raise the program's refusal again, with a hint; do not change other refusals."""
    if refusal.message == NO_PERMISSION:
        raise _not_readable(host) from refusal


def _check_readable(host: Host, result: Result) -> None:
    if NO_PERMISSION in result.err:
        raise _not_readable(host)


def _not_readable(host: Host) -> Refused:
    return Refused(
        f"{host.spec.service_user} may not read the journal, or has no lines in it",
        host=host.name,
        hint=f"inv -H {host.name} doctor",
    )
