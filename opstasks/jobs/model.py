"""Jobs, as the database and docker tell of them (playbook: "Show currently running jobs")."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from opstasks.core.command import Command, cmd
from opstasks.core.errors import Refused
from opstasks.fleet import old_program as remote
from opstasks.fleet.inventory import HostSpec
from opstasks.primitives import docker
from opstasks.primitives.docker import Container

CONTAINER_PREFIX = "os-job-"
VOLUME_PREFIX = "os-volume-"
STATES = ("pending", "running", "failed", "succeeded")
ACTIVE = ("pending", "running")
# While a job is in these, its container must be there.
_WITH_CONTAINER = ("executing", "executed")
# job-runner looks every few seconds: what has only just changed is no disagreement yet.
GRACE_S = 20.0
NEEDLE_LENGTH = 300
_SCRIPT = "opstasks.jobs.onhost.jobs"
# What a host says that was never set up.
NO_DATABASE = "there is no database"


@dataclass(frozen=True)
class Job:
    """One job; times are seconds since the epoch, 0 for one that has not come.

    `cpus` and `memory` (in bytes) are the limits of its container, 0 without one.
    """

    id: str
    workspace: str
    action: str
    state: str
    status_code: str = ""
    created: float = 0.0
    started: float = 0.0
    updated: float = 0.0
    completed: float = 0.0
    image: str = ""
    container: str = ""
    disagreement: str = ""
    status_message: str = ""
    cpus: float = 0.0
    memory: int = 0

    def elapsed_s(self, now: float) -> float:
        """How long it has been running, or ran."""
        return max(0.0, (self.completed or now) - self.started) if self.started else 0.0

    @property
    def is_active(self) -> bool:
        """Whether job-runner has still to do with it."""
        return self.state in ACTIVE

    @property
    def slug(self) -> str:
        """What people call it."""
        return f"{self.workspace}-{self.action}"

    @property
    def container_name(self) -> str:
        """Its container's name."""
        return CONTAINER_PREFIX + self.id


