"""What a deploy decides on, gathered in one round trip as the service account.

Changes nothing but git's own store (a fetch) and a staging folder under ``<home>/opstasks``.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field, replace
from typing import Any

from opstasks.core.command import Command, Raw, cmd, quote
from opstasks.core.errors import OpsError, Refused
from opstasks.core.result import Result
from opstasks.deploy import release
from opstasks.deploy.release import Release
from opstasks.fleet import lock
from opstasks.fleet.host import Host
from opstasks.fleet.inventory import HostSpec
from opstasks.primitives import git


@dataclass(frozen=True)
class Repo:
    """One checkout: where it is, where it would go, what that gains and loses."""

    path: str
    ref: str
    head: str = ""
    head_name: str = ""
    target: str = ""
    target_name: str = ""
    gained: tuple[git.Commit, ...] = ()
    lost: tuple[git.Commit, ...] = ()
    dirt: git.Dirt = field(default_factory=git.Dirt)
    error: str = ""

    @property
    def moves(self) -> bool:
        """Whether the target is another commit."""
        return bool(self.target) and self.target != self.head

    @property
    def direction(self) -> str:
        """How the host stands to the target: up to date, ahead, behind or diverged."""
        if not self.moves:
            return "up to date"
        if self.gained and self.lost:
            return "diverged"
        return "behind" if self.gained else "ahead"


@dataclass(frozen=True)
class Database:
    """job-runner's database; `jobs` are (id, workspace, action, state) of unfinished jobs."""

    exists: bool = False
    size_bytes: int = 0
    user_version: int = 0
    quick_check: str = ""
    error: str = ""
    jobs: tuple[tuple[str, str, str, str], ...] = ()

    @property
    def running(self) -> list[tuple[str, str, str, str]]:
        """The jobs that are running."""
        return [job for job in self.jobs if job[3] == "running"]


@dataclass(frozen=True)
class Facts:
    """Everything that the plan rests on."""

    code: Repo
    lib: Repo
    database: Database
    free_bytes: int
    unit_state: str
    unit_loaded: bool
    may_control: bool
    docker_answers: bool
    lock_owner: lock.Owner | None
    releases: tuple[Release, ...]
    import_error: str = ""
    migrations: tuple[tuple[int, str], ...] = ()
    code_version: int = 0
    missing_keys: tuple[str, ...] = ()
    snapshot: str = "ok"

    @property
    def unfinished(self) -> Release | None:
        """The newest release whose client went away before the end."""
        return release.unfinished(self.releases)


def gather(
    host: Host, code_ref: str, lib_ref: str, *, fetch: bool = True, snapshot: str = ""
) -> Facts:
    """Gather the facts; raises Refused for a host that has no job-runner, Unreachable.

    Without `fetch`, refs must be on the host already (going back needs no network). `snapshot`
    is the database that would be put back; its health is looked at, too.
    """
    spec = host.spec
    asked = commands(spec, code_ref, lib_ref, fetch=fetch, snapshot=snapshot)
    results = host.service.gather(asked)
    if results["code.head"].code:
        raise Refused(
            f"no job-runner checkout in {spec.code_dir}",
            host=host.name,
            hint=f"inv -H {host.name} manage",
        )
    inspected = _inspected(results["inspect"], host.name)
    found = inspected.get("import", {"error": "there is no jobrunner package in it"})
    database = _database(inspected["database"])
    unit = dict(line.split("=", 1) for line in results["unit"].lines if "=" in line)
    return Facts(
        code=_repo(str(spec.code_dir), code_ref, "code", results),
        lib=_repo(str(spec.lib_dir), lib_ref, "lib", results),
        database=database,
        free_bytes=inspected["free_bytes"],
        unit_state=unit.get("ActiveState", "unknown"),
        unit_loaded=unit.get("LoadState") == "loaded",
        may_control=results["sudo"].code == 0,
        docker_answers=results["docker"].code == 0,
        lock_owner=lock.parse_owner(results["lock"].out),
        releases=release.parse_releases(results["releases"].out),
        import_error=found["error"],
        migrations=_pending_migrations(found.get("migrations", {}), database),
        code_version=max(map(int, found.get("migrations", {})), default=0),
        missing_keys=_missing_keys(inspected),
        snapshot=inspected["snapshot"],
    )


