"""`run`: one command on many hosts."""

from __future__ import annotations

import sys

from invoke import task

from opstasks.app import Context


@task(
    help={"user": "The account to run as (default: the service account, opensafely)."},
    auto_shortflags=False,
)
def run(ctx: Context, user: str = "") -> None:
    """Run one command on every selected host, as opensafely.

    Example: inv -H prod run -- docker ps
    """
    from opstasks.command import cmd
    from opstasks.errors import Refused

    words = ctx.options.remainder
    if not words:
        raise Refused("no command given", cure="inv -H tpp run -- docker ps")
    command = cmd(*words)
    result = ctx.fleet.gather(lambda host: host.shell(user or host.spec.service_user).run(command))
    prefixed = len(ctx.fleet.hosts) > 1
    for host, value in result.values.items():
        for line in value.out.splitlines():
            ctx.console.line(host, line, prefixed=prefixed)
        sys.stderr.write(value.err)
    ctx.finish(result)
