"""What a result or an error claims about a host, as typed values beside its text.

Each value was read from the host after the last action of the task. A value that the task did not
read is None: nothing is assumed. `--json` shows them as `now`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from opstasks.core.fields import Count, Line

# "up": it serves; "starting": systemd starts it, or waits to start it again; "failed": it stopped
# with an error, and systemd does not start it again.
ServiceState = Literal["up", "starting", "stopped", "failed"]


class HostState(msgspec.Struct, frozen=True):
    """Claims about one host.

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
