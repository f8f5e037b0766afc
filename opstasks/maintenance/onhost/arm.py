"""Runs on the host: look whether it can be done, and hand it to systemd for its time."""

import contextlib
import subprocess
import time
from datetime import datetime, timezone
from typing import Any

from opstasks.maintenance.onhost.account import Site
from opstasks.maintenance.onhost.cancel import cancel, prune
from opstasks.maintenance.onhost.database import running_jobs
from opstasks.maintenance.onhost.install import arm_boot, install
from opstasks.maintenance.onhost.item import (
    PREPARE,
    Record,
    boot_id,
    pending,
    read_record,
    record_path,
    records,
    write_record,
)
from opstasks.maintenance.onhost.pause import flag
from opstasks.maintenance.onhost.problems import problems
from opstasks.maintenance.onhost.times import host_time, resolve
from opstasks.maintenance.onhost.units import is_down, unit_state
from opstasks.onhost.commands import StepError, must


def op_look(request: dict[str, Any]) -> dict[str, Any]:
    """Everything that the operator is shown before the question."""
    site = request["site"]
    now = time.time()
    due = resolve(request["at"], request["delay_s"], now)
    if due <= now and request["at"]:
        raise StepError(f"{request['at']} has passed on the host", refused=True)
    answer = {"now": now, "due": due, "due_there": host_time(due), "problems": problems(site)}
    if answer["problems"]:
        return answer
    newest = next((r for r in records(site) if r.get("kind") == PREPARE and r["outcome"]), {})
    jobs = running_jobs(site)
    return {
        **answer,
        "serving": not is_down(site["unit"]),
        "enabled": unit_state(site["unit"]).get("UnitFileState") == "enabled",
        "jobs": jobs,
        "paused": flag(site),
        "armed": [r for r in pending(site) if r.get("kind") == PREPARE],
        "ready": is_ready(site, newest, jobs),
    }


def is_ready(site: Site, newest: Record, jobs: list[dict[str, Any]]) -> bool:
    """Whether the host stands as a preparation left it."""
    done = newest.get("outcome") == "ready" and newest.get("boot_id") == boot_id()
    return bool(done and not jobs and is_down(site["unit"]) and flag(site))


def op_arm(request: dict[str, Any], script: str) -> dict[str, Any]:
    """Arm one piece of work: at once (`due` 0) or by a timer; refuses a second preparation."""
    site, record = request["site"], request["record"]
    record_path(site, record["id"]).parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    others: list[Record] = []
    if record["kind"] == PREPARE:
        found = problems(site)
        if found:
            raise StepError("; ".join(found), refused=True)
        others = in_the_way(site, replace=request["replace"])
    else:
        arm_boot(site, script)
    record = {**record, **times(record), "steps": [], "outcome": ""}
    record |= {"boot_id": boot_id(), "step": "armed"}
    begin = begin_later if record["timed"] else begin_now
    begin(site, record, others, script)
    prune(site)
    return {"record": read_record(site, record["id"])}


def times(record: Record) -> dict[str, Any]:
    """When it is due, from here on, not from the question: looking and answering took time."""
    now = time.time()
    due = resolve("", record["delay_s"], now) if record["delay_s"] else record["due"]
    if record["timed"] and due <= now + 1:
        raise StepError(f"{host_time(due)} has passed", refused=True)
    return {"due": due, "due_there": host_time(due), "armed_at": now}


def in_the_way(site: Site, *, replace: bool) -> list[Record]:
    """The preparation that is armed already: there is one at most. Refuses unless `replace`."""
    others = [other for other in pending(site) if other.get("kind") == PREPARE]
    if others and not replace:
        other = others[0]
        raise StepError(
            f"armed already: {other['id']} by {other['who']} for {other['due_there']}",
            refused=True,
        )
    return others


def begin_later(site: Site, record: Record, others: list[Record], script: str) -> None:
    """Arm it, then take away what it replaces: whatever fails, one of them is armed."""
    hand_over(site, record, script)
    try:
        take_away(site, others)
    except (StepError, OSError, subprocess.SubprocessError):
        # The one before may have passed the point of return: there is never a second one.
        cancel(site, record, "the one before it could not be taken away")
        raise


def begin_now(site: Site, record: Record, others: list[Record], script: str) -> None:
    """Take away what it replaces, which may hold the lock, then begin."""
    take_away(site, others)
    try:
        hand_over(site, record, script)
    except (StepError, OSError) as error:
        gone = ", ".join(str(other["id"]) for other in others)
        more = f"; {gone} was taken away before that: nothing is armed any more" if gone else ""
        raise StepError(f"{error}{more}", getattr(error, "detail", "")) from error


def take_away(site: Site, others: list[Record]) -> None:
    """Cancel what is replaced."""
    for other in others:
        cancel(site, other, "replaced")


def hand_over(site: Site, record: Record, script: str) -> None:
    """Put it on record, then in systemd's hands."""
    write_record(site, record["id"], **record)
    try:
        start_unit(site, record, script)
    except (StepError, OSError) as error:
        with contextlib.suppress(OSError):
            write_record(site, record["id"], outcome="failed", reason=str(error))
        raise


def start_unit(site: Site, record: Record, script: str) -> None:
    """Hand the work to systemd, which needs nobody to stay."""
    request = {"op": "fire", "site": site, "id": record["id"]}
    line = install(site, record["id"], script, request)
    name = f"opstasks-{record['id']}"
    options = [
        "--quiet",
        "--collect",
        f"--unit={name}",
        f"--description=opstasks {record['kind']} by {record['who']}",
        # A stop reaches this script, which knows what it can leave; not a command half-way.
        "--property=KillMode=mixed",
        "--property=TimeoutStopSec=1800",
    ]
    if record["timed"]:
        when = datetime.fromtimestamp(record["due"], timezone.utc)
        options += [f"--on-calendar={when:%Y-%m-%d %H:%M:%S} UTC", "--timer-property=AccuracySec=1"]
    must("systemd does not take it", "systemd-run", *options, "--", *line, timeout=60)
    if record["timed"] and unit_state(name + ".timer").get("ActiveState") != "active":
        raise StepError("systemd took the timer, but it does not run")
