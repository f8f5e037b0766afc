"""`jobs.mount`, `jobs.strace`: a look into a running job (playbook: "Mount the volume ...")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke import task
from invoke.exceptions import Exit

from opstasks.cli.app import Context
from opstasks.jobs import finding

if TYPE_CHECKING:
    from collections.abc import Callable

    from opstasks.fleet.host import Host
    from opstasks.jobs.model import Match


@task(
    help={"job": finding.JOB_HELP, "read-only": "Mount the volume so that nothing can change it."},
    auto_shortflags=False,
)
def mount(ctx: Context, job: str = "", read_only: bool = False) -> None:
    """Open a shell in a tools container with the job's volume at /workspace; gone afterwards.

    Words after -- are run in it instead of a shell.

    Example: inv -H all jobs.mount abc123
    """
    from opstasks.jobs import tools as jobs_tools

    _need_terminal("jobs.mount")
    host, match = finding.one(ctx, job, contained=True)
    jobs_tools.volume_option(match, read_only=read_only)
    jobs_tools.check_image(host)
    words = ctx.options.remainder or ("bash",)
    _interact(
        ctx,
        host,
        match,
        "jobs.mount",
        lambda name: jobs_tools.mount_words(host.spec, match, name, words, read_only=read_only),
    )


@task(help={"job": finding.JOB_HELP}, auto_shortflags=False)
def strace(ctx: Context, job: str = "") -> None:
    """Trace the system calls of all processes of a running job, until Ctrl-C.

    Words after -- are further options of strace.

    Example: inv -H all jobs.strace abc123 -- -e trace=%file
    """
    from opstasks.jobs import tools as jobs_tools

    _need_terminal("jobs.strace")
    host, match = finding.one(ctx, job, contained=True)
    pids = jobs_tools.processes(host, match)
    ctx.console.note(f"{match.job.slug}: process {', '.join(map(str, pids))}")
    words = ctx.options.remainder
    _interact(
        ctx,
        host,
        match,
        "jobs.strace",
        lambda name: jobs_tools.strace_words(host.spec, match, name, pids, words),
    )


def _need_terminal(name: str) -> None:
    """What a job holds goes to a terminal only, and both tasks are for a person to type in."""
    from opstasks.fleet import terminal

    terminal.need(name, "run it in a terminal: what a job holds does not go into pipes")


def _interact(
    ctx: Context, host: Host, match: Match, task: str, words: Callable[[str], list[str]]
) -> None:
    """Run the container on the operator's terminal; its exit code is ours."""
    import shlex

    from opstasks.fleet import terminal
    from opstasks.jobs import tools as jobs_tools

    where = " ".join(match.volume)
    ctx.console.note(f"{host.name}  {match.job.id}  {match.job.slug}  {where}")
    if ctx.options.dry:
        ctx.console.say(shlex.join(words(jobs_tools.new_name())))
        return
    with jobs_tools.container(host, match, task) as name:
        code = terminal.interact(host, words(name), host.spec.service_user)
    if code:
        raise Exit(code=code)
