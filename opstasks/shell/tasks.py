"""`shell`: a login shell as opensafely (playbook: "opensafely user")."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from opstasks.cli.context import Context
from opstasks.cli.task import Flag, task


@task(
    changes=True,
    help={"user": Flag("The account.", value="ACCOUNT", default="the service account")},
)
def shell(ctx: Context, user: str = "") -> None:
    """Open a login shell as opensafely on one host, with job-runner's environment.

    ~. at the start of a line closes the connection. The exit code is 0 when the shell ends,
    whatever its last command was.

    Example: inv -H tpp shell
    """
    from opstasks.core.errors import Refused
    from opstasks.core.result import FleetResult, HostResult
    from opstasks.fleet import terminal
    from opstasks.shell.shell import LOGIN, ShellPlan, recorded

    if len(ctx.fleet.hosts) != 1:
        raise Refused("a shell needs exactly one host", hint="inv -H HOST shell")
    (host,) = ctx.fleet.hosts
    account = user or host.spec.service_user
    if ctx.options.dry:
        ctx.console.say(f"{host.name}: a login shell as {account}")
        ctx.finish(FleetResult([HostResult(host.name, "ok", ShellPlan(account))]))
        return
    if ctx.options.json:
        raise Refused("shell: there is no JSON document of a shell", hint="leave --json out")
    terminal.need("a shell", "use `run -- COMMAND` in scripts")
    with contextlib.ExitStack() as stack:
        with _awaited(ctx, host.name):
            stack.enter_context(recorded(host, account))
        with ctx.console.held():
            terminal.interact(host, LOGIN, account)


@contextlib.contextmanager
def _awaited(ctx: Context, host: str) -> Iterator[None]:
    """While inside, show that the host is awaited."""
    from opstasks.core import events

    ctx.console.observe(events.HostsAwaited((host,), (host,)))
    try:
        yield
    finally:
        ctx.console.observe(events.HostsAwaited((host,), ()))
