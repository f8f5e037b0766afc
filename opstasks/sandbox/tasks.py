"""`sandbox.*`: real hosts on this machine, to try out opstasks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from invoke import Collection, Exit, task

if TYPE_CHECKING:
    from types import ModuleType


@contextmanager
def sandbox() -> Iterator[ModuleType]:
    """The sandbox package, imported only when used; its errors are printed as one line."""
    from opstasks.sandbox import api
    from opstasks.sandbox.errors import SandboxError

    try:
        yield api
    except SandboxError as error:
        raise Exit(str(error), 1) from error


def only_said(ctx: Any, what: str) -> bool:
    """With --dry, say what would be done; returns whether it is a dry run."""
    if ctx.options.dry:
        ctx.console.note(f"would {what}")
    return bool(ctx.options.dry)


@task(help={"hosts": "How many hosts should be up."}, auto_shortflags=False)
def up(ctx: Any, hosts: int = 2) -> None:
    """Start real hosts here: systemd, sshd, sudo, Docker. The first time takes some minutes.

    Example: inv sandbox.up --hosts 2
    """
    if only_said(ctx, f"start up to {hosts} host(s)"):
        return
    with sandbox() as box:
        for host in box.up(hosts, print):
            print(f"{host.name}  {host.address}  up")


@task(
    help={"images": "Remove the images too, which all sandboxes of this machine share."},
    auto_shortflags=False,
)
def down(ctx: Any, images: bool = False) -> None:
    """Remove the hosts and everything that belongs to them.

    Example: inv sandbox.down --images
    """
    if only_said(ctx, f"remove the hosts{' and the images' if images else ''}"):
        return
    with sandbox() as box:
        box.down(images, print)


@task(auto_shortflags=False)
def status(ctx: Any) -> None:
    """List the hosts, and whether they run.

    Example: inv sandbox.status
    """
    with sandbox() as box:
        hosts = box.status()
    for host in hosts:
        print(f"{host.name}  {host.address}  {'up' if host.running else 'off'}")
    if not hosts:
        print("no host is up")


@task(
    positional=[],
    help={
        "host": "A host of the sandbox that manage has set up.",
        "action": "quick, long, longer, fail, outputs, after_quick, extract or no_image.",
        "workspace": "The workspace that outputs go to.",
    },
    auto_shortflags=False,
)
def submit(
    ctx: Any, host: str = "sandbox-1", action: str = "quick", workspace: str = "test"
) -> None:
    """Submit a real job to the job-runner of a host, and print its id.

    Example: inv sandbox.submit --action long
    """
    if only_said(ctx, f"submit {action} to {host} for the workspace {workspace}"):
        return
    with sandbox() as box:
        for job in box.submit(host, action, workspace):
            print(job)


@task(
    positional=["release"],
    help={
        "release": "v2.71.0, v2.73.0, broken-import, broken-migration, broken-crash or diverged.",
        "host": "A host to publish on (may be given several times; default: all of the sandbox).",
    },
    iterable=["host"],
    auto_shortflags=False,
)
def publish(ctx: Any, release: str, host: list[str]) -> None:
    """Move `main` of job-runner to a release, as a merge upstream does.

    Example: inv sandbox.publish v2.73.0
    """
    if only_said(ctx, f"move main to {release} on {', '.join(host) or 'all hosts'}"):
        return
    with sandbox() as box:
        for name in box.publish(release, host):
            print(f"{name}  main is {release}")


@task(auto_shortflags=False)
def ssh_config(ctx: Any) -> None:
    """Print a configuration with which plain ssh reaches the hosts.

    Example: inv sandbox.ssh-config > /tmp/sandbox; ssh -F /tmp/sandbox sandbox-1
    """
    with sandbox() as box:
        print(box.ssh_config(), end="")


@task(
    help={
        "hosts": "How many, at most 250.",
        "down": "Stop the hosts instead.",
    },
    auto_shortflags=False,
)
def many(ctx: Any, hosts: int = 250, down: bool = False) -> None:
    """Serve many cheap hosts that only allow logins: many-1, many-2, ... in the group many.

    Example: inv sandbox.many --hosts 100
    """
    if only_said(ctx, "stop the cheap hosts" if down else f"serve {hosts} cheap host(s)"):
        return
    from opstasks.sandbox.many import many_down, many_up

    with sandbox():
        if down:
            many_down()
            return
        served = many_up(hosts, print)
        print(f"{served[0].name} to {served[-1].name}  port {served[0].port}  up")


namespace = Collection("sandbox", up, down, status, submit, publish, ssh_config, many)
