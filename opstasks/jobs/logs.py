"""What a job printed: of its container while there is one, of its log folder afterwards.

Contents go to whoever asked for them, in pieces: a log of any size passes through.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from opstasks.core.command import Command, cmd
from opstasks.core.errors import CommandFailed, Refused
from opstasks.fleet import old_program as remote
from opstasks.fleet.host import Host
from opstasks.jobs.model import Match

LOG, METADATA = "logs.txt", "metadata.json"
# A line without an end is shown in pieces of this size.
LONGEST_LINE = 1 << 16
# Follow a container ($1: lines from the end, 0 for all; $2: its name; then options of docker).
# docker's wait is begun before its logs: job-runner may remove the container soon after the end.
# docker gives up on a follower that lags when the container ends. So the beginning is pinned to
# a time, what went through is counted, and what is missing at the end is read once more.
_FOLLOW = """
count=$1 name=$2; shift 2
exec 3< <(docker wait "$name" 2>/dev/null) 4>&1
if [ "$count" != 0 ]; then
    start=$(docker logs --timestamps --tail "$count" "$name" 2>&1 | head -n 1 | cut -d ' ' -f 1)
    case $start in 20[0-9][0-9]-*Z) set -- "$@" --since "$start" ;; esac
fi
seen=$({ docker logs --follow "$@" "$name" 2>&1 | tee >(wc -c >&5) >&4; } 5>&1)
read -r code <&3
if docker container inspect "$name" >/dev/null 2>&1; then
    docker logs "$@" "$name" 2>&1 | tail -c +$((seen + 1))
fi
exit "${code:-125}"
"""
_WAIT = 'code=$(docker wait "$1" 2>/dev/null); exit "${code:-125}"'
_LOGS = 'docker logs "${@:2}" "$1" 2>&1'
_COUNT_CONTAINER = 'set -o pipefail; docker logs "$1" 2>&1 | wc -lc'
_COUNT_FILE = 'wc -lc <"$1"'
_STAMP = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z ")
NO_CODE = 125


@dataclass(frozen=True)
class Source:
    """Where a job's output is: a container's name, or a file."""

    container: str = ""
    path: str = ""
    running: bool = False

    def describe(self) -> str:
        """For people."""
        return f"container {self.container}" if self.container else self.path


@dataclass(frozen=True)
class Summary:
    """What may be told of a log anywhere: where it is, its lines and bytes, the exit code."""

    job: str
    host: str
    source: str
    lines: int
    bytes: int
    exit_code: int | None = None


class Lines:
    """Puts pieces of bytes together to lines; keeps no more than one of them.

    `strip` takes away the time of docker's that each line of a kept log begins with.
    """

    def __init__(self, show: Callable[[Sequence[str]], None], *, strip: bool) -> None:
        self._show, self._strip, self._rest = show, strip, b""

    def take(self, data: bytes) -> None:
        """Take a piece; hand on the lines that it ends."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LONGEST_LINE:
            whole.append(self._rest)
            self._rest = b""
        self._hand_on(whole)

    def end(self) -> None:
        """Hand on what came without a line end."""
        self._hand_on([self._rest] if self._rest else [])
        self._rest = b""

    def _hand_on(self, whole: list[bytes]) -> None:
        lines = [line.decode("utf-8", "replace").rstrip("\r") for line in whole]
        self._show([_STAMP.sub("", line) for line in lines] if self._strip else lines)


def source(match: Match) -> Source:
    """Where to read a job's output; raises Refused when it has none, or only docker knows."""
    from opstasks.jobs import find as jobs

    container = match.container
    if container and (container.state == "running" or not file_of(match, LOG)):
        return Source(container=container.name, running=container.state == "running")
    path = file_of(match, LOG)
    if path:
        return Source(path=path)
    if match.docker_error:
        raise jobs.no_docker(match.host, match.docker_error)
    raise Refused(
        f"{match.job.id} ({match.job.state}, {match.job.status_code}) has no output",
        host=match.host,
        hint=f"jobs.show {match.job.id}",
    )


def file_of(match: Match, name: str) -> str:
    """A file of a job's log folder; empty when it is not there."""
    return next((path for path, _, _ in match.logs if PurePosixPath(path).name == name), "")


def read_command(where: Source, *, tail: int, timestamps: bool, follow: bool) -> Command:
    """Print a job's output; with `follow` the exit code is the job's. `tail` 0 means all."""
    if where.path:
        return cmd("tail", "-n", tail, "--", where.path) if tail else cmd("cat", "--", where.path)
    stamps = ["--timestamps"] if timestamps else []
    if follow:
        return cmd("bash", "-c", _FOLLOW, "jobs.logs", tail, where.container, *stamps)
    last = [f"--tail={tail}"] if tail else []
    return cmd("bash", "-c", _LOGS, "jobs.logs", where.container, *stamps, *last)


def show(
    host: Host,
    where: Source,
    lines: Callable[[Sequence[str]], None],
    *,
    tail: int,
    timestamps: bool,
    follow: bool,
) -> int:
    """Hand on a job's output; returns the job's exit code, 0 when it is not followed."""
    command = read_command(where, tail=tail, timestamps=timestamps, follow=follow)
    taken = Lines(lines, strip=bool(where.path) and not timestamps)
    result = host.service.stream(command, taken.take)
    taken.end()
    if follow and where.container:
        return result.code
    if result.code:
        raise CommandFailed(
            f"cannot read {where.describe()}",
            returned=result.code,
            host=host.name,
            tail=result.tail(),
        )
    return 0


def summarise(host: Host, match: Match, where: Source, *, follow: bool) -> Summary:
    """Count a job's output where it is; with `follow` when the job has ended."""
    code = None
    if follow and where.running:
        waited = host.service.stream(
            cmd("bash", "-c", _WAIT, "jobs.logs", where.container), lambda _: None
        )
        code = None if waited.code == NO_CODE else waited.code
        where = _after_the_end(host, match, where)
    script = _COUNT_CONTAINER if where.container else _COUNT_FILE
    command = cmd("bash", "-c", script, "jobs.logs", where.container or where.path)
    lines, size = host.service.output(command).split()
    return Summary(match.job.id, host.name, where.describe(), int(lines), int(size), code)


def _after_the_end(host: Host, match: Match, where: Source) -> Source:
    """Where the output is once the job has ended: job-runner moves it, at a time of its own."""
    from opstasks.jobs import find as jobs

    for _ in range(60):
        (now,) = jobs.by_ids(host, [match.job.id])
        if not now.job.is_active:
            return source(now)
        host.checkpoint("the job goes on")
        host.pause(1)
    return where


def metadata_path(match: Match) -> str:
    """Where a job's metadata.json is; raises Refused when there is none."""
    path = file_of(match, METADATA)
    if not path:
        raise Refused(
            f"{match.job.id} ({match.job.state}, {match.job.status_code}) has no {METADATA} yet",
            host=match.host,
            hint=f"it is written when the job ends; jobs.show {match.job.id}",
        )
    return path


def metadata(host: Host, match: Match) -> dict[str, Any]:
    """A job's metadata.json, secrets taken out on the host; raises Refused without one."""
    path = metadata_path(match)
    found: dict[str, Any] = json.loads(host.service.output(metadata_command(path)))
    if "error" in found:
        raise Refused(f"cannot read {path}: {found['error']}", host=host.name)
    return found


def metadata_command(path: str) -> Command:
    """Print a metadata.json without its secrets, and the names of what was one."""
    return remote.call("opstasks.jobs.onhost.logs", {"path": path})
