"""How the service died: systemd's view of the unit and, if it is in trouble, the end of its log.

One command reads both. A host without trouble does not read its log.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import Any

import msgspec

from opstasks.core.command import Command, Raw, cmd
from opstasks.core.lines import lines_of
from opstasks.fleet.inventory import HostSpec
from opstasks.primitives import systemd

LOG_LINES = 100
LOG_BYTES = 100_000
LOG_TIMEOUT_S = 10
MOST_REASON = 300
_FIELDS = "MESSAGE,_SYSTEMD_INVOCATION_ID"


@dataclass(frozen=True)
class ServiceRun:
    """One run of the service in its log: its last line's time, and why it died, if it says so."""

    id: str
    last_at: float
    reason: str


def unit_command(spec: HostSpec) -> Command:
    """Print the unit's state and, unless it serves without a restart or is stopped, its log.

    Split the output with `parts`.
    """
    show = systemd.show(spec.unit).line()
    log = cmd(
        *("timeout", LOG_TIMEOUT_S, "journalctl", f"--unit={spec.unit}", "--no-pager", "--quiet"),
        *("--output=json", f"--output-fields={_FIELDS}", f"--lines={LOG_LINES}"),
    ).line()
    pairs = (("SubState=running", "NRestarts=0"), ("ActiveState=inactive", "Result=success"))
    quiet = "|".join(f"*{a}*{b}*|*{b}*{a}*" for a, b in pairs)
    return cmd(
        Raw(
            f"shown=$({show}); printf '%s\\n\\n' \"$shown\";"
            f' case "$shown" in {quiet}) ;; *) {log} 2>/dev/null | tail -c {LOG_BYTES} ;; esac'
        )
    )


def parts(text: str) -> tuple[str, str]:
    """What `unit_command` printed: the unit's properties, and the log."""
    shown, _, log = text.partition("\n\n")
    return shown, log


def parse_runs(text: str) -> tuple[ServiceRun, ...]:
    """The runs of the service in its log, the oldest first; invalid lines are left out."""
    records = [record for line in text.split("\n") if (record := _record(line))]
    runs = []
    for id, group in groupby(records, key=lambda record: record[0]):
        found = list(group)
        messages = [line for _, _, message in found for line in lines_of(message)]
        runs.append(ServiceRun(id, found[-1][1], reason_in(messages)))
    return tuple(runs)


def _record(line: str) -> tuple[str, float, str] | None:
    """The run, the time and the message of one record."""
    try:
        found: dict[str, Any] = msgspec.json.decode(line, type=dict)
        at = int(found["__REALTIME_TIMESTAMP"]) / 1e6
        run, message = found["_SYSTEMD_INVOCATION_ID"], found["MESSAGE"]
    except (ValueError, KeyError, TypeError, RecursionError, UnicodeError):
        return None
    return (run, at, message) if isinstance(run, str) and isinstance(message, str) else None


def reason_in(lines: list[str]) -> str:
    """The last exception in lines of a log, without secrets; "" if there is none."""
    from opstasks.onhost.masking import masked  # only for a service that died

    found, inside = "", False
    for line in lines:
        if line.startswith("Traceback (most recent call last)"):
            inside = True
        elif inside and line and not line[0].isspace():
            found, inside = line, False
    return masked(found)[:MOST_REASON].strip()
