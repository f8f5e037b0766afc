"""The facts for the plan of a deploy, read in one round trip as the service account."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from opstasks.core.errors import Refused
from opstasks.core.fields import Count, Line, Seconds, Text
from opstasks.core.state import ServiceState
from opstasks.deploy import release
from opstasks.deploy.release import Release
from opstasks.deploy.source import CheckoutSource
from opstasks.fleet import lock
from opstasks.fleet.host import Host
from opstasks.fleet.inventory import HostSpec
from opstasks.fleet.program import Program
from opstasks.primitives import git

# Two fetches of three minutes each, an import, and quick steps.
INSPECT_TIMEOUT_S = 600.0
Direction = Literal["up to date", "behind", "ahead", "diverged", "unknown"]
# A full commit hash, or "".
Sha = Annotated[str, Meta(pattern="^([0-9a-f]{40}|[0-9a-f]{64})?$")]


@dataclass(frozen=True)
class Commit:
    """One commit in a preview, with its short hash."""

    sha: Line
    author: Line
    subject: Line


@dataclass(frozen=True)
class Dirt:
    """Paths that differ from the commit: what `git reset --hard` would discard."""

    staged: tuple[Line, ...] = ()
    unstaged: tuple[Line, ...] = ()
    untracked: tuple[Line, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.staged or self.unstaged or self.untracked)

    @property
    def edited(self) -> list[str]:
        """Tracked files that differ, staged or not."""
        return sorted({*self.staged, *self.unstaged})

    def describe(self) -> str:
        """For people: ``1 staged (a.py), 2 untracked (b.py, c.py)``."""
        kinds = {"staged": self.staged, "unstaged": self.unstaged, "untracked": self.untracked}
        return ", ".join(
            f"{len(paths)} {kind} ({', '.join(paths[:3])}{', ...' if len(paths) > 3 else ''})"
            for kind, paths in kinds.items()
            if paths
        )


@dataclass(frozen=True)
class GitLock:
    """A lock file of git; `holder` is the running git that has it, "" if a killed one left it."""

    path: Line
    holder: Line = ""


@dataclass(frozen=True)
class CheckoutFacts:
    """One checkout: its commit, its target, and the commits that the move gains and loses.

    `error` says why there is no target, `fault` is its kind, for a hint
    (`opstasks.deploy.problems`). `url` is where its commits should come from ("" if that is
    not compared), `source` where they do.
    """

    path: Line
    ref: Line
    head: Sha = ""
    head_name: Line = ""
    target: Sha = ""
    target_name: Line = ""
    gained: tuple[Commit, ...] = ()
    lost: tuple[Commit, ...] = ()
    dirt: Dirt = field(default_factory=Dirt)
    error: Text = ""
    fault: Line = ""
    locks: tuple[GitLock, ...] = ()
    source: CheckoutSource = field(default_factory=CheckoutSource)
    url: Text = ""

    @property
    def moves(self) -> bool:
        """Whether the target is another commit."""
        return bool(self.target) and self.target != self.head

    @property
    def direction(self) -> Direction:
        """The host relative to the target; unknown without a target."""
        if not self.target:
            return "unknown"
        if not self.moves:
            return "up to date"
        if self.gained and self.lost:
            return "diverged"
        return "behind" if self.gained else "ahead"


@dataclass(frozen=True)
class DeployJob:
    """A job that keeps running during a deploy."""

    id: Line
    workspace: Line
    action: Line


@dataclass(frozen=True)
class DeployDatabase:
    """job-runner's database; `quick_check` is "ok" or what is wrong with it.

    `error` says why it cannot be read (`is_damaged`: waiting does not help), `not_writable` what
    the service account may not write.
    """

    exists: bool = False
    size_bytes: Count = 0
    user_version: Count = 0
    quick_check: Text = ""
    error: Text = ""
    is_damaged: bool = False
    not_writable: Line = ""
    running: tuple[DeployJob, ...] = ()

    @property
    def unknown(self) -> str:
        """Why its version and its jobs are not known; "" if they are."""
        if self.is_damaged or (not self.error and self.quick_check not in ("", "ok")):
            return f"the database is damaged: {self.error or self.quick_check}"
        return self.error


@dataclass(frozen=True)
class DeployDisk:
    """The disk (`device`) with the state, the database, the code or the dependencies (`kind`)."""

    kind: Line
    device: Count
    free_bytes: Count
    free_files: Count = 1 << 30


class ClosedFolder(msgspec.Struct, frozen=True):
    """A folder of releases (`name`) that cannot be written; `place` prevents it, `why` says how."""

    name: Line
    place: Line
    why: Line


@dataclass(frozen=True)
class Migration:
    """A migration of the new code: the database's version after it, and its SQL."""

    version: Count
    sql: Line


