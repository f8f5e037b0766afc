"""After a reboot: go through the checklist, and end the pause of a preparation."""

from __future__ import annotations

import time
from dataclasses import dataclass

from opstasks.core.command import cmd
from opstasks.core.hints import typed
from opstasks.fleet.host import Host
from opstasks.fleet.program import Program
from opstasks.maintenance import pause as pausing
from opstasks.maintenance.checklist import (
    AfterAnswer,
    AfterFacts,
    Checklist,
    is_ours_to_end,
    make_lines,
    state_of,
)
from opstasks.maintenance.onhost.boot_unit import BOOT_UNIT
from opstasks.maintenance.onhost.site import Site
from opstasks.maintenance.records import READ, read_command
from opstasks.maintenance.site import TIMEOUT_S, site_for

SYNC_UNIT = "opstasks-level3-sync.timer"
# During a boot, a unit that has not begun looks like one that has ended.
BOOTING = ("initializing", "starting")
POLL_S = 2.0
WAIT_S = 90.0


@dataclass(frozen=True)
class AfterRequest:
    """The unit of the Level 3 sync, and the ids of the requeued jobs."""

    site: Site
    sync_unit: str
    jobs: tuple[str, ...] = ()


AFTER = Program("opstasks.maintenance.onhost.after", AfterRequest, AfterAnswer, timeout_s=TIMEOUT_S)


def check_after_reboot(host: Host, wait_s: float = WAIT_S, *, end_pause: bool = True) -> Checklist:
    """Go through the checklist; wait up to `wait_s` seconds for things that still start.

    If the boot did not end the preparation's pause, it is ended, unless `end_pause` is False.
    Raises Interrupted for Ctrl-C.
    """
    deadline = time.monotonic() + wait_s
    changed = False
    while True:
        facts = inspect(host)
        if end_pause and not changed and is_ours_to_end(facts):
            pausing.unpause(host, pausing.inspect(host))
            changed = True
            continue
        lines = make_lines(host.name, facts)
        coming = [line for line in lines if not line.good and line.may_come]
        if not coming or time.monotonic() >= deadline:
            return Checklist(lines, changed, state_of(facts))
        done = "the pause of the preparation was ended" if changed else "nothing was changed"
        host.checkpoint(typed(f"{done}; again: inv -H {host.name} after-reboot"))
        host.pause(POLL_S)


def inspect(host: Host) -> AfterFacts:
    """Read everything in two round trips; the second one asks for the jobs that the first names.

    The order matters: a boot that ends after the first question may still end the pause itself.
    """
    results = host.root.gather(
        {
            "system": cmd("systemctl", "is-system-running"),
            "boot": cmd("systemctl", "is-active", BOOT_UNIT),
            "records": read_command(host.spec, with_flag=True),
        }
    )
    maintenance = READ.decode(results["records"], host.name)
    prepared = maintenance.prepared()
    ids = prepared.requeued if prepared else ()
    answer = host.root.call(AFTER, AfterRequest(site_for(host.spec), SYNC_UNIT, ids))
    is_booting = results["system"].text in BOOTING
    is_at_it = results["boot"].text in ("activating", "active")
    return AfterFacts(answer, maintenance, boot_done=not (is_booting or is_at_it))
