"""`shell`: a login shell as opensafely (playbook: "opensafely user")."""

from __future__ import annotations

import os
import shlex
import sys
from typing import Any

from invoke import task
from invoke.exceptions import Exit

from opstasks.app import Context


@task(help={"user": "The account (default: the service account)."}, auto_shortflags=False)
def shell(ctx: Context, user: str = "") -> None:
    """Open a login shell as opensafely on one host, with job-runner's environment.

    Example: inv -H tpp shell
    """
    from opstasks.errors import Refused
    from opstasks.transport import SSHTransport

    if len(ctx.fleet.hosts) != 1:
        raise Refused("a shell needs exactly one host", cure="inv -H tpp shell")
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise Refused("a shell needs a terminal", cure="use `run -- COMMAND` in scripts")
    (host,) = ctx.fleet.hosts
    words = ["sudo", "-iu", user or host.spec.service_user]
    if host.spec.local:
        os.execvp(words[0], words)  # noqa: S606 (the shell takes this program's place)
    transport: Any = host.transport
    assert isinstance(transport, SSHTransport)
    done = transport.connection.run(shlex.join(words), pty=True, warn=True)
    if done.exited:
        raise Exit(code=done.exited)
