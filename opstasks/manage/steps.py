"""Steps and plans: what differs on a host, and what would change."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from opstasks.manage.actions import AnyAction
from opstasks.manage.model import AREAS


@dataclass(frozen=True)
class ManageStep:
    """One change: where, what, how it is now, how it will be, and why it is so.

    `action` is for the host; without one, the step is only reported. An `access` step is done
    last, and undone unless a fresh connection succeeds. `before` and `after` are the texts of a
    file, for a diff.
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
        """Whether anything is not as described."""
        return bool(self.steps)

    @property
    def todo(self) -> tuple[ManageStep, ...]:
        """The steps that can be done: the changes. The others are only reported."""
        return tuple(step for step in self.steps if step.action is not None)


@dataclass(frozen=True)
class AreaSelection:
    """The areas that a run is about; empty `only` means all."""

    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()

    def has(self, area: str) -> bool:
        """Whether the run is about an area."""
        return (not self.only or area in self.only) and area not in self.skip


ALL_AREAS = AreaSelection()


def count_by_area(steps: Iterable[ManageStep]) -> dict[str, int]:
    """How many of these steps each area has, in the order of areas; areas without any left out."""
    counts: dict[str, int] = dict.fromkeys(AREAS, 0)
    for step in steps:
        counts[step.area] += 1
    return {area: count for area, count in counts.items() if count}
