"""Following a preparation by the host's record, through lost connections and the reboot."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from opstasks.core.command import cmd
from opstasks.core.errors import (
    CommandFailed,
    Interrupted,
    Lost,
    ProgramFailed,
    TimedOut,
    Unreachable,
    VerifyFailed,
)
from opstasks.core.formats import span_text
from opstasks.core.hints import one_word, typed
from opstasks.fleet.host import Host
from opstasks.maintenance import steps
from opstasks.maintenance.onhost.records import ScheduledItem
from opstasks.maintenance.records import OPEN_STATES, READ, Maintenance, MaintenanceRequest
from opstasks.maintenance.site import site_for

POLL_S = 1.0
BOOT_POLL_S = 2.0
# How long a connection may be lost before the client stops following.
AWAY_S = 120.0
# The last step of a preparation; it is the result, which is shown at the end.
READY_TEXT = "READY TO REBOOT"
# How long it may take to read the record, before the connection counts as lost.
ANSWER_S = 10.0


def follow(host: Host, id: str) -> ScheduledItem:
    """Show each step as it appears in the host's record; returns the final record.

    A lost connection is made again; the work does not depend on it. Raises Lost when that fails,
    CommandFailed when the work was interrupted, Interrupted for Ctrl-C.
    """
    where = (
        f"the host continues by itself; `{typed(f'inv -H {host.name} scheduled')}` shows its state,"
        f" `scheduled.cancel {one_word(id)}` stops it while it waits for jobs"
    )
    follower = _Follower(host, id)
    try:
        ended = host.wait_until(follower.read, timeout_s=math.inf, where=where, every_s=POLL_S)
    except Interrupted as stopped:
        stopped.message = f"no longer following; {where}"
        raise
    assert ended is not None, "the wait has no end"
    return ended


class _Follower:
    """The steps of a record that were shown so far, and since when the connection is lost."""

    def __init__(self, host: Host, id: str) -> None:
        self._host, self._id = host, id
        self._shown = 0
        self._away_since: float | None = None

    def read(self) -> ScheduledItem | None:
        """Read and show new steps; returns the record once it is over."""
        found = self._maintenance()
        item = next((i for i in found.items if i.id == self._id), None) if found else None
        if found is None or item is None:
            return None
        self._show(item, found.now_at)
        if item.outcome:
            return item
        if found.state(item) not in OPEN_STATES:
            raise CommandFailed(
                f"it was interrupted: {found.reason(item)}",
                returned=1,
                host=self._host.name,
                hint=self._hint(item.boot_id == found.boot_id),
            )
        return None

    def _show(self, item: ScheduledItem, now_at: float) -> None:
        """Show the steps that are new, each with its own beginning; not the result."""
        for number in range(self._shown, len(item.steps)):
            at, step = item.steps[number].at, steps.shown(item, number)
            if step.text != READY_TEXT:
                ago_s = max(0.0, now_at - at)
                self._host.step(step.text, step.brief, step.lasts_s, ago_s=ago_s)
        self._shown = len(item.steps)

    def _hint(self, is_here: bool) -> str:
        """What restores a host after an interruption: in the same boot, or after a reboot."""
        name = self._host.name
        task = f"scheduled.cancel {one_word(self._id)}" if is_here else "after-reboot"
        return f"inv -H {name} {task}"

    def _maintenance(self) -> Maintenance | None:
        """The host's records; None while the connection is lost."""
        host = self._host
        try:
            found = maintenance_of(host)
        except (Unreachable, Lost, TimedOut, ProgramFailed) as error:
            if self._away_since is None:
                self._away_since = time.monotonic()
            if time.monotonic() - self._away_since > AWAY_S:
                if isinstance(error, ProgramFailed):
                    raise
                raise Lost(
                    f"connection lost while {self._id} was under way; the host continues by itself",
                    host=host.name,
                    hint=f"inv -H {host.name} scheduled",
                ) from error
            # While a host goes down, its programs may still run but get no answer from systemd.
            if not isinstance(error, ProgramFailed):
                host.close()
            return None
        self._away_since = None
        return found


def maintenance_of(host: Host) -> Maintenance:
    """The host's records; raises ProgramFailed when they cannot be read, or errors of SSH."""
    return host.root.call(READ, MaintenanceRequest(site_for(host.spec)), timeout_s=ANSWER_S)


def boot_id(host: Host) -> str:
    """The kernel's id of the present boot."""
    return host.root.output(cmd("cat", "/proc/sys/kernel/random/boot_id"))


def wait_for_boot(host: Host, before: str, limit_s: float, while_up: Callable[[], object]) -> None:
    """Wait until the host is up with a boot id other than `before`.

    `while_up` is called while it is up with that one, and may end the wait with an error. Raises
    VerifyFailed after `limit_s` seconds, Interrupted for Ctrl-C.
    """

    def is_booted() -> bool | None:
        host.close()
        try:
            if boot_id(host) != before:
                return True
            while_up()
        # A host that goes down may still run programs, but they get no answer from systemd.
        except (Unreachable, Lost, TimedOut, ProgramFailed):
            pass
        return None

    where = f"the host is rebooting; then `{typed(f'inv -H {host.name} after-reboot')}`"
    if host.wait_until(is_booted, timeout_s=limit_s, where=where, every_s=BOOT_POLL_S) is None:
        raise VerifyFailed(
            f"it was prepared, but no new boot was seen within {span_text(limit_s)}",
            host=host.name,
            hint=f"inv -H {host.name} after-reboot",
        )
