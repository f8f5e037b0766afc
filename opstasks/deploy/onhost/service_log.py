"""Runs on the host: the service's own log, and whether journald records it at all.

A journald that hangs or was stopped says nothing about a release: then the log is unknown.
"""

import contextlib
import os
import secrets
import subprocess
import time
from collections.abc import Iterable

from opstasks.onhost.commands import attempt, call
from opstasks.onhost.protocol import HostFailure

CURSOR = "-- cursor: "
STARTED_LINE = "jobrunner.service started"
LOG_TIMEOUT_S = 20.0
# An older journalctl ends with 1 when it found nothing.
FOUND_OR_NOTHING = (0, 1)
# How long journald may take to record a line.
RECORD_S = 5.0


def lines(unit: str, *options: str) -> list[str] | None:
    """Lines of a unit's own log; None if they cannot be read."""
    words = ("journalctl", "--unit", unit, "--no-pager", "--output=cat", *options)
    done = attempt(*words, timeout_s=LOG_TIMEOUT_S)
    return done.stdout.split("\n") if done.returncode in FOUND_OR_NOTHING else None


class NewLines:
    """The lines of a unit's log that fit a choice of journalctl's; None: nobody can tell which."""

    def __init__(self, unit: str, choice: list[str] | None) -> None:
        self.unit, self._choice = unit, choice

    def read(self) -> list[str] | None:
        """The lines so far; None if they cannot be read, or told from older ones."""
        return None if self._choice is None else lines(self.unit, *self._choice)

    def last(self) -> str:
        """The last lines, for people."""
        return "\n".join((self.read() or [])[-10:])


def from_now(unit: str) -> NewLines:
    """The lines of a unit's log from now on."""
    found = lines(unit, "--lines=0", "--show-cursor")
    marks = [line for line in found or () if line.startswith(CURSOR)]
    # An empty log has no position: all its lines are new.
    after = [f"--after-cursor={mark.removeprefix(CURSOR)}" for mark in marks[-1:]]
    return NewLines(unit, None if found is None else after)


def since_start(unit: str, invocation_id: str) -> NewLines:
    """The lines of a unit's log since a start that has already happened."""
    return NewLines(unit, [of_start(invocation_id)] if invocation_id else None)


def of_start(invocation_id: str) -> str:
    """The match, for journalctl, of the lines of one start of a unit."""
    return f"_SYSTEMD_INVOCATION_ID={invocation_id}"


def is_recording() -> bool:
    """Whether journald records a line that we write now."""
    word = f"opstasks-log-test-{secrets.token_hex(8)}"
    fields = f"MESSAGE=testing whether the journal records\nSYSLOG_IDENTIFIER={word}\nPRIORITY=7\n"
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        call("logger", "--journald", input=fields, timeout=RECORD_S)
    deadline = time.monotonic() + RECORD_S
    words = ("journalctl", f"--identifier={word}", f"_UID={os.geteuid()}", "--no-pager", "--quiet")
    while time.monotonic() < deadline:
        if attempt(*words, "--output=cat", "--lines=1", timeout_s=LOG_TIMEOUT_S).stdout.strip():
            return True
        time.sleep(0.3)
    return False


def exceptions(log: Iterable[str]) -> set[str]:
    """The types of all exceptions with a traceback in the log."""
    found, inside = set(), False
    for line in log:
        if "Traceback (most recent call last)" in line:
            inside = True
        elif inside and line and not line[0].isspace():
            found.add(line.split(":")[0].strip())
            inside = False
    return found


def has_started(log: Iterable[str]) -> bool:
    """Whether the service logged that it started."""
    return any(STARTED_LINE in line for line in log)


def judge(unit: str, log: list[str], known: set[str]) -> list[str]:
    """Check that the log since the start is healthy. Raises HostFailure.

    An exception that the previous release also raised (a job-server that is down) is not the new
    release's fault: it is returned, so that the operator is told.
    """
    if not has_started(log):
        raise HostFailure(f"{unit} is up but did not log that it started", "\n".join(log[-10:]))
    raised = exceptions(log)
    if raised - known:
        names = ", ".join(sorted(raised - known))
        at = next(i for i, line in enumerate(log) if "Traceback" in line)
        raise HostFailure(f"{unit} logged a traceback: {names}", "\n".join(log[at:][-10:]))
    return sorted(raised)