@dataclass(frozen=True)
class Database:
    """What was read of a host; `error` says why nothing was, `docker_error` why no container.

    `with_container` are the jobs of `containers`, whatever was selected. `now` is the host's.
    """

    user_version: int = 0
    flags: dict[str, tuple[str, float]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    jobs: tuple[Job, ...] = ()
    error: str = ""
    more: bool = False
    now: float = 0.0
    containers: tuple[Container, ...] = ()
    docker_error: str = ""
    with_container: tuple[Job, ...] = ()

    def joined(self, *, strays: bool = False) -> tuple[Job, ...]:
        """The jobs with what docker knows of them; `strays` adds what else has a container."""
        found = [_with(job, c, self.now) for job, c in self._pairs(self.jobs)]
        if self.docker_error:
            found = [replace(job, disagreement="") for job in found]
        return (*found, *self.strays()) if strays else tuple(found)

    def strays(self) -> tuple[Job, ...]:
        """Containers that nobody will clean up or that still run, by what should own them."""
        shown = {job.id for job in self.jobs}
        rows = [job for job in self.with_container if job.id not in shown]
        odd = [_with(job, container, self.now) for job, container in self._pairs(rows)]
        known = shown | {job.id for job in rows}
        lost = [
            _with(Job(c.job_id, "", "", "?"), c, self.now, "container without a job")
            for c in self.containers
            if c.job_id not in known
        ]
        return (*(job for job in odd if job.disagreement), *lost)

    def _pairs(self, jobs: Iterable[Job]) -> list[tuple[Job, Container | None]]:
        by_id = {c.job_id: c for c in self.containers}
        return [(job, by_id.get(job.id)) for job in jobs]


@dataclass(frozen=True)
class Selection:
    """Which jobs; `since` in seconds since the epoch, `since_s` in seconds before now."""

    states: tuple[str, ...] = ()
    workspace: str = ""
    since: float = 0.0
    since_s: float = 0.0


@dataclass(frozen=True)
class Match:
    """One job that a word may mean, and what is around it on its host.

    `volume` is ("volume", name) or ("bind", folder), empty without one; `logs` are path, size
    and time of change of the files in its log folder; `docker_error` says why container and
    volume are not known; `row` is all that the database holds.
    """

    host: str
    job: Job
    container: Container | None = None
    volume: tuple[str, ...] = ()
    logs: tuple[tuple[str, int, float], ...] = ()
    docker_error: str = ""
    row: dict[str, Any] = field(default_factory=dict)
    now: float = 0.0

    def describe(self) -> str:
        """One line for a person to choose by."""
        from datetime import UTC, datetime

        job = self.job
        when = f"{datetime.fromtimestamp(job.created, UTC):%Y-%m-%d %H:%M}" if job.created else ""
        words = (self.host, job.id, job.slug, job.state, job.status_code, when)
        return "  ".join(word for word in words if word)


# -- asking ----------------------------------------------------------------------------------


def read_command(
    spec: HostSpec,
    states: Iterable[str] = (),
    workspace: str = "",
    limit: int = 500,
    *,
    selection: Selection | None = None,
    after: tuple[float, str] | None = None,
    with_docker: bool = False,
) -> Command:
    """Read the database, and docker if wanted; parse with `parse`."""
    request = {
        **_selected(spec, selection or Selection(tuple(states), workspace)),
        "limit": limit,
        "after": after,
        "counts": after is None,
        "docker": with_docker,
    }
    return _call(request)


def stream_command(spec: HostSpec, selection: Selection, limit: int, page: int) -> Command:
    """Read any number of jobs, some a line; for `Shell.stream`, parse with `Pages`.

    Such a command has no standard input, so the script is an argument.
    """
    request = {
        **_selected(spec, selection),
        "limit": limit,
        "page": page,
        "counts": False,
        "docker": True,
    }
    return cmd("python3", "-I", "-c", remote.program(_SCRIPT, request))


def _selected(spec: HostSpec, chosen: Selection) -> dict[str, Any]:
    return {
        "database": spec.database,
        "states": chosen.states,
        "workspace": chosen.workspace,
        "since": chosen.since,
        "since_s": chosen.since_s,
    }


def find_command(spec: HostSpec, needles: Iterable[str]) -> Command:
    """Find the jobs that words mean; parse with `parse_matches`."""
    request = {
        "database": spec.database,
        "needles": list(needles),
        "counts": False,
        "docker": True,
        "logs": f"{spec.high_privacy}/logs",
        "volumes": f"{spec.high_privacy}/volumes",
    }
    return _call(request)


def _call(request: Mapping[str, Any]) -> Command:
    return remote.call(_SCRIPT, request)


def containers_command() -> Command:
    """List the job containers; parse with `opstasks.primitives.docker.parse_containers`."""
    return docker.containers(CONTAINER_PREFIX)


def check_needle(text: str) -> str:
    """A word that may name a job; raises Refused for one that cannot."""
    reason = ""
    if not text.strip():
        reason = "is empty"
    elif len(text) > NEEDLE_LENGTH:
        reason = f"is longer than {NEEDLE_LENGTH} characters"
    elif not text.isprintable():
        reason = "holds characters that cannot be printed"
    if reason:
        raise Refused(
            f"the job {text[:60]!r} {reason}",
            hint="give an id, or part of an id or of workspace-action; `jobs.ls` has them",
        )
    return text


# -- understanding ---------------------------------------------------------------------------


def parse(text: str) -> Database:
    """What `read_command` printed."""
    found: dict[str, Any] = json.loads(text)
    if "error" in found:
        return Database(error=found["error"])
    flags = {name: (str(value), float(time or 0)) for name, (value, time) in found["flags"].items()}
    return Database(
        user_version=found["user_version"],
        flags=flags,
        counts=found["counts"],
        jobs=tuple(job_of(row) for row in found["jobs"]),
        more=found.get("more", False),
        now=found.get("now", 0.0),
        containers=tuple(map(docker.container_of, found.get("containers", ()))),
        docker_error=found.get("docker_error", ""),
        with_container=tuple(job_of(row) for row in found.get("with_container", ())),
    )


class Pages:
    """Takes what `stream_command` prints, and hands on the jobs, each joined with docker.

    Keeps a page at most. Containers that no job stands for come at the end, where `strays`.
    """

    def __init__(self, hand_on: Callable[[Sequence[Job]], None], *, strays: bool) -> None:
        self._hand_on, self._with_strays = hand_on, strays
        self._rest: list[bytes] = []
        self._head: Database | None = None
        self._strays: dict[str, Job] = {}
        self.error = ""
        self.docker_error = ""
        self.ended = False

    def take(self, data: bytes) -> None:
        """Take a piece; hand on the pages that it completes."""
        *whole, rest = data.split(b"\n")
        for line in whole:
            self._line(b"".join([*self._rest, line]).decode("utf-8", "surrogateescape"))
            self._rest = []
        self._rest.append(rest)

    def _line(self, text: str) -> None:
        found = json.loads(text)
        if isinstance(found, list):
            self._page(tuple(map(job_of, found)))
        elif "error" in found:
            self.error = found["error"]
        elif "end" in found:
            self._hand_on(list(self._strays.values()))
            self.ended = True
        else:
            self._head = parse(text)
            self.docker_error = self._head.docker_error
            strays = self._head.strays() if self._with_strays else ()
            self._strays = {job.id: job for job in strays}

    def _page(self, jobs: tuple[Job, ...]) -> None:
        for job in jobs:
            self._strays.pop(job.id, None)
        self._hand_on(replace(self._head or Database(), jobs=jobs).joined())


def parse_matches(host: str, text: str) -> dict[str, tuple[Match, ...]]:
    """What `find_command` printed: the matches of each word. Raises Refused for no database."""
    found: dict[str, Any] = json.loads(text)
    if "error" in found:
        raise unreadable(host, found["error"])
    around = found.get("around", {})

    def match(row: dict[str, Any]) -> Match:
        seen = around.get(row["id"], {})
        container = docker.container_of(seen["container"]) if seen.get("container") else None
        return Match(
            host=host,
            job=_with(job_of(row), container, found["now"]),
            container=container,
            volume=container.mount
            if container and container.mount
            else tuple(seen.get("volume", ())),
            logs=tuple((path, size, time) for path, size, time in seen.get("logs", ())),
            docker_error=seen.get("docker_error", ""),
            row=row,
            now=found["now"],
        )

    return {needle: tuple(map(match, rows)) for needle, rows in found["matches"].items()}


def unreadable(host: str, problem: str) -> Refused:
    """The error for a host whose jobs cannot be read, with what mends it."""
    never = problem == NO_DATABASE
    hint = f"inv -H {host} {'manage' if never else 'doctor'}"
    return Refused(f"cannot read the jobs: {problem}", host=host, hint=hint)


def job_of(row: Mapping[str, Any]) -> Job:
    """A row of the job table."""
    # status_code_updated_at alone is in nanoseconds; the others are in seconds.
    changed = (row.get("status_code_updated_at") or 0) / 1e9
    return Job(
        id=row["id"],
        workspace=row.get("workspace") or "",
        action=row.get("action") or "",
        state=row["state"] or "",
        status_code=row.get("status_code") or "",
        status_message=row.get("status_message") or "",
        created=float(row.get("created_at") or 0),
        started=float(row.get("started_at") or 0),
        updated=changed or float(row.get("updated_at") or 0),
        completed=float(row.get("completed_at") or 0),
        image=row.get("image") or "",
    )


def join(jobs: Iterable[Job], containers: Iterable[Container]) -> tuple[Job, ...]:
    """Jobs with what docker knows of them; containers that no job stands for come last.

    For two lists that were not read together; `Database.joined` knows more.
    """
    by_id = {c.name.removeprefix(CONTAINER_PREFIX): c for c in containers}
    joined = [_with(job, by_id.pop(job.id, None), job.updated + GRACE_S + 1) for job in jobs]
    strays = (
        Job(id, "", "", "?", image=c.image, container=c.state, disagreement="no such running job")
        for id, c in by_id.items()
        if c.state == "running"
    )
    return (*joined, *strays)


def _with(job: Job, container: Container | None, now: float, disagreement: str = "") -> Job:
    said = disagreement or _disagreement(job, container, now)
    if container is None:
        return replace(job, disagreement=said)
    return replace(
        job,
        image=container.image,
        container=container.state,
        cpus=container.cpus,
        memory=container.memory,
        disagreement=said,
    )


def _disagreement(job: Job, container: Container | None, now: float) -> str:
    """What database and docker do not agree about, once it has lasted."""
    if now - max(job.updated, container.finished if container else 0) < GRACE_S:
        return ""
    if container is None:
        lacks = job.state == "running" and job.status_code in _WITH_CONTAINER
        return "no container" if lacks else ""
    if job.status_code in _WITH_CONTAINER and container.state in ("exited", "dead"):
        return "container has exited"
    if job.state in ("failed", "succeeded", "pending") and container.state == "running":
        return f"container still runs, job is {job.state}"
    return ""


# -- the service's own lines -----------------------------------------------------------------

_STATUS_LINE = re.compile(
    r"^(?P<time>\d{4}-\d\d-\d\dT[\d:.]+[+-]\d{4}) .*?Z \w+ +(?P<message>.*?) "
    r"status=StatusCode\.(?P<code>\w+) "
)


def statuses(lines: Iterable[str]) -> tuple[tuple[float, str, str], ...]:
    """The times at which a job reached each status, from the service's lines about it."""
    from datetime import datetime

    found = []
    last = ""
    for line in lines:
        match = _STATUS_LINE.match(line)
        # "State change" lines carry the status of before.
        if not match or match["message"].startswith("State change"):
            continue
        code = match["code"].lower()
        if code != last:
            when = datetime.strptime(match["time"], "%Y-%m-%dT%H:%M:%S.%f%z").timestamp()
            found.append((when, code, match["message"]))
        last = code
    return tuple(found)
