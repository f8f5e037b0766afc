"""The result of one check."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DoctorFinding:
    """The result of one check; `hint` says what to do if it is not good."""

    name: str
    good: bool
    text: str
    hint: str = ""
