"""Runs on the host, as root: doing a piece of scheduled work, once, with no client connected."""

import contextlib
import signal
import time
from collections.abc import Callable
from typing import Any

from opstasks.maintenance.onhost.install import remove_script
from opstasks.maintenance.onhost.lock import lock
from opstasks.maintenance.onhost.records import (
    CANCELLED,
    DONE,
    FAILED,
    READY,
    REFUSED,
    SCHEDULED,
    WAITING,
    ScheduledItem,
)
from opstasks.maintenance.onhost.site import Site
from opstasks.maintenance.onhost.store import read_item
from opstasks.maintenance.onhost.write import add_step, journal, write_item
from opstasks.onhost.commands import call
from opstasks.onhost.power import with_shutdown
from opstasks.onhost.protocol import HostFailure, HostRefusal, error_text

Work = Callable[[Site, ScheduledItem], tuple[str, str]]
Afterwards = Callable[[Site, ScheduledItem, str], None]


class StoppedError(Exception):
    """The unit was stopped before the point of no return."""


def run_scheduled(
    site: Site, id: str, work: Work, afterwards: Afterwards | None = None
) -> tuple[str, str]:
    """Do a piece of work that is still scheduled: `work` returns outcome and reason.

    Then `afterwards` is called with the outcome, while the host's lock is still held. Returns
    outcome and reason; no outcome if the work is not wanted any more.
    """
    item = read_item(site.lock_dir, id)
    if item.outcome or item.step != SCHEDULED:
        return "", "it is not scheduled any more"
    signal.signal(signal.SIGTERM, _on_stop)
    journal(item, "start")
    with contextlib.ExitStack() as held:
        outcome, reason = _attempt(site, item, work, held)
        remove_script(site, id)
        if afterwards is not None:
            afterwards(site, item, outcome)
    return outcome, reason


def _attempt(
    site: Site, item: ScheduledItem, work: Work, held: contextlib.ExitStack
) -> tuple[str, str]:
    """The outcome and reason in every case; both are also in the record and the journal.

    The host's lock is in `held`, unless it was not free.
    """
    detail = ""
    try:
        add_step(site, item.id, "wait for the lock", WAITING)
        held.enter_context(lock(site, item, item.lock_wait_s))
        outcome, reason = work(site, item)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    except StoppedError:
        outcome, reason = _stopped()
    except HostRefusal as error:
        outcome, reason, detail = REFUSED, error.reason, error.detail
    except HostFailure as error:
        outcome, reason, detail = FAILED, with_shutdown(error.reason), error.detail
    except Exception as error:  # no client is connected, so it must be in the record
        outcome, reason = FAILED, error_text(error)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _finish(site, item, outcome, reason, detail)
    return outcome, reason


def _on_stop(signum: int, frame: Any) -> None:
    """The unit is being stopped."""
    raise StoppedError


def _stopped() -> tuple[str, str]:
    """The meaning of a stop of the unit: a cancel, or a shutdown of the host."""
    if call("systemctl", "is-system-running", timeout=60).stdout.strip() == "stopping":
        return FAILED, "the host went down before it was ready"
    return CANCELLED, "its unit was stopped"


def _finish(site: Site, item: ScheduledItem, outcome: str, reason: str, detail: str) -> None:
    """Write the end into the journal and the record."""
    audited = "changed" if outcome in (READY, DONE) else outcome
    journal(item, "end", audited, reason or outcome)
    write_item(
        site, item.id, outcome=outcome, reason=reason, detail=detail, finished_at=time.time()
    )
