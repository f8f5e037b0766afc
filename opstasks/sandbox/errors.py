"""The error that the sandbox raises for all expected problems."""

from __future__ import annotations


class SandboxError(Exception):
    """An expected problem, in one line, with a hint."""

    def __init__(self, problem: str, hint: str = "") -> None:
        super().__init__(f"{problem} ({hint})" if hint else problem)
        self.problem = problem
        self.hint = hint
