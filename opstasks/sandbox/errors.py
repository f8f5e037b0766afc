"""The one error that the sandbox raises for what can be foreseen."""

from __future__ import annotations


class SandboxError(Exception):
    """Something went wrong, said in one line, with what to do about it."""

    def __init__(self, problem: str, hint: str = "") -> None:
        super().__init__(f"{problem} ({hint})" if hint else problem)
        self.problem = problem
        self.hint = hint
