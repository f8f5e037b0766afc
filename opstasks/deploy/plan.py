"""Make a plan from facts, or the reasons against a deploy, without changing anything."""

from __future__ import annotations

from dataclasses import dataclass

from opstasks.core.formats import size_text
from opstasks.deploy import source
from opstasks.deploy.facts import CheckoutFacts, DeployFacts
from opstasks.deploy.release import Release

# There may be a snapshot, a copy kept aside and the migrated database at the same time.
COPIES = 3
SPARE_BYTES = 50 * 1024 * 1024


@dataclass(frozen=True)
class DeployProblem:
    """A reason not to deploy; `in_release` when the new release itself is broken."""

    text: str
    hint: str = ""
    in_release: bool = False


@dataclass(frozen=True)
class DeployPlan:
    """What to do on one host; it is applied only while the facts are still true.

    For a rollback, `restores` is the release to undo.
    """

    facts: DeployFacts
    problems: tuple[DeployProblem, ...]
    restart: bool = False
    restores: Release | None = None

    @property
    def moves(self) -> bool:
        """Whether code, dependencies or database change."""
        facts = self.facts
        return facts.code.moves or facts.lib.moves or bool(facts.migrations)

    @property
    def nothing_to_do(self) -> bool:
        """Whether the host is already where it should be."""
        return not (self.moves or self.restart or self.facts.unfinished)


def make_plan(
    facts: DeployFacts, *, restart: bool = False, restores: Release | None = None
) -> DeployPlan:
    """The plan for these facts; `restores` is the release to undo."""
    found = [
        # A rollback fetches nothing, and goes back to commits that were deployed.
        *(() if restores else (*_source_problems(facts.code), *_source_problems(facts.lib))),
        *_checkout_problems(facts.code),
        *_checkout_problems(facts.lib),
        *_host_problems(facts),
        *_database_problems(facts),
        *_release_problems(facts),
    ]
    if restores and facts.snapshot != "ok":
        found.append(_snapshot_problem(facts, restores))
    if facts.code_version < facts.database.user_version and not restores and not found:
        text = (
            f"the database is at version {facts.database.user_version}, this code knows"
            f" only {facts.code_version}"
        )
        hint = f"{_newer_code(facts)}; `deploy.rollback` goes back with the database"
        found.append(DeployProblem(text, hint, True))
    return DeployPlan(facts, tuple(found), restart, restores)


def _snapshot_problem(facts: DeployFacts, restores: Release) -> DeployProblem:
    """The problem of a bad snapshot: the older code cannot use the present database."""
    text = f"the snapshot to go back to is damaged: {facts.snapshot}"
    other = f"copy another snapshot of version {restores.from_version} to its place"
    return DeployProblem(text, f"{_newer_code(facts)}, or {other}: newer rows are carried over")


def _newer_code(facts: DeployFacts) -> str:
    return f"`deploy --ref` a release that knows database version {facts.database.user_version}"


def _checkout_problems(checkout: CheckoutFacts) -> list[DeployProblem]:
    found = []
    if checkout.error:
        text = f"{checkout.path}: {checkout.error}"
        found.append(DeployProblem(text, "check --ref, and that the host reaches the origin"))
    if checkout.dirt:
        text = f"{checkout.path} was changed by hand: {checkout.dirt.describe()}"
        hint = "commit the changes upstream or revert them; a deploy discards nothing"
        found.append(DeployProblem(text, hint))
    return found


def _source_problems(checkout: CheckoutFacts) -> list[DeployProblem]:
    """Settings that bring commits from elsewhere, run programs or hide changes."""
    if not checkout.url:
        return []
    found = source.problems(checkout.path, checkout.source, checkout.url)
    return [
        DeployProblem(
            f"{checkout.path}: {item.text}",
            f"look who changed it; `manage --only code` sets it back, or: {item.hint}"
            if item.is_origin
            else item.hint,
        )
        for item in found
    ]


def _host_problems(facts: DeployFacts) -> list[DeployProblem]:
    found = []
    if facts.lock_owner:
        text = f"someone is changing it: {facts.lock_owner.describe()}"
        found.append(DeployProblem(text, "wait"))
    if facts.unit_problem:
        found.append(DeployProblem(facts.unit_problem, facts.unit_hint))
    elif not facts.unit_loaded:
        found.append(DeployProblem("the service has no unit", "run `manage` first"))
    if facts.unit_loaded and facts.unit_user not in ("", facts.service_user):
        text = f"the unit would run as {facts.unit_user}, not as {facts.service_user}"
        where = f" ({', '.join(facts.unit_drop_ins)})" if facts.unit_drop_ins else ""
        # `manage` removes no drop-in, so it would not help.
        hint = "systemctl cat shows the file that sets it; correct it, then systemctl daemon-reload"
        found.append(DeployProblem(text + where, hint))
    if not facts.may_control:
        text = "the service account may not start and stop the unit"
        found.append(DeployProblem(text, "run `manage` first"))
    if not facts.docker_answers:
        text = "docker does not answer: we could not check that jobs survive"
        found.append(DeployProblem(text, "fix docker first"))
    need_bytes = facts.database.size_bytes * COPIES + SPARE_BYTES
    if facts.free_bytes < need_bytes:
        need = f"{size_text(need_bytes)} needed for snapshots"
        text = f"{size_text(facts.free_bytes)} free, {need}"
        hint = "free space on the disk with the service account's home"
        found.append(DeployProblem(text, hint))
    return found


def _database_problems(facts: DeployFacts) -> list[DeployProblem]:
    database = facts.database
    if not database.exists:
        return [DeployProblem("there is no database", "run `manage` to create it")]
    if database.error:
        text = f"cannot read the database: {database.error}"
        return [DeployProblem(text, "find the program that has it open")]
    if database.quick_check != "ok":
        return [DeployProblem(_damage(database.quick_check), "first restore a snapshot")]
    return []


def _damage(verdict: str) -> str:
    """The words for what SQLite found; an error of SQLite has them already."""
    text = "the database is damaged"
    return verdict if verdict.startswith(text) else f"{text}: {verdict}"


def _release_problems(facts: DeployFacts) -> list[DeployProblem]:
    if facts.code.error or facts.lib.error:
        return []
    if not facts.import_error or not (facts.code.moves or facts.lib.moves):
        return []
    last = facts.import_error.splitlines()[-1]
    text = f"{facts.code.target_name} cannot be imported with these dependencies: {last}"
    hint = "the release is broken; deploy another one"
    if facts.is_confined:
        hint = (
            "the release is broken, or it reads secrets, files or the network when it is imported,"
            " which it must not; deploy another one"
        )
    return [DeployProblem(text, hint, True)]
