"""Steps and plans: what differs on a host, and what will change."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from opstasks.manage.actions import AnyAction
from opstasks.manage.model import AREAS

# Who can log in, and what people may do there: groups, people, keys, sudo and sshd.
ACCESS_AREAS = ("accounts", "access")


@dataclass(frozen=True)
class ManageStep:
    """One change: where, what, the present state, the wanted state, and why it differs.

    `action` is for the host; without one, the step is only reported. An `access` step is done
    last, and is undone unless a fresh connection succeeds. `before` and `after` are the texts of a
    file, for a diff. `refusal` says why a plan with this step is refused.
    """

    area: str
    thing: str
    now: str
    wanted: str
    action: AnyAction | None = field(repr=False)
    why: str = ""
    access: bool = False
    before: str | None = field(default=None, repr=False)
    after: str | None = field(default=None, repr=False)
    refusal: str = ""


@dataclass(frozen=True)
class ManagePlan:
    """The steps for one host, in the order in which they are done.

    `refusals` are reasons not to do any of them; `notes` are for the operator.
    """

    steps: tuple[ManageStep, ...]
    refusals: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def differs(self) -> bool:
        """Whether anything differs from the description."""
        return bool(self.steps)

    @property
    def accounts(self) -> list[str]:
        """The accounts that differ, for the Tab key."""
        things = [step.thing for step in self.steps if step.area == "accounts"]
        return [thing.removeprefix("user ") for thing in things]

    @property
    def reported(self) -> tuple[ManageStep, ...]:
        """The steps without an action: differences for a person to decide."""
        return tuple(step for step in self.steps if step.action is None)

    @property
    def todo(self) -> tuple[ManageStep, ...]:
        """The steps with an action: the changes. The others are only reported."""
        return tuple(step for step in self.steps if step.action is not None)


@dataclass(frozen=True)
class AreaSelection:
    """The areas of a run; empty `only` means all."""

    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()

    def has(self, area: str) -> bool:
        """Whether the run includes an area."""
        return (not self.only or area in self.only) and area not in self.skip


ALL_AREAS = AreaSelection()


def count_by_area(steps: Iterable[ManageStep]) -> dict[str, int]:
    """The number of steps in each area, in the order of areas; areas without steps are left out."""
    counts: dict[str, int] = dict.fromkeys(AREAS, 0)
    for step in steps:
        counts[step.area] += 1
    return {area: count for area, count in counts.items() if count}
