"""`jobs.mount`, `jobs.strace`: inspect a running job (playbook: "Mount the volume ...")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.exceptions import Exit

from opstasks.cli.app import Context
from opstasks.cli.task import task
from opstasks.jobs.job_argument import JOB_HELP

if TYPE_CHECKING:
    from collections.abc import Callable

    from opstasks.fleet.host import Host
    from opstasks.jobs.model import Match


@task(
    changes=True,
    variadic="job",
    after_dashes="[COMMAND]",
    ignores=["json"],
    help={"job": JOB_HELP, "read-only": "Mount the volume read-only."},
)
def mount(ctx: Context, job: str = "", read_only: bool = False) -> None:
    """Open a shell in a temporary tools container with the job's volume at /workspace.

    Words after -- are a command to run instead of a shell.

    Example: inv -H all jobs.mount abc123
    """
    from opstasks.jobs.choose import find_one
    from opstasks.jobs.mount import check, mount_words

    _need_terminal("jobs.mount")
    host, match = find_one(ctx, job, contained=True)
    check(host, match, read_only=read_only)
    words = ctx.options.remainder or ("bash",)

    def run(name: str) -> list[str]:
        return mount_words(host.spec, match, name, words, read_only=read_only)

    _interact(ctx, host, match, "jobs.mount", run)


@task(
    changes=True,
    variadic="job",
    after_dashes="[OPTIONS]",
    ignores=["json"],
    help={"job": JOB_HELP},
)
def strace(ctx: Context, job: str = "") -> None:
    """Trace the system calls of all processes of a running job, until Ctrl-C.

    Words after -- are more options for strace.

    Example: inv -H all jobs.strace abc123 -- -e trace=%file
    """
    from opstasks.jobs.choose import find_one
    from opstasks.jobs.strace import processes, strace_words

    _need_terminal("jobs.strace")
    host, match = find_one(ctx, job, contained=True)
    pids = processes(host, match)
    ctx.console.note(f"tracing process {', '.join(map(str, pids))}; Ctrl-C ends it")

    def run(name: str) -> list[str]:
        return strace_words(host.spec, match, name, pids, ctx.options.remainder)

    _interact(ctx, host, match, "jobs.strace", run)


def _need_terminal(name: str) -> None:
    """A job's data goes only to a terminal, and both tasks need a person who types."""
    from opstasks.fleet import terminal

    terminal.need(name, "run it in a terminal: a job's data does not go into pipes")


def _interact(
    ctx: Context, host: Host, match: Match, task: str, words: Callable[[str], list[str]]
) -> None:
    """Run the container on the operator's terminal; its exit code becomes ours."""
    import shlex

    from opstasks.fleet import terminal
    from opstasks.jobs.tools_container import new_name, tools_container

    where = " ".join(match.volume or ())
    job = match.job
    ctx.console.note(f"{host.name}  {job.id}  {job.workspace} / {job.action}  {where}".rstrip())
    if ctx.options.dry:
        ctx.console.say(shlex.join(words(new_name())))
        return
    with tools_container(host, match, task) as name:
        code = terminal.interact(host, words(name), host.spec.service_user)
    if code:
        raise Exit(code=code)
