"""Runs on the host: take away what was armed, while that is still possible."""

import contextlib
import shutil
import sqlite3
import time
from typing import Any

from opstasks.maintenance.onhost.account import Site, as_service
from opstasks.maintenance.onhost.item import (
    UNPAUSE,
    Record,
    boot_id,
    journal,
    read_record,
    record_path,
    records,
    script_dir,
    write_record,
)
from opstasks.maintenance.onhost.pause import flag, pause_note, pause_path
from opstasks.maintenance.onhost.units import SYSTEMCTL, is_down
from opstasks.onhost.commands import StepError, call
from opstasks.onhost.json_files import write_json

# Until the service is stopped, nothing was done that a cancel could not take back.
CANCELLABLE = ("armed", "waiting", "draining")
KEEP_RECORDS = 50


def op_cancel(request: dict[str, Any]) -> dict[str, Any]:
    """Take one armed piece of work away, by id or the only one there is."""
    site, id = request["site"], request["id"]
    waiting = [r for r in records(site) if not r.get("outcome")]
    chosen = [r for r in waiting if not id or str(r["id"]).startswith(id)]
    if id and not chosen:
        over = [r for r in records(site) if str(r["id"]).startswith(id)]
        if over:
            return {"changed": False, "record": over[0]}
        raise StepError(f"nothing is called {id}", refused=True)
    if not chosen:
        return {"changed": False, "record": {}}
    if len(chosen) > 1:
        names = ", ".join(str(r["id"]) for r in chosen)
        raise StepError(f"which one? {names}", refused=True)
    record = chosen[0]
    audit = {**record, **request["audit"], "kind": "scheduled.cancel"}
    journal(audit, "start")
    try:
        done = cancel(site, record, f"cancelled by {audit['who']}")
    except StepError as error:
        journal(audit, "end", "refused" if error.refused else "failed", error.reason)
        raise
    if record["kind"] == UNPAUSE:
        # It is cancelled, whatever can be said of the pause.
        with contextlib.suppress(StepError, OSError, sqlite3.Error):
            done = no_end(site, done)
    journal(audit, "end", "changed", f"{record['kind']} {record['id']} {done['outcome']}")
    return {"changed": True, "record": done}


def no_end(site: Site, record: Record) -> Record:
    """The end of a pause was cancelled: the pause goes on, and its note says so."""
    since = flag(site)
    note = pause_note(site, since)
    if note.get("id") != record["id"]:
        return record
    kept = {**note, "until": 0, "id": ""}

    def write() -> bool:
        write_json(pause_path(site), kept, 0o640)
        return True

    as_service(site, write)
    reason = f"{record['reason']}; the pause goes on until `unpause`"
    return write_record(site, str(record["id"]), reason=reason)


def cancel(site: Site, record: Record, reason: str) -> Record:
    """Stop the timer, then what it may just have started; refuses past the point of return."""
    id, name = str(record["id"]), f"opstasks-{record['id']}"
    if record.get("boot_id") != boot_id():
        # What had begun by then was not merely dropped.
        outcome = "dropped" if record.get("step") == "armed" else "cut off"
        return write_record(site, id, outcome=outcome, reason=f"by a reboot; {reason}")
    call(SYSTEMCTL, "stop", name + ".timer", timeout=60)
    now = read_record(site, id)
    if now.get("step") not in CANCELLABLE:
        if not now.get("outcome") and is_down(name + ".service"):
            # It broke off without a word: a full disk, a kill. Nothing is left to be stopped.
            reason = f"at {now.get('step')!r}; {reason}"
            return write_record(site, id, outcome="cut off", reason=reason, finished=time.time())
        raise StepError(f"too late: it is at {now.get('step')!r}", refused=True)
    # From here on the script ends itself, or has passed the point and goes on to its end.
    call(SYSTEMCTL, "stop", name + ".service", timeout=240)
    now = read_record(site, id)
    if now.get("outcome") not in ("", "cancelled"):
        raise StepError(f"too late: it ended {now['outcome']!r}", refused=True)
    prune(site)
    return write_record(site, id, outcome="cancelled", reason=reason, finished=time.time())


def prune(site: Site) -> None:
    """Forget the oldest records that are over, and the scripts of all that are."""
    over = [r for r in records(site) if r.get("outcome")]
    for record in over:
        shutil.rmtree(script_dir(site, str(record["id"])), ignore_errors=True)
    for record in over[KEEP_RECORDS:]:
        record_path(site, str(record["id"])).unlink(missing_ok=True)
