"""A fault: how it is made, how it is undone, and what a run may then end with.

A fault is made on the host itself, or to the client's process; never in our code. Each is a
function of the running pair (`tests.faults.run.Pair`): `pair.machine`, `pair.client`, `pair.hit`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

ANY = frozenset({0, 1, 2, 3, 4})
NEVER_KNOWN = frozenset({0, 1, 3, 4})
KILLED = frozenset({-9})


def nothing(pair):
    """No action."""


@dataclass(frozen=True)
class Fault:
    """One fault.

    `early`: made before the client starts. `setup` is a script of root that runs before the
    service starts. `codes` are the exit codes that are allowed; the observer decides whether the
    one that came is true. `cause`: a pattern that the message of a failed run must match.
    `touches` are parts of the host that the fault itself changes. `stays`: it is not undone before
    the hint is followed. `spoils`: the goal of a successful run may be lost again.
    """

    name: str
    act: Callable = nothing
    undo: Callable = nothing
    codes: frozenset = ANY
    cause: str = ""
    early: bool = False
    setup: str = ""
    touches: frozenset = frozenset()
    stays: bool = False
    spoils: bool = False
    asking: str = ""
    extra: dict = field(default_factory=dict, hash=False)


def script(text):
    """A fault, or its end: a script of root."""

    def act(pair):
        pair.machine.run(text)

    return act
