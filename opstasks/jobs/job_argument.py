"""The job argument of tasks: its help text, and jobs as positional arguments."""

from __future__ import annotations

from typing import Any

JOB_HELP = "A job's id, or part of its id or of workspace-action; without it, choose by number."


def takes_words(task: Any) -> None:
    """Let a task take jobs as positional arguments: ``jobs.show abc``, not only ``--job abc``.

    Invoke's own positional arguments are mandatory; these are optional.
    """
    task.variadic = "--job"
