"""`jobs.logs`, `jobs.follow`: what a job printed, and its metadata.json.

The output is read from the container while it exists, and from the log folder afterwards. It is
passed on in pieces, so a log may have any size.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import msgspec

from opstasks.core.command import Command, cmd
from opstasks.core.errors import CommandFailed, InvalidResponse, Refused
from opstasks.core.fields import Line
from opstasks.core.lines import lines_of
from opstasks.fleet.host import Host
from opstasks.fleet.program import Program
from opstasks.jobs.find import find_ids, no_docker
from opstasks.jobs.model import Match
from opstasks.jobs.words import command_for

LOG_FILE, METADATA_FILE = "logs.txt", "metadata.json"
# Longer lines are shown in pieces of this size.
MAX_LINE_BYTES = 1 << 16
# How long job-runner may take to move the log of a job that has ended.
MOVE_TIMEOUT_S = 60.0
# Follow a container ($1: lines from the end, 0 for all; $2: its name; then options of docker).
# docker wait starts before docker logs: job-runner may remove the container soon after it ends.
# When the container ends, docker drops a follower that lags. So we fix the start to a time, count
# the bytes that arrived, and read the missing ones again at the end.
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
_END_OF_CONTAINER = 'docker logs --tail "$2" "$1" 2>&1 | tail -c "$3"'
_END_OF_FILE = 'tail -c "$3" -- "$1"'
_COUNT_CONTAINER = 'set -o pipefail; docker logs "$1" 2>&1 | wc -lc'
_COUNT_FILE = 'wc -lc <"$1"'
# A number of lines or bytes: up to an exabyte.
_COUNT = re.compile(r"[0-9]{1,18}")
_STAMP = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z ")
NO_CODE = 125
# So much of the end of a log is read to show its last lines.
END_BYTES = 8192
END_TIMEOUT_S = 20.0


@dataclass(frozen=True)
class LogSource:
    """Where a job's output is: a container's name, or a file."""

    container: str = ""
    path: str = ""
    running: bool = False

    def describe(self) -> str:
        """For people."""
        return f"container {self.container}" if self.container else self.path


@dataclass(frozen=True)
class LogSummary:
    """The facts about a log that are not private: its place, lines and bytes.

    It is in a `container`, or a file: `path`; the other one is "". `exit_code` is that of the job,
    if it was followed to its end.
    """

    job: str
    container: str
    path: str
    lines: int
    size_bytes: int
    exit_code: int | None = None


@dataclass(frozen=True)
class JobMetadata:
    """Where a job's metadata.json is; `metadata`: its content with secrets masked, or None."""

    job: str
    path: str
    size_bytes: int
    metadata: Any = None


class LogLines:
    """Joins pieces of bytes into lines; keeps at most one line in memory.

    `strip` removes docker's time from the beginning of each line, as saved logs have it.
    """

    def __init__(self, show: Callable[[Sequence[str]], None], *, strip: bool) -> None:
        self._show, self._strip, self._rest = show, strip, b""

    def take(self, data: bytes) -> None:
        """Take a piece; pass on the lines that it completes."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > MAX_LINE_BYTES:
            whole.append(self._rest)
            self._rest = b""
        self._hand_on(whole)

    def end(self) -> None:
        """Pass on the last line if it has no line end."""
        self._hand_on([self._rest] if self._rest else [])
        self._rest = b""

    def _hand_on(self, whole: list[bytes]) -> None:
        lines = [line.decode("utf-8", "replace").rstrip("\r") for line in whole]
        self._show([_STAMP.sub("", line) for line in lines] if self._strip else lines)


def source(match: Match) -> LogSource:
    """Where to read a job's output; raises Refused if it has none or docker does not answer."""
    container, path = match.container, file_of(match, LOG_FILE)
    if container and (container.state == "running" or not path):
        return LogSource(container=container.name, running=container.state == "running")
    if path:
        return LogSource(path=path)
    if match.docker_problem:
        raise no_docker(match)
    raise Refused(
        f"{match.job.describe()} has no output",
        host=match.host,
        hint=command_for(match.host, "jobs.show", match.job.id),
    )


def heading(host: str, match: Match, where: LogSource, lines: int) -> list[str]:
    """What stands above the output: the job, and which lines follow."""
    some = f"the last {lines} lines, newest last; all: --lines 0" if lines else "all lines"
    job = match.job
    return [f"{host}  {job.id}  {job.workspace} / {job.action}", f"{where.describe()}: {some}"]


def file_of(match: Match, name: str) -> str:
    """The path of a file in a job's log folder; empty if the file does not exist."""
    paths = (file.path for file in match.logs)
    return next((path for path in paths if PurePosixPath(path).name == name), "")


