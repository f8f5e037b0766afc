"""Plans and releases as `--json` shows them (docs/json.md)."""

from __future__ import annotations

import msgspec

from opstasks.core.fields import Count, Line, Moment, Text
from opstasks.core.state import ServiceState
from opstasks.deploy.facts import CheckoutFacts, Commit, Direction, Migration
from opstasks.deploy.plan import DeployPlan
from opstasks.deploy.problems import DeployProblem
from opstasks.deploy.release import Release


class CheckoutMove(msgspec.Struct, frozen=True):
    """A checkout: where it is and where `ref` is, as full commits and as names for people.

    `gained` and `lost` are the commits between the two, newest first, 200 at most.
    """

    ref: Line
    commit: Line
    name: Line
    target: Line
    target_name: Line
    direction: Direction
    gained: tuple[Commit, ...]
    lost: tuple[Commit, ...]

    @property
    def known_as(self) -> list[str | tuple[str, str]]:
        """Names of its commits, for the Tab key: the new ones have their subject beside them."""
        new = [(commit.sha[:10], commit.subject) for commit in self.gained]
        return [self.ref, self.target_name, self.name, *new]


class DeployPreview(msgspec.Struct, frozen=True):
    """What a deploy would do on a host.

    `migrations` are empty if `migrations_unknown` says why they are not known. `database_version`
    and `running_jobs` are null if they are not known. `unfinished` is the id of an unfinished
    release, or "". With `problems`, nothing would be deployed. `import_error` has the last lines of
    a release that cannot be imported.
    """

    nothing_to_do: bool
    code: CheckoutMove
    lib: CheckoutMove
    database_version: Count | None
    migrations: tuple[Migration, ...]
    migrations_unknown: Text
    missing_keys: tuple[Line, ...]
    service: ServiceState | None
    service_for_s: float | None
    running_jobs: Count | None
    watch_s: float
    restart: bool
    unfinished: Line
    is_confined: bool
    import_error: Text
    drop_ins: tuple[Line, ...]
    problems: tuple[DeployProblem, ...]


def document(plan: DeployPlan) -> DeployPreview:
    """A plan as a document."""
    facts = plan.facts
    return DeployPreview(
        nothing_to_do=plan.nothing_to_do,
        code=_move(facts.code),
        lib=_move(facts.lib),
        database_version=None if facts.database.unknown else facts.database.user_version,
        migrations=facts.migrations,
        migrations_unknown=facts.unknown_migrations,
        missing_keys=facts.missing_keys,
        service=facts.service,
        service_for_s=facts.service_for_s,
        running_jobs=facts.running_jobs,
        watch_s=plan.watch_s,
        restart=plan.restart,
        unfinished=facts.unfinished.id if facts.unfinished else "",
        is_confined=facts.is_confined,
        import_error=facts.import_error,
        drop_ins=facts.unit_drop_ins,
        problems=plan.problems,
    )


def _move(checkout: CheckoutFacts) -> CheckoutMove:
    return CheckoutMove(
        ref=checkout.ref,
        commit=checkout.head,
        name=checkout.head_name,
        target=checkout.target,
        target_name=checkout.target_name,
        direction=checkout.direction,
        gained=checkout.gained,
        lost=checkout.lost,
    )


class ReleaseReport(msgspec.Struct, frozen=True):
    """A release; its moments are in seconds since the epoch, 0 for "not yet".

    `kind` is deploy or rollback. `result` is deployed, rolled back (by a person), failed (it was
    undone: `reason` says why), unfinished, or unreadable (`reason` says why its record cannot be
    used; other values are empty then). `from_*` and `to_*` are full commits, names for people and
    versions of the database; `database` says what happened to it.
    """

    id: Line
    kind: Line
    result: Line
    reason: Line
    who: Line
    ref: Line
    from_code: Line
    to_code: Line
    from_lib: Line
    to_lib: Line
    from_name: Line
    to_name: Line
    from_database_version: Count
    to_database_version: Count
    database: Line
    started_at: Moment
    finished_at: Moment


def release_of(found: Release) -> ReleaseReport:
    """A release without what only the next step on the host needs."""
    return ReleaseReport(
        id=found.id,
        kind=found.kind,
        result=found.result,
        reason=found.unread or found.reason,
        who=found.who,
        ref=found.ref,
        from_code=found.from_code,
        to_code=found.to_code,
        from_lib=found.from_lib,
        to_lib=found.to_lib,
        from_name=found.from_name,
        to_name=found.to_name,
        from_database_version=found.from_version,
        to_database_version=found.to_version,
        database=found.how,
        started_at=found.started_at,
        finished_at=found.finished_at,
    )
