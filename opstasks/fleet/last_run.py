"""The last run of each task from here, for `-H @failed`.

One small file for each task and inventory under ``$XDG_STATE_HOME/opstasks/last/``. It has names
of hosts and how the run ended there, and never a command's arguments.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from opstasks.core.errors import Refused
from opstasks.core.fields import Line, Moment
from opstasks.core.hints import one_word
from opstasks.fleet import private_files
from opstasks.fleet.state_folder import inventory_key, state_folder

MOST_BYTES = 4 << 20
GOOD = ("ok", "changed")


class LastRun(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the last run of a task ended on each host; `program` is the one that `run` ran."""

    task: Line
    program: Line = ""
    ended_at: Moment
    outcomes: Annotated[dict[Line, Line], Meta(max_length=100_000)]

    @property
    def failed(self) -> list[str]:
        """The hosts that were not ok, in the order of the run."""
        return [host for host, outcome in self.outcomes.items() if outcome not in GOOD]

    @property
    def name(self) -> str:
        """The task, with the program if there is one."""
        return f"{self.task} -- {self.program}" if self.program else self.task


def path_of(task: str, inventory: Path | None) -> Path:
    """The file for a task; another machine or inventory file has another one."""
    name = re.sub(r"[^A-Za-z0-9._-]", "_", task)
    return state_folder() / "last" / inventory_key(inventory) / f"{name}.json"


def write(path: Path, run: LastRun) -> None:
    """Replace the record; raises OSError when that is not possible."""
    private_files.replace(path, msgspec.json.encode(run))


def read(path: Path, task: str) -> LastRun:
    """The last run of a task; raises Refused without one, or when the record is not usable."""
    try:
        run = msgspec.json.decode(private_files.read_own(path, MOST_BYTES), type=LastRun)
    except FileNotFoundError:
        raise Refused(
            f"@failed: there is no earlier run of `{task}` from here",
            hint="run it first with -H and names or groups",
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise Refused(
            f"@failed: cannot use the record of the last run: {reason.lower()}",
            hint=f"remove {one_word(path)}, or name the hosts",
        ) from None
    if run.task != task:
        raise Refused(
            f"@failed: the record is of another task, `{run.task}`", hint=f"remove {one_word(path)}"
        )
    return run
