"""Deciding, without touching anything: from facts to a plan, or to the reasons against one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from opstasks.deploy.facts import Facts, Repo
from opstasks.deploy.release import Release

# A snapshot, a copy kept aside and the migrated database can be there at once.
COPIES = 3
SPARE_BYTES = 50 * 1024 * 1024
SHOWN = 15


@dataclass(frozen=True)
class Problem:
    """Something that forbids the deploy; `in_release` when the new release itself is broken."""

    text: str
    hint: str = ""
    in_release: bool = False


@dataclass(frozen=True)
class Plan:
    """What would be done on one host; applied only as long as the facts still hold."""

    facts: Facts
    problems: tuple[Problem, ...]
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


def make(facts: Facts, *, restart: bool = False, restores: Release | None = None) -> Plan:
    """The plan for these facts; `restores` is the release that is being undone."""
    found = [
        *_repo_problems(facts.code),
        *_repo_problems(facts.lib),
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
        found.append(Problem(text, hint, True))
    return Plan(facts, tuple(found), restart, restores)


def _snapshot_problem(facts: Facts, restores: Release) -> Problem:
    """Without its snapshot, the older code would meet a database that it does not know."""
    text = f"the snapshot to go back to is not sound: {facts.snapshot}"
    other = f"copy another snapshot of version {restores.from_version} to its place"
    return Problem(text, f"{_newer_code(facts)}, or {other}: newer rows are carried over")


def _newer_code(facts: Facts) -> str:
    return f"`deploy --ref` a release that knows database version {facts.database.user_version}"


def _repo_problems(repo: Repo) -> list[Problem]:
    found = []
    if repo.error:
        found.append(
            Problem(f"{repo.path}: {repo.error}", "check --ref, and the way to the origin")
        )
    if repo.dirt:
        found.append(
            Problem(
                f"{repo.path} was changed by hand: {repo.dirt.describe()}",
                "commit it upstream or put it back; nothing is thrown away here",
            )
        )
    return found


def _host_problems(facts: Facts) -> list[Problem]:
    found = []
    if facts.lock_owner:
        found.append(Problem(f"someone is changing it: {facts.lock_owner.describe()}", "wait"))
    if not facts.unit_loaded:
        found.append(Problem("the service has no unit", "run `manage` first"))
    if not facts.may_control:
        found.append(
            Problem("the service account may not start and stop the unit", "run `manage` first")
        )
    if not facts.docker_answers:
        text = "docker does not answer: nobody could tell whether jobs survive"
        found.append(Problem(text, "see to docker first"))
    need = facts.database.size_bytes * COPIES + SPARE_BYTES
    if facts.free_bytes < need:
        found.append(
            Problem(
                f"{facts.free_bytes // 2**20} MiB free, {need // 2**20} MiB needed for snapshots",
                "make room on the disk that holds the service account's home",
            )
        )
    return found


def _database_problems(facts: Facts) -> list[Problem]:
    database = facts.database
    if not database.exists:
        return [Problem("there is no database", "run `manage`, it creates one")]
    if database.error:
        return [Problem(f"cannot read the database: {database.error}", "see what has it open")]
    if database.quick_check != "ok":
        text = f"the database is damaged: {database.quick_check}"
        return [Problem(text, "restore a snapshot before anything else")]
    return []


def _release_problems(facts: Facts) -> list[Problem]:
    if facts.code.error or facts.lib.error:
        return []
    found = []
    if facts.import_error and (facts.code.moves or facts.lib.moves):
        text = f"{facts.code.target_name} cannot be imported with these dependencies"
        last = facts.import_error.splitlines()[-1]
        found.append(Problem(f"{text}: {last}", "the release is broken; deploy another", True))
    return found


def preview(plan: Plan) -> list[str]:
    """What people see before they agree, one line each."""
    facts = plan.facts
    lines = [*_repo_lines("code", facts.code), *_repo_lines("dependencies", facts.lib)]
    for version, text in facts.migrations:
        lines.append(f"migration {version}: {text[:90]}")
    if plan.restores and plan.restores.to_version != plan.restores.from_version:
        lines.append(
            f"database: version {plan.restores.to_version} -> {plan.restores.from_version} from the"
            " snapshot, rows written since carried over"
        )
    elif not facts.migrations:
        lines.append(f"no migration (database version {facts.database.user_version})")
    if facts.missing_keys:
        lines.append(f"new configuration keys, not set here: {', '.join(facts.missing_keys)}")
    running = facts.database.running
    lines.append(f"{len(running)} job(s) running; they go on during the restart")
    lines += [f"  {job[0]}  {job[1]} {job[2]}" for job in running]
    if facts.unit_state == "activating":
        lines.append("the service is between two crashes; it will be started")
    elif facts.unit_state != "active":
        lines.append(f"the service is {facts.unit_state} and stays so")
    return lines


def unfinished_lines(facts: Facts) -> list[str]:
    """What people see before they choose which way an unfinished release goes."""
    record = facts.unfinished
    if record is None:
        return []
    lines = [f"unfinished release {record.describe()}, at {record.step!r}"]
    for repo in (facts.code, facts.lib):
        # A checkout that was cut off looks the same as edits by hand: people tell them apart.
        if edited := repo.dirt.edited:
            lines.append(f"{repo.path}: {len(edited)} edited file(s), THROWN AWAY either way")
            lines += _first("  ", edited)
    return lines


def _repo_lines(what: str, repo: Repo) -> list[str]:
    if not repo.moves:
        return [f"{what}: stays at {repo.head_name}"]
    lines = [f"{what}: {repo.head_name} -> {repo.target_name} ({repo.direction})"]
    for sign, verb, commits in (("+", "gains", repo.gained), ("-", "LOSES", repo.lost)):
        if commits:
            lines.append(f"  {verb} {len(commits)} commit(s)")
            lines += _first(f"  {sign} ", [f"{c.sha} {c.subject[:80]}" for c in commits])
    return lines


def _first(start: str, items: Sequence[str]) -> list[str]:
    """The first few, a line each, and how many more there are."""
    lines = [start + item for item in items[:SHOWN]]
    more = len(items) - SHOWN
    return [*lines, f"{start}... and {more} more"] if more > 0 else lines