def commands(
    spec: HostSpec, code_ref: str, lib_ref: str, *, fetch: bool, snapshot: str = ""
) -> dict[str, Command]:
    """The commands of the one round trip, by name."""
    # Two operators may look at the same time: each has a folder and a git ref of its own.
    token = secrets.token_hex(4)
    staging, target = f"{spec.state_dir}/staging-{token}", git.target_ref(token)
    asked: dict[str, Command] = {}
    for name, path, ref in (("code", spec.code_dir, code_ref), ("lib", spec.lib_dir, lib_ref)):
        asked[f"{name}.fetch"] = git.fetch(path) if fetch else cmd("true")
        asked[f"{name}.target"] = git.find_target(path, ref, target)
        asked[f"{name}.head"] = git.head(path)
        asked[f"{name}.head_name"] = git.describe(path)
        asked[f"{name}.target_name"] = git.describe(path, target)
        asked[f"{name}.gained"] = git.log(path, f"HEAD..{target}")
        asked[f"{name}.lost"] = git.log(path, f"{target}..HEAD")
        asked[f"{name}.status"] = git.status(path)
        asked[f"{name}.stage"] = git.export(path, target, f"{staging}/{name}")
    asked["inspect"] = release.inspect_command(spec, f"{staging}/code", f"{staging}/lib", snapshot)
    asked["unstage"] = cmd("rm", "-rf", staging)
    for name, path in (("code", spec.code_dir), ("lib", spec.lib_dir)):
        asked[f"{name}.forget"] = git.forget(path, target)
    asked["unit"] = cmd("systemctl", "show", spec.unit, "--property=LoadState,ActiveState")
    asked["sudo"] = _may_control(spec)
    asked["docker"] = cmd("docker", "ps", "--quiet").within(30)
    asked["lock"] = lock.holder(spec)
    asked["releases"] = release.list_command(spec)
    return asked


def _may_control(spec: HostSpec) -> Command:
    """Whether this account may start and stop the unit without a password."""
    unit = quote(spec.unit)
    verbs = " && ".join(
        f"sudo -n -l /usr/bin/systemctl {verb} {unit} >/dev/null" for verb in ("start", "stop")
    )
    return cmd(Raw(f'[ "$(id -u)" = 0 ] || {{ {verbs}; }}'))


def _repo(path: str, ref: str, name: str, results: dict[str, Result]) -> Repo:
    got = {key.removeprefix(f"{name}."): value for key, value in results.items()}
    base = Repo(
        path=path,
        ref=ref,
        head=got["head"].text,
        head_name=got["head_name"].text,
        dirt=git.parse_status(got["status"].out),
    )
    if got["fetch"].code:
        return replace(base, error=f"cannot fetch: {got['fetch'].tail()}")
    if got["target"].code:
        return replace(base, error=f"there is no branch, tag or commit {ref!r}")
    return replace(
        base,
        target=got["target"].text,
        target_name=got["target_name"].text,
        gained=git.parse_log(got["gained"].out),
        lost=git.parse_log(got["lost"].out),
    )


def _inspected(result: Result, host: str) -> dict[str, Any]:
    if result.code:
        raise OpsError(
            "cannot look at the new code",
            host=host,
            command="python3 (inspect)",
            tail=result.tail(),
            hint="is python3 there, and the disk not full?",
        )
    found: dict[str, Any] = json.loads(result.out)
    return found


def _database(found: dict[str, Any]) -> Database:
    jobs = tuple((str(a), str(b), str(c), str(d)) for a, b, c, d in found.pop("jobs", []))
    return Database(jobs=jobs, **found)


def _pending_migrations(found: dict[str, str], database: Database) -> tuple[tuple[int, str], ...]:
    numbered = sorted((int(version), text) for version, text in found.items())
    return tuple((v, text) for v, text in numbered if v > database.user_version)


def _missing_keys(inspected: dict[str, Any]) -> tuple[str, ...]:
    """Keys that the new code reads, the old one did not, and the host does not set.

    Whether the code can do without them, the import has shown: job-runner reads its
    configuration when it is imported.
    """
    have = {*inspected["set_keys"], *inspected.get("old_keys", [])}
    return tuple(sorted(set(inspected.get("new_keys", [])) - have))
