"""`sandbox.*`: real hosts on this machine, to try out opstasks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from invoke import Collection

from opstasks.cli.context import Context
from opstasks.cli.task import ABOUT_HOSTS, Flag, task
from opstasks.core.formats import plural
from opstasks.core.hints import typed

if TYPE_CHECKING:
    from types import ModuleType

# -H chooses where to submit and publish; these tasks use docker, not SSH.
BESIDES_HOSTS = tuple(name for name in ABOUT_HOSTS if name not in ("hosts", "inventory"))
DEFAULT_HOST = "sandbox-1"
# The actions of the study that the hosts have.
ACTIONS = ("quick", "long", "longer", "fail", "outputs", "after_quick", "extract", "no_image")


@dataclass(frozen=True)
class SandboxReport:
    """A host of the sandbox, and whether it runs."""

    address: str
    up: bool


@dataclass(frozen=True)
class SubmittedJobs:
    """The ids of the jobs that were submitted to a host."""

    jobs: tuple[str, ...]


@dataclass(frozen=True)
class PublishedRelease:
    """The release that `main` is on a host."""

    release: str


@contextmanager
def sandbox() -> Iterator[ModuleType]:
    """The sandbox package, imported only when used; its errors become one message."""
    from opstasks.core.errors import OpsError
    from opstasks.sandbox import api
    from opstasks.sandbox.errors import SandboxError

    try:
        yield api
    except SandboxError as error:
        raise OpsError(error.problem, hint=error.hint) from error


def only_said(ctx: Context, what: str) -> bool:
    """With --dry, say what would be done; returns whether it is a dry run."""
    if ctx.options.dry:
        ctx.console.note(f"would {what}")
        finish(ctx, {})
    return ctx.options.dry


def finish(ctx: Context, found: Mapping[str, object]) -> None:
    """Show the values of hosts with --json."""
    from opstasks.core.result import FleetResult, HostResult

    ctx.finish(FleetResult([HostResult(host, "ok", value) for host, value in found.items()]))


def chosen(ctx: Context) -> list[str]:
    """The hosts that -H names; none without it."""
    return [host.name for host in ctx.fleet.hosts] if ctx.options.hosts else []


def _check(what: str, word: str, words: tuple[str, ...]) -> None:
    """Raise Refused for a word that is not one of `words`, before anything is done."""
    from opstasks.cli.values import Choice
    from opstasks.core.errors import Refused

    try:
        Choice(words).parsed(what, word)
    except Refused as error:
        error.hint = f"inv --help {what.partition(':')[0]}"
        raise


@task(
    changes=True,
    ignores=ABOUT_HOSTS,
    help={"hosts": Flag("How many hosts should be up.", value="N", least=1)},
)
def up(ctx: Context, hosts: int = 2) -> None:
    """Start real hosts here: systemd, sshd, sudo, Docker. The first time takes some minutes.

    Example: inv sandbox.up --hosts 2
    """
    if only_said(ctx, f"start up to {plural(hosts, 'host')}"):
        return
    with sandbox() as box:
        found = box.up(hosts, ctx.console.note)
    finish(ctx, {host.name: SandboxReport(host.address, host.running) for host in found})
    for host in found:
        ctx.console.say(f"{host.name}  {host.address}  up")


@task(
    changes=True,
    ignores=(*ABOUT_HOSTS, "json"),
    help={"images": "Remove the images too, which all sandboxes of this machine share."},
)
def down(ctx: Context, images: bool = False) -> None:
    """Remove the hosts and everything that belongs to them.

    Example: inv sandbox.down --images
    """
    if only_said(ctx, f"remove the hosts{' and the images' if images else ''}"):
        return
    with sandbox() as box:
        names = [host.name for host in box.status()]
        box.down(images, ctx.console.note)
    removed = f"{', '.join(names)} removed" if names else "no host was up, nothing is left"
    ctx.console.say(f"{removed}. Again: inv sandbox.up")


@task(changes=False, ignores=ABOUT_HOSTS)
def status(ctx: Context) -> None:
    """List the hosts, and whether they run.

    Example: inv sandbox.status
    """
    with sandbox() as box:
        hosts = box.status()
    finish(ctx, {host.name: SandboxReport(host.address, host.running) for host in hosts})
    for host in hosts:
        ctx.console.say(f"{host.name}  {host.address}  {'up' if host.running else 'off'}")
    if not hosts:
        ctx.console.say(typed("no host is up: inv sandbox.up"))


@task(
    changes=True,
    ids=True,
    ignores=BESIDES_HOSTS,
    anywhere=True,
    help={
        "action": Flag(
            "quick, long, longer, fail, outputs, after_quick, extract or no_image.", value="ACTION"
        ),
        "workspace": "The workspace that outputs go to.",
    },
)
def submit(ctx: Context, action: str = "quick", workspace: str = "test") -> None:
    """Submit a real job to the job-runner of a host of the sandbox, and print its id.

    Without -H, the host is sandbox-1.

    Example: inv -H sandbox-2 sandbox.submit --action long
    """
    from opstasks.core.errors import Refused

    _check("sandbox.submit: --action", action, ACTIONS)
    hosts = chosen(ctx) or [DEFAULT_HOST]
    if len(hosts) > 1:
        raise Refused(
            f"sandbox.submit: -H must name one host, not {len(hosts)}",
            hint=f"inv -H {hosts[0]} sandbox.submit",
        )
    if only_said(ctx, f"submit {action} to {hosts[0]} for the workspace {workspace}"):
        return
    with sandbox() as box:
        jobs = box.submit(hosts[0], action, workspace)
    finish(ctx, {hosts[0]: SubmittedJobs(tuple(jobs))})
    ctx.console.ids(jobs)
    for job in jobs:
        ctx.console.say(job)


@task(
    changes=True,
    ignores=BESIDES_HOSTS,
    anywhere=True,
    help={
        "release": "v2.71.0, v2.73.0, broken-import, broken-migration, broken-crash or diverged.",
    },
)
def publish(ctx: Context, release: str) -> None:
    """Move `main` of job-runner to a release, as a merge upstream does.

    Without -H, on all hosts of the sandbox.

    Example: inv sandbox.publish v2.73.0
    """
    from opstasks.sandbox.releases import RELEASES

    _check("sandbox.publish: RELEASE", release, RELEASES)
    hosts = chosen(ctx)
    if only_said(ctx, f"move main to {release} on {', '.join(hosts) or 'all hosts'}"):
        return
    with sandbox() as box:
        found = box.publish(release, hosts)
    finish(ctx, {name: PublishedRelease(release) for name in found})
    for name in found:
        ctx.console.say(f"{name}  main is {release}")


@task(changes=False, ignores=(*ABOUT_HOSTS, "json"))
def ssh_config(ctx: Context) -> None:
    """Print a configuration with which plain ssh reaches the hosts.

    Example: inv sandbox.ssh-config > /tmp/sandbox; ssh -F /tmp/sandbox sandbox-1
    """
    with sandbox() as box:
        ctx.console.lines("", box.ssh_config().splitlines(), prefixed=False)


@task(
    changes=True,
    ignores=(*ABOUT_HOSTS, "json"),
    help={
        "hosts": Flag("How many, at most 250.", value="N", least=1),
        "down": Flag("Stop the hosts instead.", excludes=("hosts",)),
    },
)
def many(ctx: Context, hosts: int = 250, down: bool = False) -> None:
    """Serve many cheap hosts that only allow logins: many-1, many-2, ... in the group many.

    Example: inv sandbox.many --hosts 100
    """
    if only_said(ctx, "stop the cheap hosts" if down else f"serve {plural(hosts, 'cheap host')}"):
        return
    from opstasks.sandbox.many import many_down, many_up

    with sandbox():
        if down:
            many_down()
            ctx.console.say("cheap hosts stopped. Again: inv sandbox.many")
            return
        served = many_up(hosts, ctx.console.note)
        ctx.console.say(f"{served[0].name} to {served[-1].name}  port {served[0].port}  up")


namespace = Collection("sandbox", up, down, status, submit, publish, ssh_config, many)
