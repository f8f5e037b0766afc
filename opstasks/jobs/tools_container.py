"""A container with tools for `jobs.mount` and `jobs.strace`; it is always removed.

docker removes it when it ends, and we remove it when the terminal ends. If both fail, the framed
shell removes it: that shell ends with its client, or after a minute of silence.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator, Sequence

from opstasks.core.command import Command, cmd
from opstasks.core.errors import OpsError, Refused, VerifyFailed
from opstasks.core.hints import one_word
from opstasks.core.result import Result
from opstasks.fleet import audit
from opstasks.fleet.host import Host
from opstasks.fleet.inventory import HostSpec
from opstasks.jobs.model import Match

LABEL = "opstasks=tools"
REMOVAL_TIMEOUT_S = 10.0
REMOVAL_POLL_S = 0.5


def image(spec: HostSpec) -> str:
    """The tools image."""
    return f"{spec.registry}/tools"


def new_name() -> str:
    """A name for a new container: letters, digits and dashes only."""
    return f"opstasks-tools-{secrets.token_hex(6)}"


def run_words(
    spec: HostSpec, match: Match, name: str, options: Sequence[str], words: Sequence[str]
) -> list[str]:
    """The command line of a container `name` that runs `words` on a terminal."""
    first, *rest = words
    ours = ["--rm", "--interactive", "--tty", "--pull=never", f"--name={name}"]
    labels = [f"--label={LABEL}", f"--label=job={match.job.id}"]
    return ["docker", "run", *ours, *labels, *options, f"--entrypoint={first}", image(spec), *rest]


def image_command(spec: HostSpec) -> Command:
    """Check for the tools image; pass the result to `refuse_without_image`."""
    return cmd("docker", "image", "inspect", "--format=ok", image(spec))


def refuse_without_image(host: Host, result: Result) -> None:
    """Raise Refused when the host lacks the tools image."""
    if result.code:
        raise Refused(
            f"there is no image {image(host.spec)}",
            host=host.name,
            tail=result.tail(),
            hint=f"inv -H {host.name} images.update tools",
        )


@contextlib.contextmanager
def tools_container(host: Host, match: Match, task: str) -> Iterator[str]:
    """The name of a container that is removed at the end; raises VerifyFailed if that fails.

    The audit records who opens one. No lock is taken: it may run long and changes nothing.
    """
    name = new_name()
    entry = audit.start(host.name, task, {"job": match.job.id, "container": name})
    host.service.session.evaluate(f"trap 'docker rm --force {name} >/dev/null 2>&1' EXIT")
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
    """Remove the container and check that it is gone."""
    still = cmd("docker", "ps", "--all", "--quiet", f"--filter=name=^{name}$")
    seen: list[Result] = []

    def gone() -> bool | None:
        # docker may be removing it already, and refuses our request until it has finished.
        seen[:] = host.service.batch([cmd("docker", "rm", "--force", name), still])
        return None if seen[1].text else True

    own = f"the host removes {name} by itself within a minute"
    try:
        host.wait_until(gone, timeout_s=REMOVAL_TIMEOUT_S, where=own, every_s=REMOVAL_POLL_S)
    except OpsError as error:
        error.hint = own
        raise
    listed = seen[1]
    if listed.code or listed.text:
        raise VerifyFailed(
            f"the container {name} is still there",
            host=host.name,
            tail=listed.tail(),
            hint=f"inv -H {host.name} run -- docker rm --force {one_word(name)}",
        )
    host.service.session.evaluate("trap - EXIT")
