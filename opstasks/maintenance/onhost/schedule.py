"""Runs on the host, as root: schedule a preparation."""

import contextlib
import os
from dataclasses import asdict, replace
from typing import Any

# The program that runs later; it is imported so that it is sent along and can be installed.
from opstasks.maintenance.onhost import prepare
from opstasks.maintenance.onhost.claims import claims
from opstasks.maintenance.onhost.closing import TROUBLE, cancel_item, close_dropped, prune
from opstasks.maintenance.onhost.problems import problems
from opstasks.maintenance.onhost.records import (
    PREPARE,
    SCHEDULED,
    WAITING,
    ScheduledItem,
    item_of,
)
from opstasks.maintenance.onhost.site import Site, site_of
from opstasks.maintenance.onhost.store import pending, read_item
from opstasks.maintenance.onhost.timers import dated, hand_over
from opstasks.onhost.journal_line import login_account
from opstasks.onhost.protocol import HostFailure, HostRefusal, error_text


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Schedule a preparation by a timer, or start it at once; there is at most one.

    The request: ``site``, ``item`` (the record as far as the client knows it), ``replace``.
    """
    os.umask(0o022)
    site = site_of(request)
    item = replace(item_of(request["item"]), login=login_account())
    found = problems(site)
    if found:
        raise HostRefusal("; ".join(found))
    others = scheduled_before(site, replace=request["replace"])
    begin = begin_later if item.timed else begin_now
    begin(site, dated(item), others)
    # It is scheduled, even if the rest fails.
    with contextlib.suppress(*TROUBLE):
        if item.timed:
            close_dropped(site, item.id)
        prune(site)
    return {"item": asdict(read_item(site.lock_dir, item.id)), "now": claims(site)}


def scheduled_before(site: Site, *, replace: bool) -> list[ScheduledItem]:
    """The preparation that is scheduled already. Raises HostRefusal unless it is to be replaced."""
    others = [other for other in pending(site) if other.kind == PREPARE]
    if others and not replace:
        raise HostRefusal(f"scheduled already: {others[0].title}")
    return others


def begin_later(site: Site, item: ScheduledItem, others: list[ScheduledItem]) -> None:
    """Schedule it, then cancel the one it replaces; if anything fails, one stays scheduled."""
    hand_over(site, item, prepare.__name__)
    try:
        cancel_all(site, others)
    except TROUBLE:
        # The other one may be past the point of no return; then this one must not run.
        cancel_item(site, item, "the one before it could not be cancelled")
        raise


def begin_now(site: Site, item: ScheduledItem, others: list[ScheduledItem]) -> None:
    """Begin; the new one itself cancels the one it replaces, once nothing can refuse it any more.

    But one that is under way holds the lock, which the new one needs: it is cancelled first.
    """
    # In its first step it waits for the lock; in the second, it has it and only looks.
    before = (SCHEDULED, WAITING)
    waits = [other for other in others if other.step in before and len(other.steps) < 2]
    holding = [other for other in others if other not in waits]
    cancel_all(site, holding)
    gone = tuple(other.title for other in holding)
    ids = tuple(other.id for other in waits)
    try:
        hand_over(site, replace(item, replaces=ids, replaced=gone), prepare.__name__)
    except (HostFailure, OSError) as error:
        more = f"; {', '.join(gone)} was cancelled before that" if gone else ""
        raise HostFailure(f"{error_text(error)}{more}", getattr(error, "detail", "")) from error


def cancel_all(site: Site, others: list[ScheduledItem]) -> None:
    """Cancel the one that is replaced."""
    for other in others:
        cancel_item(site, other, "replaced")
