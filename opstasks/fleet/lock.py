"""One writer at a time per host.

The lock is an open file lock (flock) on `HostSpec.lock_file`, held by the framed shell that
does the work. Every process of a step inherits the descriptor (`opstasks.onhost.commands`), so what
outlives the client, or the step, keeps the lock; when all are gone the kernel drops it. Nothing has
to be cleaned up by hand. The content of the file (who, task, since when) is for people only.

Only root and the service account can open the file, because an account that can open it can hold
the lock.
Root replaces a file that others may have open (`opstasks.onhost.lock_file`).
"""

from __future__ import annotations

import json
import shlex
import time
from datetime import datetime

import msgspec

from opstasks.core.command import Command, Raw, cmd
from opstasks.core.fields import Line, Small, ready
from opstasks.core.formats import minute_text, span_text
from opstasks.fleet import leftover
from opstasks.fleet.inventory import HostSpec
from opstasks.fleet.program import Program

FD = 9
# How much of the file is read: the service account may write anything into it.
TEXT_BYTES = 4096
# The exit codes of `take_text`, from sysexits.h: EX_TEMPFAIL, EX_NOPERM, EX_OSFILE.
BUSY_CODE = 75
UNSAFE_CODE = 77
REPLACED_CODE = 72
# A lock that is held for longer may be a problem.
LONG_S = 2 * 3600.0


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


class SecureRequest(msgspec.Struct, frozen=True):
    """The lock file, and the account that may use it beside root."""

    lock: str
    account: str


class OtherProcess(msgspec.Struct, frozen=True):
    """A process of an account that must not be able to hold the lock."""

    pid: Small
    user: Line
    command: Line


class SecureAnswer(msgspec.Struct, frozen=True):
    """The processes of other accounts that had the old file open."""

    holders: tuple[OtherProcess, ...]


# Makes the file so that only root and the service account can open it; run it as root.
SECURE = Program("opstasks.onhost.lock_file", SecureRequest, SecureAnswer)


def take_text(spec: HostSpec, owner: Owner, *, checked: bool = False) -> str:
    """Shell text that takes the lock in the shell that evaluates it.

    If someone else has it, prints what the holder wrote and ends with BUSY_CODE. It waits up to two
    seconds, because `holder` also takes the lock for a moment. On a full disk the lock can be taken
    although nothing can be written into the file: service.stop and outputs.rm must still work.

    As root, it ends with UNSAFE_CODE if the file is missing or others may open it: then run SECURE,
    and evaluate the text with `checked`. REPLACED_CODE: the file was replaced meanwhile.
    """
    path, folder = shlex.quote(spec.lock_file), shlex.quote(spec.lock_dir)
    words = shlex.quote(json.dumps(msgspec.structs.asdict(owner)))
    private = "" if checked else f"[ $EUID = 0 ] && ! {_is_private(path)}"
    return (
        (f"if {private}; then (exit {UNSAFE_CODE}); else\n" if private else "{\n")
        + f"[ -e {path} ] || (umask 022; mkdir -p {folder} && umask 077 && : >>{path})\n"
        f"if ! exec {FD}<>{path}; then (exit 1);"
        f" elif ! flock -w 2 {FD};"
        f" then head -c {TEXT_BYTES} {path}; exec {FD}>&-; (exit {BUSY_CODE});"
        f" elif ! [ {path} -ef /proc/self/fd/{FD} ]; then exec {FD}>&-; (exit {REPLACED_CODE});"
        f" elif ! {{ {leftover.OPEN_TEXT}; }}; then exec {FD}>&-; (exit 1);"
        f" else {leftover.GUARD_TEXT};"
        f" {{ printf '%s\\n' {words} >{path}; }} 2>/dev/null || true; fi\n"
        + ("fi" if private else "}")
    )


def _is_private(path: str) -> str:
    """Shell text that tests whether the modes are those of `opstasks.onhost.lock_file`."""
    return f"[[ $(stat -c %F/%a {path} 2>/dev/null) == regular*file/6[06]0 ]]"


def release_text(spec: HostSpec) -> str:
    """Shell text that releases the lock; a process that was left behind keeps it, with its text."""
    return f"{leftover.end_text(f': >{shlex.quote(spec.lock_file)}')}; exec {FD}>&-"


def holder(spec: HostSpec) -> Command:
    """Print who holds the lock, or nothing when it is free; "held" when the file is empty."""
    path = shlex.quote(spec.lock_file)
    text = f"head -c {TEXT_BYTES} {path} | grep ."
    return cmd(Raw(f"[ ! -e {path} ] || flock -n {path} true || {text} || echo held"))


def parse_owner(text: str) -> Owner | None:
    """The holder that `holder` printed; None when the lock is free."""
    if not text.strip():
        return None
    try:
        line = text.strip().split("\n")[-1]
        return msgspec.json.decode(line.encode("utf-8", "surrogateescape"), type=ready(Owner))
    except (msgspec.DecodeError, ValueError, RecursionError):
        return NAMELESS