@dataclass(frozen=True)
class DeployFacts:
    """All facts for the plan of a deploy.

    `not_inspected` says why the new code was not imported: its migrations are not known then.
    `code_version` is the newest database version that the new code supports; `missing_keys` are
    configuration keys that the new code reads, the old code did not, and the host does not set;
    `snapshot` is "ok", or what is wrong with the snapshot that would be restored; `is_confined`:
    the new code had no access to the host when it was imported. `unit_user` is the unit's account
    ("" if unknown), which should be the `service_user`; `unit_problem` says why systemd would not
    start the `unit` again. `host` is the name in the inventory. The unit has been in its state,
    `service`, for `service_for_s` seconds; None: not known. `closed` are the folders, in
    `state_dir`, that the service account cannot write.
    """

    code: CheckoutFacts
    lib: CheckoutFacts
    database: DeployDatabase
    disks: tuple[DeployDisk, ...]
    unit_loaded: bool
    may_control: bool
    docker_answers: bool
    releases: tuple[Release, ...]
    import_error: Text = ""
    not_inspected: Text = ""
    migrations: tuple[Migration, ...] = ()
    code_version: Count = 0
    missing_keys: tuple[Line, ...] = ()
    is_confined: bool = True
    snapshot: Text = "ok"
    closed: tuple[ClosedFolder, ...] = ()
    state_dir: Line = ""
    lock_owner: lock.Owner | None = None
    unit_user: Line = ""
    unit_problem: Line = ""
    unit: Line = ""
    unit_drop_ins: tuple[Line, ...] = ()
    service_user: Line = ""
    host: Line = ""
    service: ServiceState | None = None
    service_for_s: Seconds | None = None

    @property
    def moves(self) -> bool:
        """Whether code, dependencies or database would change."""
        return self.code.moves or self.lib.moves or bool(self.migrations)

    @property
    def will_serve(self) -> bool:
        """Whether a release starts the service: not if somebody has stopped it."""
        return self.service in ("up", "starting", "failed")

    @property
    def running_jobs(self) -> int | None:
        """How many jobs are running; None if that is not known."""
        return None if self.database.unknown else len(self.database.running)

    @property
    def unknown_migrations(self) -> str:
        """Why the migrations are not known; "" if they are."""
        if self.database.unknown:
            return self.database.unknown
        return self.not_inspected or (self.import_error and "the release cannot be imported")

    @property
    def unfinished(self) -> Release | None:
        """The newest release that is unfinished."""
        return release.unfinished(self.releases)


class DeployInspectRequest(msgspec.Struct, frozen=True):
    """What to inspect; `snapshot` is the database that would be restored, or "".

    `preview`: nothing is deployed afterwards, so the result of an earlier import may be used.
    """

    code_dir: str
    lib_dir: str
    code_ref: str
    lib_ref: str
    config_dir: str
    database: str
    home: str
    state_dir: str
    unit: str
    snapshot: str
    fetches: bool
    preview: bool = False
    limit: int = release.MOST_RELEASES


INSPECT = Program(
    "opstasks.deploy.onhost.inspect", DeployInspectRequest, DeployFacts, timeout_s=INSPECT_TIMEOUT_S
)


def inspect(
    host: Host,
    code_ref: str,
    lib_ref: str,
    *,
    fetches: bool = True,
    snapshot: str = "",
    preview: bool = False,
) -> DeployFacts:
    """Read the facts; raises Unreachable, and Refused for a host without job-runner.

    Without `fetches`, refs must already be on the host (going back needs no network). `snapshot`
    is the database that would be restored; it is checked, too. With `preview`, a release that was
    imported before, with the same environment, is not imported again.
    """
    spec = host.spec
    request = DeployInspectRequest(
        code_dir=str(spec.code_dir),
        lib_dir=str(spec.lib_dir),
        code_ref=git.valid_ref(code_ref),
        lib_ref=git.valid_ref(lib_ref),
        config_dir=str(spec.config_dir),
        database=str(spec.database),
        home=str(spec.home),
        state_dir=str(spec.state_dir),
        unit=spec.unit,
        snapshot=snapshot,
        fetches=fetches,
        preview=preview,
    )
    results = host.service.gather({"facts": INSPECT.command(request), "lock": lock.holder(spec)})
    try:
        facts = INSPECT.decode(results["facts"], host.name)
    except Refused as no_checkout:
        no_checkout.hint = f"inv -H {host.name} manage"
        raise
    facts = replace(facts, lock_owner=lock.parse_owner(results["lock"].out))
    return _with_wanted(facts, spec)


def _with_wanted(facts: DeployFacts, spec: HostSpec) -> DeployFacts:
    """The facts, with the addresses from hosts.yaml; a host cannot supply these itself."""
    return replace(
        facts,
        code=replace(facts.code, url=spec.deploy.code.url),
        lib=replace(facts.lib, url=spec.deploy.lib.url),
        service_user=spec.service_user,
        state_dir=str(spec.state_dir),
        unit=spec.unit,
        host=spec.name,
    )
