"""job-runner's flags: whether it is paused, and whose pause it is (playbook: "Pausing new jobs").

The flag itself is job-runner's, set with its own command. Who set it, why and until when stands
in a note of ours beside it, which counts only while it speaks of this very pause: a flag that
was set by hand since has another time.
"""

from __future__ import annotations

from dataclasses import dataclass

from opstasks.jobs.read import JobsAnswer

PAUSED = "paused"


@dataclass(frozen=True)
class Pause:
    """A pause; times in seconds since the epoch, `until` 0 for one without an end.

    `id` names the armed end, `task` what paused; `who` is "" for a flag set by hand. `flag_time` is
    the flag's own; while it was being set, a time up to `settling_s` before it.
    """

    since: float = 0.0
    who: str = ""
    why: str = ""
    until: float = 0.0
    id: str = ""
    task: str = ""
    keep: bool = False
    flag_time: float = 0.0
    settling_s: float = 0.0


def pause_of(jobs: JobsAnswer, note: Pause | None) -> Pause | None:
    """The pause that holds, with what our note says of it; None when there is none."""
    value, since = jobs.flags.get(PAUSED, ("", 0.0))
    if value.lower() != "true":  # what job-runner itself takes as true
        return None
    if note is not None and -1 < since - note.flag_time < 1 + note.settling_s:
        return note
    return Pause(since=since, flag_time=since)
