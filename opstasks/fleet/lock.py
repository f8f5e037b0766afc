"""One writer at a time per host.

The lock is an open file lock (flock) on `HostSpec.lock_file`, held by the framed shell that
does the work: every step inherits the descriptor, so a step that outlives its client still
keeps others out, and when both are gone the kernel drops the lock. There is no file to clean
up by hand. What the file *says* (who, task, since when) is for people only.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from opstasks.core.command import Command, Raw, cmd
from opstasks.fleet.inventory import HostSpec

FD = 9
BUSY_CODE = 75  # EX_TEMPFAIL of sysexits.h


@dataclass(frozen=True)
class Owner:
    """Who holds a lock; `since` is an ISO 8601 time in UTC."""

    who: str
    task: str
    since: str
    run_id: str

    @property
    def age_s(self) -> float:
        """For how long, in seconds; 0 when nobody wrote it down."""
        try:
            return (datetime.now(UTC) - datetime.fromisoformat(self.since)).total_seconds()
        except (ValueError, TypeError):
            return 0.0

    def describe(self) -> str:
        """For people: ``alice@laptop, deploy, since 10:03 UTC (4 min)``."""
        try:
            since = datetime.fromisoformat(self.since)
        except ValueError:
            return f"{self.who}, {self.task}"
        minutes = int((datetime.now(UTC) - since).total_seconds() // 60)
        return f"{self.who}, {self.task}, since {since:%H:%M} UTC ({minutes} min)"


def take_text(spec: HostSpec, owner: Owner) -> str:
    """Shell text that takes the lock in the shell that evaluates it.

    Prints the present holder's words and ends with BUSY_CODE when someone else has it.
    It waits two seconds: whoever only looks holds it for a moment, too. The words are no part of
    it: on a full disk they are missing, and service.stop or outputs.rm are wanted most.

    The file lies in a directory that only root may write: nobody can put a link in its place
    for root to write through. `manage` gives the service account the right to take it; on a
    bare host root makes both.
    """
    path, folder = shlex.quote(spec.lock_file), shlex.quote(spec.lock_dir)
    words = shlex.quote(json.dumps(asdict(owner)))
    return (
        f"[ -e {path} ] || (umask 022; mkdir -p {folder} && : >>{path})\n"
        f"if ! exec {FD}<>{path}; then (exit 1);"
        f" elif flock -w 2 {FD}; then {{ printf '%s\\n' {words} >{path}; }} 2>/dev/null || true;"
        f" else cat {path}; exec {FD}>&-; (exit {BUSY_CODE}); fi"
    )


def release_text(spec: HostSpec) -> str:
    """Shell text that gives the lock back."""
    return f": >{shlex.quote(spec.lock_file)}; exec {FD}>&-"


def holder(spec: HostSpec) -> Command:
    """Print who holds the lock, or nothing when it is free; a holder may have left no words."""
    path = shlex.quote(spec.lock_file)
    return cmd(Raw(f"[ ! -e {path} ] || flock -n {path} true || grep . {path} || echo held"))


def parse_owner(text: str) -> Owner | None:
    """The holder that `holder` printed; None when the lock is free."""
    if not text.strip():
        return None
    try:
        return Owner(**json.loads(text.strip().splitlines()[-1]))
    except (ValueError, TypeError):
        return Owner("someone", "a task that left no name", "", "")
