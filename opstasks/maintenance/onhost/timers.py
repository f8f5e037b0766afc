"""Runs on the host: giving scheduled work to systemd, to run now or later."""

import contextlib
import time
from dataclasses import replace
from datetime import datetime, timezone

from opstasks.maintenance.onhost.install import install, remove_script
from opstasks.maintenance.onhost.records import FAILED, SCHEDULED, ScheduledItem, records_dir
from opstasks.maintenance.onhost.site import Site
from opstasks.maintenance.onhost.store import after_all, boot_id
from opstasks.maintenance.onhost.times import host_time, resolve
from opstasks.maintenance.onhost.units import read_unit
from opstasks.maintenance.onhost.write import write_item
from opstasks.onhost.commands import required
from opstasks.onhost.protocol import HostFailure, HostRefusal, error_text


def dated(item: ScheduledItem) -> ScheduledItem:
    """A new item with its times and its boot; raises HostRefusal when its time has passed.

    A delay counts from now, not from the question: the operator needed time to answer.
    """
    now = time.time()
    due_at = float(resolve("", item.delay_s, now)) if item.delay_s else item.due_at
    if item.timed and due_at <= now + 1:
        raise HostRefusal(f"{host_time(due_at)} has passed")
    return replace(
        item,
        due_at=due_at,
        due_there=host_time(due_at),
        scheduled_at=now,
        boot_id=boot_id(),
        step=SCHEDULED,
        steps=(),
        outcome="",
    )


def hand_over(site: Site, item: ScheduledItem, module: str) -> None:
    """Write the record, then give the work to systemd: the program `module`.

    Raises HostFailure or OSError, and then the record says `failed`.
    """
    records_dir(site.lock_dir).mkdir(mode=0o755, parents=True, exist_ok=True)
    item = replace(item, scheduled_at=after_all(site, item.scheduled_at))
    write_item(site, item.id, **vars(item))
    try:
        start_unit(site, item, module)
    except (HostFailure, OSError) as error:
        remove_script(site, item.id)
        with contextlib.suppress(OSError):
            write_item(site, item.id, outcome=FAILED, reason=error_text(error))
        raise


def start_unit(site: Site, item: ScheduledItem, module: str) -> None:
    """Start the unit of an item, or its timer; systemd needs no connection. Raises HostFailure."""
    about = f"opstasks: {item.kind} by {item.who}, due {item.due_there}"
    command = install(site, item.id, module, {"id": item.id}, about)
    options = [
        "--quiet",
        "--collect",
        f"--unit={item.unit}",
        f"--description=opstasks {item.kind} by {item.who}",
        # A stop signals only the program, not its commands: it knows what it can interrupt.
        "--property=KillMode=mixed",
        "--property=TimeoutStopSec=1800",
    ]
    if item.timed:
        when = datetime.fromtimestamp(item.due_at, timezone.utc)
        options += [f"--on-calendar={when:%Y-%m-%d %H:%M:%S} UTC", "--timer-property=AccuracySec=1"]
    reason = "systemd does not accept the work"
    required(reason, "systemd-run", *options, "--", *command, timeout=60)
    if item.timed and read_unit(f"{item.unit}.timer").active != "active":
        raise HostFailure("systemd accepted the timer, but it does not run")