def read_command(where: LogSource, *, lines: int, timestamps: bool, follow: bool) -> Command:
    """Print the last lines of a job's output, 0 for all; with `follow`, exit with its code."""
    if where.path:
        return cmd("tail", "-n", lines, "--", where.path) if lines else cmd("cat", "--", where.path)
    stamps = ["--timestamps"] if timestamps else []
    if follow:
        return cmd("bash", "-c", _FOLLOW, "jobs.logs", lines, where.container, *stamps)
    last = [f"--tail={lines}"] if lines else []
    return cmd("bash", "-c", _LOGS, "jobs.logs", where.container, *stamps, *last)


def wait_command(where: LogSource) -> Command:
    """Wait until a job's container ends; the exit code is the job's."""
    return cmd("bash", "-c", _WAIT, "jobs.logs", where.container)


def end_command(where: LogSource, lines: int) -> Command:
    """Print the end of a job's output; parse it with `end_lines`."""
    script = _END_OF_CONTAINER if where.container else _END_OF_FILE
    words = (where.container or where.path, lines, END_BYTES)
    return cmd("bash", "-c", script, "jobs.show", *words).within(END_TIMEOUT_S)


def end_lines(text: str, id: str, lines: int) -> tuple[str, ...]:
    """The last lines that a job printed, without the summary that job-runner appends."""
    found = lines_of(text)
    if len(text.encode("utf-8", "replace")) >= END_BYTES:
        found = found[1:]  # a part of a line
    summary = f"job_definition_id: {id}"
    if summary in found:
        found = found[: found.index(summary)]
    while found and not found[-1].strip():
        found.pop()
    return tuple(_STAMP.sub("", line) for line in found[-lines:])


def count_command(where: LogSource) -> Command:
    """Count the lines and bytes of a job's output; parse with `parse_counts`."""
    script = _COUNT_CONTAINER if where.container else _COUNT_FILE
    return cmd("bash", "-c", script, "jobs.logs", where.container or where.path)


def show(
    host: Host,
    where: LogSource,
    take: Callable[[Sequence[str]], None],
    *,
    lines: int,
    timestamps: bool,
    follow: bool,
) -> int:
    """Pass on a job's output; returns the job's exit code, or 0 when not following."""
    command = read_command(where, lines=lines, timestamps=timestamps, follow=follow)
    taken = LogLines(take, strip=bool(where.path) and not timestamps)
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


def summarise(host: Host, match: Match, where: LogSource, *, follow: bool) -> LogSummary:
    """Count a job's output without sending it; with `follow`, once the job has ended."""
    code = None
    if follow and where.running:
        waited = host.service.stream(wait_command(where), lambda _: None)
        code = None if waited.code == NO_CODE else waited.code
        where = _after_the_end(host, match, where)
    lines, size_bytes = parse_counts(host.service.output(count_command(where)), host.name)
    return LogSummary(match.job.id, where.container, where.path, lines, size_bytes, code)


def parse_counts(text: str, host: str) -> tuple[int, int]:
    """The lines and bytes that `wc` printed; raises InvalidResponse."""
    words = text.split()
    if len(words) != 2 or not all(map(_COUNT.fullmatch, words)):
        raise InvalidResponse(f"invalid response from wc: {text[:60]!r}", host=host)
    return int(words[0]), int(words[1])


def _after_the_end(host: Host, match: Match, where: LogSource) -> LogSource:
    """Where the output is after the job has ended: job-runner moves it a moment later."""

    def ended() -> LogSource | None:
        (now,) = find_ids(host, [match.job.id])
        return None if now.job.is_active else source(now)

    moved = host.wait_until(ended, timeout_s=MOVE_TIMEOUT_S, where="the job is not affected")
    return moved or where


# -- metadata.json ---------------------------------------------------------------------------


class MetadataRequest(msgspec.Struct, frozen=True):
    """`path` is the path of a metadata.json."""

    path: str


class MetadataAnswer(msgspec.Struct, frozen=True):
    """The content of the file, secrets masked; like the file, it may have any structure.

    `exposed` are the names of variables whose values are unmasked in the file.
    """

    metadata: Any
    exposed: tuple[Line, ...]


METADATA = Program("opstasks.jobs.onhost.metadata", MetadataRequest, MetadataAnswer)


def metadata_path(match: Match) -> str:
    """Where a job's metadata.json is; raises Refused when it does not exist."""
    path = file_of(match, METADATA_FILE)
    if not path:
        raise Refused(
            f"{match.job.describe()} has no {METADATA_FILE}{' yet' if match.job.is_active else ''}",
            host=match.host,
            hint=command_for(match.host, "jobs.show", match.job.id),
        )
    return path


def read_metadata(host: Host, match: Match) -> MetadataAnswer:
    """A job's metadata.json, secrets masked on the host; raises Refused when it has none."""
    return host.service.call(METADATA, MetadataRequest(metadata_path(match)))
