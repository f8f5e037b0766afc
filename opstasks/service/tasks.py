"""`service`: start and stop job-runner (playbook: "Starting/stopping the service")."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from invoke import Collection, task

from opstasks.cli.app import Context

if TYPE_CHECKING:
    from opstasks.fleet.host import Host
    from opstasks.service.act import Outcome

WATCH_HELP = "How long the started service must stay up, in seconds."


@task(help={"watch": WATCH_HELP}, auto_shortflags=False)
def start(ctx: Context, watch: int = 5) -> None:
    """Start job-runner and see that it stays up; refused while a release is unfinished.

    Example: inv -H tpp service.start
    """
    from opstasks.service import act as service

    _see_that_it_is_watched(watch)
    _roll(ctx, "start", lambda host: service.start(host, watch))


@task(auto_shortflags=False)
def stop(ctx: Context) -> None:
    """Stop job-runner; jobs that are running go on, nothing new begins.

    Example: inv -H tpp service.stop --yes
    """
    from opstasks.service import act as service

    _roll(ctx, "stop", service.stop)


@task(help={"watch": WATCH_HELP}, auto_shortflags=False)
def restart(ctx: Context, watch: int = 5) -> None:
    """Stop and start job-runner and see that it stays up; jobs that are running go on.

    Refused while a release is unfinished.

    Example: inv -H tpp service.restart --yes
    """
    from opstasks.service import act as service

    _see_that_it_is_watched(watch)
    _roll(ctx, "restart", lambda host: service.restart(host, watch))


def _see_that_it_is_watched(watch: int) -> None:
    """A service that nobody watches counts as up whatever becomes of it."""
    from opstasks.core.errors import Refused

    if watch < 1:
        raise Refused(f"nothing can be watched for {watch} s", hint="--watch 5, or leave it out")


def _roll(ctx: Context, verb: str, work: Callable[[Host], Outcome]) -> None:
    """Look, ask, do, one host after another."""
    from opstasks.service import act as service

    found = ctx.fleet.gather(service.look)
    if found.exit_code and not ctx.options.keep_going:
        ctx.finish(found)
    for host, before in found.values.items():
        ctx.console.say(
            f"{host}: {verb} {before.unit.name}, now {before.unit.describe()};"
            f" {before.running_jobs} job(s) running, they go on"
        )
    if ctx.options.dry:
        ctx.finish(found)
        return
    if verb != "start":
        ctx.confirm(f"{verb.capitalize()} job-runner on {', '.join(found.values)}?")
    ctx.finish(
        ctx.fleet.roll(work),
        lambda out: {"before": out.before, "after": out.after, "changed": out.changed},
    )


namespace = Collection("service", start, stop, restart)
