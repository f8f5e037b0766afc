"""Runs on the host: stop, start and watch the service for a release."""

import os
import time
from collections.abc import Iterable

from opstasks.deploy.onhost.record import ReleaseSpec
from opstasks.onhost.commands import call, required
from opstasks.onhost.protocol import HostFailure

SYSTEMCTL = "/usr/bin/systemctl"  # as sudoers names it
PROPERTIES = "LoadState,ActiveState,SubState,MainPID,NRestarts,InvocationID,User,DropInPaths"
STARTED_LINE = "jobrunner.service started"
# On a busy host, the service may log its start only after the watch.
START_GRACE_S = 30


def unit_state(spec: ReleaseSpec) -> dict[str, str]:
    """The unit's properties as systemd shows them. Raises HostFailure."""
    text = required(
        "cannot read the unit",
        "systemctl",
        "show",
        spec["unit"],
        f"--property={PROPERTIES}",
    )
    return dict(line.split("=", 1) for line in text.split("\n") if "=" in line)


def is_serving(state: dict[str, str]) -> bool:
    """Whether the service is up (not between two crashes)."""
    return state.get("ActiveState") == "active" and state.get("SubState") == "running"


def is_wanted(state: dict[str, str]) -> bool:
    """Whether the service should be up (also between two crashes)."""
    return state.get("ActiveState") in ("active", "activating", "reloading")


def systemctl(verb: str, spec: ReleaseSpec) -> None:
    """Start or stop the unit: sudoers allows this account to, without a password."""
    prefix = [] if os.geteuid() == 0 else ["sudo", "-n"]
    required(f"cannot {verb} {spec['unit']}", *prefix, SYSTEMCTL, verb, spec["unit"], timeout=150)


def stop(spec: ReleaseSpec) -> None:
    """Stop the unit, unless it is already down, and check that it is down."""
    if unit_state(spec).get("ActiveState") not in ("inactive", "failed"):
        systemctl("stop", spec)
    state = unit_state(spec)
    if state.get("ActiveState") not in ("inactive", "failed"):
        raise HostFailure(f"{spec['unit']} does not stop ({state.get('ActiveState')})")


def journal(spec: ReleaseSpec, *options: str) -> list[str]:
    """Lines of the service's own log."""
    done = call("journalctl", "--unit", spec["unit"], "--no-pager", "--output=cat", *options)
    return done.stdout.splitlines()


def journal_cursor(spec: ReleaseSpec) -> str:
    """A position in the log, to read only newer lines later."""
    lines = journal(spec, "--lines=0", "--show-cursor")
    found = [line for line in lines if line.startswith("-- cursor: ")]
    return found[-1].removeprefix("-- cursor: ") if found else ""


def exceptions(lines: Iterable[str]) -> set[str]:
    """The types of all exceptions with a traceback in the log."""
    found, inside = set(), False
    for line in lines:
        if "Traceback (most recent call last)" in line:
            inside = True
        elif inside and line and not line[0].isspace():
            found.add(line.split(":")[0].strip())
            inside = False
    return found


def exceptions_now(spec: ReleaseSpec) -> list[str]:
    """The exceptions that the service has raised since its last start."""
    invocation = unit_state(spec).get("InvocationID", "")
    return sorted(exceptions(journal(spec, f"_SYSTEMD_INVOCATION_ID={invocation}", "--lines=1000")))


def start_and_watch(spec: ReleaseSpec, known: Iterable[str]) -> list[str]:
    """Start the unit; check that it stays up, logs its start, and raises no new exception.

    Returns the known exceptions that it raised again. Raises HostFailure.
    """
    cursor = journal_cursor(spec)
    systemctl("start", spec)
    first = unit_state(spec)
    deadline = time.monotonic() + spec["watch_s"]
    while True:
        see_same_process(spec, first, cursor)
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            lines = journal(spec, *after(cursor))
            if has_started(lines) or left_s < -START_GRACE_S:
                return judge_log(spec, lines, set(known))
        time.sleep(0.5)


def see_same_process(spec: ReleaseSpec, first: dict[str, str], cursor: str) -> None:
    """Raise HostFailure, with the log since `cursor`, unless the first process is still up."""
    state = unit_state(spec)
    same = all(state.get(key) == first.get(key) for key in ("MainPID", "NRestarts"))
    if not (is_serving(state) and same):
        now = f"{state.get('ActiveState')}/{state.get('SubState')}"
        lines = journal(spec, *after(cursor))[-10:]
        raise HostFailure(f"{spec['unit']} did not stay up (now {now})", "\n".join(lines))


def has_started(lines: Iterable[str]) -> bool:
    """Whether the service logged that it started."""
    return any(STARTED_LINE in line for line in lines)


def after(cursor: str) -> list[str]:
    """The journalctl option for the lines after a position."""
    return [f"--after-cursor={cursor}"] if cursor else []


def judge_log(spec: ReleaseSpec, lines: list[str], known: set[str]) -> list[str]:
    """Check that the log since the start is healthy. Raises HostFailure.

    An exception that the previous release also raised (a job-server that is down) is not the new
    release's fault: it is returned, so that the operator is told.
    """
    if not has_started(lines):
        raise HostFailure(
            f"{spec['unit']} is up but did not log that it started", "\n".join(lines[-10:])
        )
    raised = exceptions(lines)
    if raised - known:
        names = ", ".join(sorted(raised - known))
        at = next(i for i, line in enumerate(lines) if "Traceback" in line)
        detail = "\n".join(lines[at:][-10:])
        raise HostFailure(f"{spec['unit']} logged a traceback: {names}", detail)
    return sorted(raised)
