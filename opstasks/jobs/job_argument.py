"""How a task takes a job: its help, and jobs as plain words."""

from __future__ import annotations

from typing import Any

JOB_HELP = "A job's id, or part of its id or of workspace-action; without it, choose by number."


def takes_words(task: Any) -> None:
    """Let a task take jobs as plain words: ``jobs.show abc`` for ``jobs.show --job abc``.

    Invoke's own positional arguments cannot be left out.
    """
    task.variadic = "--job"
