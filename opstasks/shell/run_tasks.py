"""`run`: one command on many hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke import task

from opstasks.cli.app import Context

if TYPE_CHECKING:
    from opstasks.core.command import Command
    from opstasks.core.result import FleetResult, HostResult, Result


@task(
    help={
        "user": "The account to run as (default: the service account, opensafely).",
        "timeout": "Time limit on each host in seconds; then the command is stopped there.",
    },
    auto_shortflags=False,
)
def run(ctx: Context, user: str = "", timeout: int = 120) -> None:
    """Run one command on every selected host, as opensafely.

    A single word with spaces is shell text: run -- 'docker ps | wc -l'.

    Example: inv -H prod run -- docker ps
    """
    from opstasks.shell.run import judge, make_command

    command = make_command(ctx.options.remainder, timeout)
    if ctx.options.dry:
        _show_plan(ctx, command, user)
        return
    found = _run_everywhere(ctx, command, user)
    if not ctx.options.json:
        _show_output(ctx, found)
    ctx.finish(judge(found, command))


def _run_everywhere(ctx: Context, command: Command, user: str) -> FleetResult[Result]:
    """Run it on all hosts in parallel; Ctrl-C also stops it on the hosts."""
    from opstasks.core.errors import Interrupted
    from opstasks.fleet.fleet import Fleet
    from opstasks.shell.run import run, stop

    account = {host.name: user or host.spec.service_user for host in ctx.fleet.hosts}
    try:
        return ctx.fleet.gather(
            lambda host: run(host, account[host.name], command),
            interrupted="interrupted; the command was stopped where it was still running",
        )
    except Interrupted:
        stopped = Fleet(ctx.fleet.hosts).gather(
            lambda host: stop(host, account[host.name]),
            interrupted="interrupted at once; the command may still be running",
        )
        left = [item.host for item in stopped if not item.good]
        if left:
            raise Interrupted(f"interrupted; it may still run on {', '.join(left)}") from None
        raise


def _show_plan(ctx: Context, command: Command, user: str) -> None:
    from opstasks.core.result import FleetResult, HostResult

    plans: list[HostResult[str]] = [
        HostResult(host.name, "ok", f"as {user or host.spec.service_user}: {command.line()}")
        for host in ctx.fleet.hosts
    ]
    for plan in plans:
        ctx.console.say(f"{plan.host}: {plan.value}")
    ctx.finish(FleetResult(plans))


def _show_output(ctx: Context, found: FleetResult[Result]) -> None:
    """Show each host's output; with several hosts, every line begins with its host."""
    prefixed = len(ctx.fleet.hosts) > 1
    answered: list[HostResult[Result]] = [item for item in found if item.value is not None]
    for item in answered:
        assert item.value is not None
        for line in item.value.out.splitlines():
            ctx.console.line(item.host, line, prefixed=prefixed)
        for line in item.value.err.splitlines():
            ctx.console.error_line(item.host, line, prefixed=prefixed)
