"""An unfinished release as lines, before people choose to finish it or to go back: pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from opstasks.core.formats import plural
from opstasks.deploy.facts import DeployFacts
from opstasks.deploy.plan import DeployPlan
from opstasks.output.parts import Line, bad, odd

# So many edited files are named.
SHOWN = 15


def lines(plans: Mapping[str, DeployPlan]) -> list[Line]:
    """The unfinished releases of hosts, and what each choice does."""
    found = [line for host, plan in plans.items() for line in _lines(host, plan.facts)]
    return [*found, *_choices(plans)]


def is_edited(plan: DeployPlan) -> bool:
    """Whether finishing and going back both undo edits."""
    return bool(plan.facts.code.dirt.edited or plan.facts.lib.dirt.edited)


def _lines(host: str, facts: DeployFacts) -> Iterator[Line]:
    record = facts.unfinished
    if record is None:
        return
    where = f"interrupted at {record.step!r}"
    if record.rolling_back:
        where = "interrupted while it was being undone"
    yield [f"{host}  ", bad("UNFINISHED"), f" release {record.describe()}; {where}"]
    for checkout in (facts.code, facts.lib):
        # An interrupted checkout looks like edits by hand: people must judge which it is.
        if edited := checkout.dirt.edited:
            count = plural(len(edited), "edited file")
            yield [f"  {checkout.path}  ", odd(f"{count}, undone either way, kept as a patch")]
            yield from ([f"    {path}"] for path in edited[:SHOWN])
            if len(edited) > SHOWN:
                yield [f"    {len(edited) - SHOWN} more"]


def _choices(plans: Mapping[str, DeployPlan]) -> Iterator[Line]:
    names = {
        (record.from_name, record.to_name)
        for plan in plans.values()
        if (record := plan.facts.unfinished)
    }
    old, new = names.pop() if len(names) == 1 else ("the former release", "the new release")
    yield [f"finish  go on to {new}"]
    yield [f"back    return to {old}, with its database"]
