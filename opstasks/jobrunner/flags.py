"""job-runner's flags: whether it is paused, and whose pause it is (playbook: "Pausing new jobs").

The flag itself is job-runner's, set with its own command. Who set it, why and until when stands
in a note of ours beside it, which counts only while it speaks of this very pause: a flag that
was set by hand since has another time.
"""

from __future__ import annotations

from dataclasses import dataclass

from opstasks.jobrunner.jobs import Database

PAUSED = "paused"


@dataclass(frozen=True)
class Pause:
    """A pause; times in seconds since the epoch, `until` 0 for one without an end.

    `id` names the armed end, `task` what paused; `who` is "" for a flag set by hand.
    """

    since: float = 0.0
    who: str = ""
    why: str = ""
    until: float = 0.0
    id: str = ""
    task: str = ""
    keep: bool = False
    flag_time: float = 0.0


def pause_of(database: Database, note: Pause | None) -> Pause | None:
    """The pause that holds, with what our note says of it; None when there is none."""
    value, since = database.flags.get(PAUSED, ("", 0.0))
    if value.lower() != "true":  # what job-runner itself takes as true
        return None
    if note is not None and abs(note.flag_time - since) < 1:
        return note
    return Pause(since=since, flag_time=since)
