"""`jobs.strace`: a container that runs strace on the processes of a job."""

from __future__ import annotations

from collections.abc import Sequence

from opstasks.core.command import cmd
from opstasks.core.errors import InvalidResponse, Refused
from opstasks.fleet.host import Host
from opstasks.fleet.inventory import HostSpec
from opstasks.jobs.model import Match
from opstasks.jobs.tools_container import image_command, refuse_without_image, run_words

# strace only needs to see the host's processes and to trace them.
RIGHTS = ("--cap-add=SYS_PTRACE", "--pid=host", "--network=none")
OPTIONS = ("-f", "-y")
_INITS = ("docker-init", "tini")


def processes(host: Host, match: Match) -> list[int]:
    """The ids of a job's processes on the host, in one round trip.

    Raises Refused when it has none, or when the host has no tools image.
    """
    listed, found = host.service.batch(
        [
            cmd("docker", "top", match.job.container_name, "-o", "pid,comm"),
            image_command(host.spec),
        ]
    )
    refuse_without_image(host, found)
    pids = parse_top(listed.out, host.name) if listed.code == 0 else []
    if not pids:
        raise Refused(
            f"{match.job.describe()} has no process to trace",
            host=host.name,
            tail=listed.tail() if listed.code else "",
            hint=f"inv -H {host.name} jobs.ls; only a job with a running container has one",
        )
    return pids


def parse_top(text: str, host: str) -> list[int]:
    """The process ids that `docker top` printed, without docker's own init.

    Raises InvalidResponse.
    """
    rows = [row for line in text.split("\n")[1:] if len(row := line.split(None, 1)) == 2]
    if not all(pid.isascii() and pid.isdigit() and len(pid) < 11 for pid, _ in rows):
        raise InvalidResponse(f"invalid response from docker top: {text[:60]!r}", host=host)
    pids = [(int(pid), name.strip()) for pid, name in rows]
    return [pid for pid, name in pids if name not in _INITS] or [pid for pid, _ in pids]


def strace_words(
    spec: HostSpec, match: Match, name: str, pids: Sequence[int], words: Sequence[str]
) -> list[str]:
    """The command line of a container that traces processes; `words` are strace's options."""
    targets = [f"--attach={pid}" for pid in pids]
    return run_words(spec, match, name, RIGHTS, ["strace", *OPTIONS, *words, *targets])
