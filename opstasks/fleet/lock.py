"""One writer at a time per host.

The lock is an open file lock (flock) on `HostSpec.lock_file`, held by the framed shell that
does the work. Every step inherits the descriptor, so a step that outlives its client keeps
the lock; when both are gone the kernel drops it. Nothing has to be cleaned up by
hand. The content of the file (who, task, since when) is for people only.
"""

from __future__ import annotations

import json
import shlex
import time
from datetime import datetime

import msgspec

from opstasks.core.command import Command, Raw, cmd
from opstasks.core.fields import Line, ready
from opstasks.core.formats import minute_text, span_text
from opstasks.fleet.inventory import HostSpec

FD = 9
BUSY_CODE = 75  # EX_TEMPFAIL of sysexits.h


class Owner(msgspec.Struct, frozen=True):
    """Who holds a lock; `since` is an ISO 8601 time in UTC, or "" when it is not known."""

    who: Line
    task: Line
    since: Line
    run_id: Line

    @property
    def since_at(self) -> float:
        """The start, in seconds since the epoch; 0 when it is not known."""
        try:
            return datetime.fromisoformat(self.since).timestamp()
        except (ValueError, OverflowError):
            return 0.0

    @property
    def age_s(self) -> float:
        """The age, in seconds; 0 when it is not known."""
        return max(0.0, time.time() - self.since_at) if self.since_at else 0.0

    def describe(self) -> str:
        """For people: ``alice@laptop, deploy, since 2026-11-24 10:03 UTC (4m)``."""
        since = f", since {minute_text(self.since_at)} ({span_text(self.age_s)})"
        return f"{self.who}, {self.task}{since if self.since_at else ''}"


# The owner when the file is empty or invalid.
NAMELESS = Owner("someone", "an unknown task", "", "")


def take_text(spec: HostSpec, owner: Owner) -> str:
    """Shell text that takes the lock in the shell that evaluates it.

    If someone else has it, prints what the holder wrote and ends with BUSY_CODE. It waits up to two
    seconds, because `holder` also takes the lock for a moment. On a full disk the lock can be taken
    although nothing can be written into the file: service.stop and outputs.rm must still work.

    Only root may write in the file's directory, so that other accounts cannot replace it with a
    link that root would follow. `manage` gives the service account the right to take the lock. On a
    host without it, root makes the directory and the file.
    """
    path, folder = shlex.quote(spec.lock_file), shlex.quote(spec.lock_dir)
    words = shlex.quote(json.dumps(msgspec.structs.asdict(owner)))
    return (
        f"[ -e {path} ] || (umask 022; mkdir -p {folder} && : >>{path})\n"
        f"if ! exec {FD}<>{path}; then (exit 1);"
        f" elif flock -w 2 {FD}; then {{ printf '%s\\n' {words} >{path}; }} 2>/dev/null || true;"
        f" else cat {path}; exec {FD}>&-; (exit {BUSY_CODE}); fi"
    )


def release_text(spec: HostSpec) -> str:
    """Shell text that releases the lock."""
    return f": >{shlex.quote(spec.lock_file)}; exec {FD}>&-"


def holder(spec: HostSpec) -> Command:
    """Print who holds the lock, or nothing when it is free; "held" when the file is empty."""
    path = shlex.quote(spec.lock_file)
    return cmd(Raw(f"[ ! -e {path} ] || flock -n {path} true || grep . {path} || echo held"))


def parse_owner(text: str) -> Owner | None:
    """The holder that `holder` printed; None when the lock is free."""
    if not text.strip():
        return None
    try:
        line = text.strip().split("\n")[-1]
        return msgspec.json.decode(line.encode("utf-8", "surrogateescape"), type=ready(Owner))
    except (msgspec.DecodeError, ValueError, RecursionError):
        return NAMELESS
