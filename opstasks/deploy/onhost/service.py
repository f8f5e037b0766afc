"""Runs on the host: the service around a release, stopped, started and watched."""

import os
import time
from collections.abc import Iterable
from typing import Any

from opstasks.deploy.onhost.record import Spec
from opstasks.onhost.commands import StepError, call, must

SYSTEMCTL = "/usr/bin/systemctl"  # as sudoers names it
STARTED_LINE = "jobrunner.service started"
# A busy host may take longer to say so than it is watched for.
START_GRACE_S = 30


def unit_state(spec: Spec) -> dict[str, str]:
    """The unit's state as systemd tells it."""
    text = must(
        "cannot read the unit",
        "systemctl",
        "show",
        spec["unit"],
        "--property=ActiveState,SubState,MainPID,NRestarts,InvocationID",
    )
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def is_serving(state: dict[str, str]) -> bool:
    """Whether the service is up (a unit between two crashes is not)."""
    return state.get("ActiveState") == "active" and state.get("SubState") == "running"


def is_wanted(state: dict[str, str]) -> bool:
    """Whether the service is meant to be up; one between two crashes is."""
    return state.get("ActiveState") in ("active", "activating", "reloading")


def systemctl(verb: str, spec: Spec) -> None:
    """Start or stop the unit, as sudoers lets this account do without a password."""
    prefix = [] if os.geteuid() == 0 else ["sudo", "-n"]
    must(f"cannot {verb} {spec['unit']}", *prefix, SYSTEMCTL, verb, spec["unit"], timeout=150)


def stop(spec: Spec) -> None:
    """Stop the unit, unless it is down already, and see that it is down."""
    if unit_state(spec).get("ActiveState") not in ("inactive", "failed"):
        systemctl("stop", spec)
    state = unit_state(spec)
    if state.get("ActiveState") not in ("inactive", "failed"):
        raise StepError(f"{spec['unit']} does not stop ({state.get('ActiveState')})")


def job_containers() -> list[str]:
    """Names of the job containers that are running."""
    shown = must(
        "docker does not answer",
        "docker",
        "ps",
        "--filter",
        "name=^os-job-",
        "--format",
        "{{.Names}}",
    )
    return sorted(shown.split())


def journal(spec: Spec, *options: str) -> list[str]:
    """Lines of the service's own log."""
    done = call("journalctl", "--unit", spec["unit"], "--no-pager", "--output=cat", *options)
    return done.stdout.splitlines()


def journal_cursor(spec: Spec) -> str:
    """A mark in the log; what comes after it is news."""
    lines = journal(spec, "--lines=0", "--show-cursor")
    found = [line for line in lines if line.startswith("-- cursor: ")]
    return found[-1].removeprefix("-- cursor: ") if found else ""


def exceptions(lines: Iterable[str]) -> set[str]:
    """The types of the exceptions whose tracebacks a log holds."""
    found, inside = set(), False
    for line in lines:
        if "Traceback (most recent call last)" in line:
            inside = True
        elif inside and line and not line[0].isspace():
            found.add(line.split(":")[0].split()[0])
            inside = False
    return found


def exceptions_now(spec: Spec) -> list[str]:
    """What the service has raised since its present start."""
    invocation = unit_state(spec).get("InvocationID", "")
    return sorted(exceptions(journal(spec, f"_SYSTEMD_INVOCATION_ID={invocation}", "--lines=1000")))


def start_and_watch(spec: Spec, known: Iterable[str]) -> dict[str, Any]:
    """Start the unit and see that it stays up, said so, and raised nothing but what is known."""
    cursor = journal_cursor(spec)
    systemctl("start", spec)
    first = unit_state(spec)
    deadline = time.monotonic() + spec["watch_s"]
    while True:
        state = unit_state(spec)
        same = all(state.get(key) == first.get(key) for key in ("MainPID", "NRestarts"))
        if not (is_serving(state) and same):
            raise StepError(
                f"{spec['unit']} did not stay up (now {state['ActiveState']}/{state['SubState']})",
                "\n".join(journal(spec, *after(cursor))[-10:]),
            )
        left = deadline - time.monotonic()
        if left <= 0:
            lines = journal(spec, *after(cursor))
            if has_started(lines) or left < -START_GRACE_S:
                return judge_log(spec, lines, set(known))
        time.sleep(0.5)


def has_started(lines: Iterable[str]) -> bool:
    """Whether the service said that it is up."""
    return any(STARTED_LINE in line for line in lines)


def after(cursor: str) -> list[str]:
    """The journalctl option for what came after a mark."""
    return [f"--after-cursor={cursor}"] if cursor else []


def judge_log(spec: Spec, lines: list[str], known: set[str]) -> dict[str, Any]:
    """Whether the log since the start is that of a healthy service.

    An exception that the release before raised as well (a job-server that is down) is not the
    new release's fault: it is told, not held against it.
    """
    if not has_started(lines):
        raise StepError(
            f"{spec['unit']} is up but did not log that it started", "\n".join(lines[-10:])
        )
    raised = exceptions(lines)
    if raised - known:
        names = ", ".join(sorted(raised - known))
        at = next(i for i, line in enumerate(lines) if "Traceback" in line)
        raise StepError(f"{spec['unit']} logged a traceback: {names}", "\n".join(lines[at:][-10:]))
    return {"as_before": sorted(raised)}
