"""Make a plan from facts, or the reasons against a deploy, without changing anything."""

from __future__ import annotations

from dataclasses import dataclass

from opstasks.deploy.facts import DeployFacts
from opstasks.deploy.problems import DeployProblem, problems
from opstasks.deploy.release import Release


@dataclass(frozen=True)
class DeployPlan:
    """What to do on one host; it is applied only while the facts are still true.

    For a rollback, `restores` is the release to undo. The started service is watched for `watch_s`
    seconds; 0: for as long as the inventory says.
    """

    facts: DeployFacts
    problems: tuple[DeployProblem, ...]
    restart: bool = False
    restores: Release | None = None
    watch_s: float = 0.0

    @property
    def moves(self) -> bool:
        """Whether code, dependencies or database change."""
        return self.facts.moves

    @property
    def migrates_back(self) -> bool:
        """Whether the database goes back to an older version."""
        undone = self.restores
        return undone is not None and undone.to_version != undone.from_version

    @property
    def nothing_to_do(self) -> bool:
        """Whether the host is already where it should be."""
        return not (self.moves or self.restart or self.facts.unfinished)


def make_plan(
    facts: DeployFacts,
    *,
    restart: bool = False,
    restores: Release | None = None,
    watch_s: float = 0.0,
) -> DeployPlan:
    """The plan for these facts; `restores` is the release to undo."""
    return DeployPlan(facts, problems(facts, restores), restart, restores, watch_s)
