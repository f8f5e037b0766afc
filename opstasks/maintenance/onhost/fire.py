"""Runs on the host: what a timer starts, as root, with nobody watching."""

import shutil
import signal
import time
from typing import Any

from opstasks.maintenance.onhost.account import Site
from opstasks.maintenance.onhost.install import forget_boot
from opstasks.maintenance.onhost.item import (
    PREPARE,
    SEEN_S,
    UNPAUSE,
    Record,
    journal,
    read_record,
    say,
    script_dir,
    write_record,
)
from opstasks.maintenance.onhost.lock import lock
from opstasks.maintenance.onhost.pause import clear_pause, flag, pause_note
from opstasks.maintenance.onhost.prepare import CancelledError, prepare
from opstasks.maintenance.onhost.units import SYSTEMCTL
from opstasks.onhost.commands import StepError, call, must


def op_fire(request: dict[str, Any], script: str) -> dict[str, Any]:
    """What a unit of ours runs, as root, with nobody watching; once, and never again."""
    site, id = request["site"], request["id"]
    record = read_record(site, id)
    if not record or record["outcome"] or record["step"] != "armed":
        return {"outcome": "not wanted any more"}
    signal.signal(signal.SIGTERM, on_stop)
    work = {PREPARE: prepare, UNPAUSE: end_pause}[record["kind"]]
    outcome, reason, detail = "failed", "", ""
    journal(record, "start")
    try:
        say(site, id, "wait for the lock", "waiting")
        with lock(site, record, record["lock_wait_s"]):
            outcome, reason = work(site, record, script)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            finish(site, record, outcome, reason, "")
    except StepError as error:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        outcome = "refused" if error.refused else "failed"
        reason, detail = error.reason, error.detail
        finish(site, record, outcome, reason, detail)
    except CancelledError:
        outcome, reason = stopped()
        finish(site, record, outcome, reason, "")
    except Exception as error:  # nobody is watching: the record must tell
        outcome, reason = "failed", f"{type(error).__name__}: {error}"
        finish(site, record, outcome, reason, "")
    shutil.rmtree(script_dir(site, id), ignore_errors=True)
    if outcome == "ready" and record["reboot"]:
        time.sleep(SEEN_S)
        must("cannot reboot", SYSTEMCTL, "--no-block", "reboot", timeout=60)
    return {"outcome": outcome, "reason": reason}


def on_stop(signum: int, frame: Any) -> None:
    """The unit is being stopped."""
    raise CancelledError


def stopped() -> tuple[str, str]:
    """What a stop of the unit means: somebody's wish, or a host that goes down with its jobs."""
    if call("systemctl", "is-system-running", timeout=60).stdout.strip() == "stopping":
        return "failed", "the host went down before it was ready"
    return "cancelled", "its unit was stopped"


def finish(site: Site, record: Record, outcome: str, reason: str, detail: str) -> None:
    """The end, in the record and in the journal."""
    words = {"outcome": outcome, "reason": reason, "detail": detail, "finished": time.time()}
    changed = "changed" if outcome in ("ready", "done") else outcome
    journal(record, "end", changed, reason or outcome)
    write_record(site, record["id"], **words)


def end_pause(site: Site, record: Record, script: str) -> tuple[str, str]:
    """A pause's time is over: unpause, if it is still that pause."""
    since = flag(site)
    if not since:
        return "done", "it was not paused any more"
    if pause_note(site, since).get("id") != record["id"]:
        return "done", "someone else has paused since; left alone"
    clear_pause(site)
    forget_boot(site)
    return "done", "unpaused"
