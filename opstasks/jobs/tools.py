"""A container with tools beside a job: its volume, or strace on its processes.

The container goes away whatever happens: docker removes it when it ends, we remove it when the
terminal is done, and the framed shell, which ends with its client or after a minute of silence,
removes it last of all.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import time
from collections.abc import Iterator, Sequence

from opstasks.core.command import cmd
from opstasks.core.errors import OpsError, Refused, VerifyFailed
from opstasks.fleet import audit
from opstasks.fleet.host import Host
from opstasks.fleet.inventory import HostSpec
from opstasks.jobs.model import Match

PLACE = "/workspace"
LABEL = "opstasks=tools"
# strace needs to see the host's processes and to trace them, and nothing else.
STRACE_RIGHTS = ("--cap-add=SYS_PTRACE", "--pid=host", "--network=none")
STRACE_OPTIONS = ("-f", "-y")
REMOVAL_TRIES = 20
_INITS = ("docker-init", "tini")


def image(spec: HostSpec) -> str:
    """The image with the tools."""
    return f"{spec.registry}/tools"


def new_name() -> str:
    """A name for a container of ours; letters, digits and dashes only."""
    return f"opstasks-tools-{secrets.token_hex(6)}"


def volume_option(match: Match, *, read_only: bool) -> str:
    """What `docker run --mount` gets for a job's volume; raises Refused when it has none."""
    if not match.volume:
        raise Refused(
            f"{match.job.id} ({match.job.state}, {match.job.status_code}) has no volume",
            host=match.host,
            hint="only jobs that run, or that were left for debugging, have one",
        )
    kind, where = match.volume
    if re.search(r'[,"\n]', where):
        raise Refused(f"the volume {where!r} has a name that docker cannot take", host=match.host)
    return f"type={kind},source={where},target={PLACE}{',readonly' if read_only else ''}"


def mount_words(
    spec: HostSpec, match: Match, name: str, words: Sequence[str], *, read_only: bool
) -> list[str]:
    """The command line of a container with a job's volume, running `words`."""
    volume = volume_option(match, read_only=read_only)
    options = [*spec.tools_run_args, f"--mount={volume}", f"--workdir={PLACE}"]
    return _run(spec, match, name, options, words)


def strace_words(
    spec: HostSpec, match: Match, name: str, pids: Sequence[int], words: Sequence[str]
) -> list[str]:
    """The command line of a container that traces processes; `words` are strace's options."""
    targets = [f"--attach={pid}" for pid in pids]
    return _run(spec, match, name, STRACE_RIGHTS, ["strace", *STRACE_OPTIONS, *words, *targets])


def _run(
    spec: HostSpec, match: Match, name: str, options: Sequence[str], words: Sequence[str]
) -> list[str]:
    first, *rest = words
    ours = ["--rm", "--interactive", "--tty", "--pull=never", f"--name={name}"]
    labels = [f"--label={LABEL}", f"--label=job={match.job.id}"]
    return ["docker", "run", *ours, *labels, *options, f"--entrypoint={first}", image(spec), *rest]


def processes(host: Host, match: Match) -> list[int]:
    """A job's processes as the host numbers them; raises Refused when it has none."""
    listed, there = host.service.batch(
        [
            cmd("docker", "top", match.job.container_name, "-o", "pid,comm"),
            cmd("docker", "image", "inspect", "--format=ok", image(host.spec)),
        ]
    )
    _check_image(host, there.code)
    pids = parse_top(listed.out) if listed.code == 0 else []
    if not pids:
        raise Refused(
            f"{match.job.id} ({match.job.state}, {match.job.status_code}) has no process to trace",
            host=host.name,
            hint="only a job whose container runs has; jobs.ls shows those",
        )
    return pids


def parse_top(text: str) -> list[int]:
    """The process ids that `docker top` printed, without docker's own init."""
    rows = [line.split(None, 1) for line in text.splitlines()[1:]]
    all_of_them = [(int(row[0]), row[1].strip()) for row in rows if len(row) == 2]
    return [pid for pid, name in all_of_them if name not in _INITS] or [p for p, _ in all_of_them]


def check_image(host: Host) -> None:
    """Raise Refused when the host lacks the image with the tools."""
    (there,) = host.service.batch(
        [cmd("docker", "image", "inspect", "--format=ok", image(host.spec))]
    )
    _check_image(host, there.code)


def _check_image(host: Host, code: int) -> None:
    if code:
        raise Refused(
            f"there is no image {image(host.spec)}",
            host=host.name,
            hint=f"inv -H {host.name} images.update tools",
        )


@contextlib.contextmanager
def container(host: Host, match: Match, task: str) -> Iterator[str]:
    """A name for a container that is gone afterwards; raises VerifyFailed when it is not.

    Who looks into a job is recorded. No lock is taken: looking may last, and changes nothing.
    """
    name = new_name()
    entry = audit.start(host.name, task, {"job": match.job.id, "container": name})
    shell = host.service.session
    shell.evaluate(f"trap 'docker rm --force {name} >/dev/null 2>&1' EXIT")
    _record(host, entry)
    try:
        yield name
    finally:
        _record(host, audit.end(entry, "ok"))
        _remove(host, name)


def _record(host: Host, entry: audit.AuditEntry) -> None:
    audit.write_local(entry)
    with contextlib.suppress(OpsError):
        host.service.session.evaluate(audit.journal_text(entry))


def _remove(host: Host, name: str) -> None:
    """Remove a container of ours and see that it is gone."""
    still = cmd("docker", "ps", "--all", "--quiet", f"--filter=name=^{name}$")
    try:
        for _ in range(REMOVAL_TRIES):
            # docker may be at it already, and then says no to us before it is done.
            _, seen = host.service.batch([cmd("docker", "rm", "--force", name), still])
            if not seen.text:
                break
            time.sleep(0.5)
    except OpsError as error:
        error.hint = f"the host removes {name} by itself within a minute"
        raise
    if seen.code or seen.text:
        raise VerifyFailed(
            f"the container {name} is still there",
            host=host.name,
            tail=seen.tail(),
            hint=f"inv -H {host.name} run -- docker rm --force {name}",
        )
    host.service.session.evaluate("trap - EXIT")
