"""A job in words for a screen: its state, its memory, how a program ended, what to do next."""

from __future__ import annotations

import signal

from opstasks.core.formats import size_text
from opstasks.core.hints import one_word
from opstasks.jobs.join import NO_STATE
from opstasks.jobs.model import Job
from opstasks.output.parts import Part, bad, good, odd

# The share of its limit from which on a job may soon be out of memory.
MUCH_PERCENT = 90


def state_part(job: Job) -> Part:
    """``executing``, ``waiting``, ``failed: nonzero_exit``; `! ` before it: docker disagrees."""
    text = _state_text(job)
    if job.disagreement:
        return odd(f"! {text}")
    if job.state == "failed":
        return bad(text)
    if job.state == "succeeded":
        return good(text)
    return odd(text) if job.status_code == "paused" else text


def _state_text(job: Job) -> str:
    if job.state == NO_STATE:
        return "orphan"
    code = job.status_code
    if job.state == "running":
        return code or job.state
    if job.state == "pending":
        return "waiting" if not code or code == "created" or code.startswith("waiting") else code
    return f"{job.state}: {code}" if code and code != job.state else job.state


def memory_part(job: Job) -> Part:
    """What a job uses of its limit: ``61%``; without a limit ``1.2 GiB``; "" if not known."""
    if job.memory_bytes is None:
        return ""
    if not job.memory_limit_bytes:
        return size_text(job.memory_bytes)
    return percent_part(100 * job.memory_bytes / job.memory_limit_bytes, MUCH_PERCENT)


def percent_part(percent: float, limit_percent: float) -> Part:
    """A percentage, marked from a limit on."""
    text = f"{percent:.0f}%"
    return odd(text) if percent >= limit_percent else text


def bytes_text(used: float, limit: float | None = None) -> str:
    """``1.2 GiB of 4 GiB``; ``1.2 GiB`` without a limit."""
    return f"{size_text(used)} of {size_text(limit)}" if limit else size_text(used)


def cores_text(cores: float | None) -> str:
    """A number of processors: ``0.5 cores``; "" for no limit."""
    return f"{cores:g} core{'' if cores == 1 else 's'}" if cores else ""


def exit_text(code: int, *, oom_killed: bool = False) -> str:
    """An exit code, and what it means: ``137 (SIGKILL, out of memory)``."""
    means = [_signal_name(code - 128)] if code > 128 else []
    means += ["out of memory"] if oom_killed else []
    text = ", ".join(filter(None, means))
    return f"{code} ({text})" if text else str(code)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return ""


def problem_of(job: Job) -> tuple[str, str]:
    """What database and docker disagree about, and the task to type next, without the job."""
    if job.state == NO_STATE:
        return job.disagreement, "doctor"
    if job.left:
        return job.disagreement, "jobs.kill"
    if not job.container:
        return "it should have a container, but has none", "logs --job"
    if job.container in ("exited", "dead"):
        return f"{job.disagreement}, job-runner has not noticed", "status"
    return job.disagreement, "jobs.show"


def command_for(host: str, task: str, *ids: str) -> str:
    """The command to type for jobs of a host; some tasks take no job."""
    words = [] if task in ("doctor", "status") else [one_word(id) for id in ids]
    return " ".join(["inv -H", host, task, *words])
