"""`run`: one command on many hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opstasks.cli.context import Context
from opstasks.cli.task import NOT_FOR_SCREENS, Flag, task

if TYPE_CHECKING:
    from opstasks.core.command import Command
    from opstasks.core.result import FleetResult, HostResult, Result
    from opstasks.fleet.host import Host


@task(
    changes=True,
    anywhere=True,
    after_dashes="COMMAND",
    help={
        "user": Flag("The account to run as.", value="ACCOUNT", default="the service account"),
        "timeout": Flag(
            "Time limit on each host; then the command is stopped there.",
            value="DURATION",
            default="2m",
            least=1,
        ),
        "fold": Flag(
            "Show equal output once; for hosts with other output, only the lines that differ.",
            excludes=NOT_FOR_SCREENS,
        ),
    },
)
def run(ctx: Context, user: str = "", timeout: int = 120, fold: bool = False) -> None:
    """Run one command on every selected host, as opensafely.

    A single word with spaces is shell text: run -- 'docker ps | wc -l'. Output is shown as it
    comes; with several hosts, each line begins with its host, and the last line counts the hosts.

    Example: inv -H prod run -- docker ps
    """
    from opstasks.cli.here import refuse_unless_backend
    from opstasks.core.errors import Refused
    from opstasks.shell.run import make_command
    from opstasks.shell.totals import totals

    if not ctx.options.remainder:
        raise Refused("run: COMMAND is missing", hint=ctx.command_text("run -- docker ps"))
    command = make_command(ctx.options.remainder, timeout)
    if not user:
        for host in ctx.fleet.hosts:
            refuse_unless_backend(host.spec, "run", ctx.app.inventory, ctx.options.typed)
    ctx.app.run.program = str(command.args[0])
    if ctx.options.dry:
        _show_plan(ctx, command, user, timeout)
        return
    result = _Everywhere(ctx, command, user).run(fold=fold)
    if len(result.results) > 1 and not ctx.options.json:
        ctx.console.note(*totals(result))
    ctx.finish(result)


class _Everywhere:
    """One command on all hosts in parallel."""

    def __init__(self, ctx: Context, command: Command, user: str) -> None:
        from opstasks.shell.live import LiveOutput

        self._ctx, self._command = ctx, command
        self._account = {host.name: user or host.spec.service_user for host in ctx.fleet.hosts}
        self._live = LiveOutput(ctx.console, prefixed=len(ctx.fleet.hosts) > 1)
        self._judged: dict[str, HostResult[Result]] = {}

    def run(self, *, fold: bool) -> FleetResult[Result]:
        """Run it and show the output; Ctrl-C also stops it on the hosts."""
        from opstasks.core.result import FleetResult
        from opstasks.fleet.fleet import GatherInterrupted
        from opstasks.shell.run import judge

        try:
            found = self._ctx.reader.collect(
                self._run_whole if self._ctx.options.json else self._run_live,
                self._keep_back if fold else self._show,
                interrupted="interrupted; the command was stopped where it was still running",
                on_tick=(lambda: None) if fold else self._live.tick,
            )
            if self._ctx.app.stop.is_set():  # with --json, Ctrl-C is not an error but an outcome
                self._after_interrupt()
        except GatherInterrupted:
            self._after_interrupt()
            raise
        finally:
            if fold and not self._ctx.options.json:
                self._show_folded()
        return judge(found, self._command).replaced(FleetResult(list(self._judged.values())))

    def _run_live(self, host: Host) -> Result:
        from opstasks.shell.run import run

        def on_out(out: bytes, err: bytes) -> None:
            self._live.take(host.name, out, err)

        return run(host, self._account[host.name], self._command, on_out)

    def _run_whole(self, host: Host) -> Result:
        from opstasks.shell.run import run

        return run(host, self._account[host.name], self._command)

    # -- showing -----------------------------------------------------------------------------

    def _keep_back(self, batch: FleetResult[Result]) -> None:
        """Show only errors, and keep the output until all hosts are done."""
        from opstasks.core.result import FleetResult
        from opstasks.shell.run import judge

        for item in batch:
            if item.value is None:
                self._live.flush(item.host)
            else:
                self._live.drop(item.host)
        judged = list(judge(batch, self._command))
        self._judged |= {item.host: item for item in judged}
        self._ctx.console.problems(FleetResult(judged))

    def _show(self, batch: FleetResult[Result]) -> None:
        """Show each host's output; with several hosts, every line begins with its host."""
        for item in batch:
            if item.value is not None:
                self._live.end(item.host, item.value)
        self._keep_back(batch)

    def _show_folded(self) -> None:
        """Each output once; other outputs as differences from the most common one."""
        from opstasks.output.parts import bold
        from opstasks.shell import fold

        order = [host.name for host in self._ctx.fleet.hosts if host.name in self._judged]
        values = [(name, self._judged[name].value) for name in order]
        groups = fold.fold({name: (made.out, made.err) for name, made in values if made})
        usual = fold.majority(groups)
        console = self._ctx.console
        for group in groups:
            console.say(bold(f"{group.title}:"))
            is_other = usual is not None and group is not usual
            lines = fold.differences(group, usual) if usual and is_other else None
            console.lines("", group.out if lines is None else lines, prefixed=False)
            for line in group.err:
                console.error_line("", line, prefixed=False)

    # -- Ctrl-C ------------------------------------------------------------------------------

    def _after_interrupt(self) -> None:
        """Stop the command where it runs; raises Interrupted with the hosts that may still run it.

        Then what arrived in the meantime is shown.
        """
        from opstasks.core.errors import Interrupted
        from opstasks.fleet.fleet import Fleet
        from opstasks.shell.run import stop

        self._live.flush_all()
        stopped = Fleet(self._ctx.fleet.hosts).gather(
            lambda host: stop(host, self._account[host.name]),
            interrupted="interrupted at once; the command may still be running",
        )
        self._live.flush_all()
        left = [item.host for item in stopped if not item.good]
        if left:
            raise Interrupted(f"interrupted; it may still run on {', '.join(left)}") from None


def _show_plan(ctx: Context, command: Command, user: str, timeout_s: float) -> None:
    from opstasks.core.result import FleetResult, HostResult
    from opstasks.shell.run import RunPlan

    plans: FleetResult[RunPlan] = FleetResult()
    for host in ctx.fleet.hosts:
        plan = RunPlan(command.shown(), user or host.spec.service_user, timeout_s)
        ctx.console.say(f"{host.name}: as {plan.user}: {plan.command}")
        plans.results.append(HostResult(host.name, "ok", plan))
    ctx.finish(plans)
