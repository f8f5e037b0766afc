"""What a result or an error claims about a host, as typed values beside its text.

Each value was read from the host after the last action of the task. A value that the task did not
read is None: nothing is assumed. `--json` shows them as `now`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from opstasks.core.fields import Count, Line

# So many files or ids are named in a text.
NAMED = 3
# "up": it serves; "starting": systemd starts it, or waits to start it again; "failed": it stopped
# with an error, and systemd does not start it again.
ServiceState = Literal["up", "starting", "stopped", "failed"]


class HostState(msgspec.Struct, frozen=True):
    """Claims about one host; `--json` shows only those that were read.

    `code` and `lib` are the commits of the checkouts, `jobs` the state of each job that the task
    changed, by id; `removed` are files that are gone; `scheduled` the ids of scheduled work;
    `unfinished` is the id of a release that is neither finished nor undone, "" if there is none.
    """

    service: ServiceState | None = None
    code: Line | None = None
    lib: Line | None = None
    database_version: Count | None = None
    paused: bool | None = None
    prepared: bool | None = None
    jobs: dict[Line, Line] | None = None
    removed: tuple[Line, ...] | None = None
    scheduled: tuple[Line, ...] | None = None
    unfinished: Line | None = None
    boot_id: Line | None = None

    def told(self) -> dict[str, object]:
        """The values that were read."""
        return {
            name: value for name, value in msgspec.structs.asdict(self).items() if value is not None
        }

    def words(self) -> str:
        """The values that were read, as text: ``service up, not paused``; "" if there are none.

        Commits and ids of boots are left out: they are for programs.
        """
        found = [f"service {self.service}" if self.service else ""]
        for value, name in ((self.paused, "paused"), (self.prepared, "prepared for a reboot")):
            found.append("" if value is None else f"{'' if value else 'not '}{name}")
        found += [f"job {id} {state}" for id, state in (self.jobs or {}).items()]
        found.append(_counted("removed", self.removed))
        found.append(_counted("scheduled", self.scheduled))
        found.append(f"release {self.unfinished} is unfinished" if self.unfinished else "")
        return ", ".join(part for part in found if part)


def _counted(name: str, items: tuple[str, ...] | None) -> str:
    if items is None:
        return ""
    if not items:
        return f"nothing {name}"
    more = f" and {len(items) - NAMED} more" if len(items) > NAMED else ""
    return f"{name}: {', '.join(items[:NAMED])}{more}"
