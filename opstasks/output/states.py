"""The names of states, their texts and colours: the same on every screen.

What is wrong is in capitals where it is one of many cells, because a colour must not be the only
sign.
"""

from __future__ import annotations

from opstasks.core.formats import span_text
from opstasks.output.parts import Painted, bad, dim, good, odd

# How a run can end on a host (`opstasks.core.result.OUTCOMES`), as a record has it.
OUTCOMES: dict[str, Painted] = {
    "changed": good("changed"),
    "ok": dim("ok"),
    "failed": bad("failed"),
    "refused": odd("refused"),
    "unreachable": bad("unreachable"),
    "unknown": bad("unknown"),
    "interrupted": odd("interrupted"),
    "not started": odd("not started"),
}
# What is said of a host that gave no answer.
SILENT = {"unreachable": "no answer", "interrupted": "not asked", "not started": "not asked"}
SERVICE: dict[str, Painted] = {
    "up": good("up"),
    "crash loop": bad("CRASH LOOP"),
    "crashed": bad("CRASHED"),
    "failed": bad("FAILED"),
    "absent": bad("ABSENT"),
}
NOT_KNOWN = odd("?")


def outcome_part(outcome: str) -> Painted | str:
    """How a run ended on a host, as a record has it."""
    return OUTCOMES.get(outcome, outcome)


def ending_part(outcome: str) -> Painted:
    """How a change ended on a host, for the line of that host: ``DONE``, ``NO ANSWER``."""
    words = {"changed": "done", "unreachable": SILENT["unreachable"]}
    return Painted(words.get(outcome, outcome).upper(), OUTCOMES[outcome].colour)


def silent_text(outcome: str) -> str:
    """Why a host has no values: ``no answer``, ``not asked``, ``refused``."""
    return SILENT.get(outcome, outcome)


def service_part(state: str, for_s: float | None = None) -> Painted:
    """The state of a service and for how long: ``up 12m``, ``CRASH LOOP 52s``, ``stopped``."""
    shown = SERVICE.get(state, odd(state))
    return Painted(f"{shown.text} {span_text(for_s)}", shown.colour) if for_s is not None else shown


def or_unknown(value: object) -> object:
    """A value of a table, or a sign that it is not known."""
    return NOT_KNOWN if value is None else value


def needs_a_person(count: int) -> Painted:
    """``1 needs a person``, ``2 need a person``."""
    return odd(f"{count} {'needs' if count == 1 else 'need'} a person")
