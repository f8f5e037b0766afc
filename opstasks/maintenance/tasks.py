"""`prepare-reboot` and `after-reboot` (playbook: "Start up and Shutdown")."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from opstasks.cli.context import Context
from opstasks.cli.task import SPAN, Flag, task

if TYPE_CHECKING:
    from opstasks.core.result import FleetResult, HostResult
    from opstasks.fleet.host import Host
    from opstasks.maintenance.checklist import Checklist
    from opstasks.maintenance.prepare import PrepareResult, RebootPlan, RebootRequest


@task(
    changes=True,
    help={
        "delay": Flag("Prepare after this long.", value=SPAN, default="now"),
        "at": Flag(
            "Prepare at this time, in the host's time zone: 22:00 or '2026-12-01 22:00'.",
            value="WHEN",
            default="now",
            excludes=("delay",),
        ),
        "drain": Flag(
            "Let running jobs end for up to this long, then requeue the rest.",
            value=SPAN,
            default="requeue all",
        ),
        "reboot": "Reboot the host as well, and check it afterwards.",
        "reason": "Why; shown to everyone who finds it prepared.",
        "keep-paused": "Stay paused after the boot, until after-reboot or unpause.",
        "replace": "Replace a preparation that is scheduled already; the plan says whose.",
        "boot-wait": Flag("How long the boot may take.", value=SPAN, needs="reboot"),
    },
)
def prepare_reboot(
    ctx: Context,
    delay: str = "",
    at: str = "",
    drain: str = "",
    reboot: bool = False,
    reason: str = "",
    keep_paused: bool = False,
    replace: bool = False,
    boot_wait: str = "10m",
) -> None:
    """Make a host ready for a reboot: no new jobs, service down, jobs requeued.

    Each step is verified. With --delay or --at, the host does it by itself at that time, without
    a connection.

    Example: inv -H tpp prepare-reboot --at 22:00 --drain 1h --reason 'host patches'
    """
    from opstasks.maintenance import flags, prepare

    request = prepare.RebootRequest(
        **_times(delay, at, drain, yes=ctx.options.yes),
        reboot=reboot,
        keep_paused=keep_paused,
        why=ctx.one_line(reason, "reason"),
        replace=replace,
        boot_wait_s=flags.span_s("boot-wait", boot_wait),
    )
    _prepare(ctx, request)


def _prepare(ctx: Context, request: RebootRequest) -> None:
    """Look at all hosts, show the plan, ask, then prepare one host after another."""
    from opstasks.cli.changing import need_every_host
    from opstasks.maintenance import prepare
    from opstasks.maintenance import reboot_reports as reports
    from opstasks.maintenance import reboot_screen as screen

    _say_reading(ctx)
    plans = ctx.fleet.gather(lambda host: prepare.inspect(host, request, yes=ctx.options.yes))

    def wants(plan: RebootPlan) -> bool:
        return request.reboot or not plan.is_ready

    need_every_host(ctx, plans, plans.mapped(reports.not_prepared), wants)
    console = ctx.console
    console.say_lines(
        screen.plan_lines(plans.values, request, ctx.clock, console.window, wide=console.wide)
    )
    if ctx.options.dry:
        ctx.finish(plans.mapped(reports.prepare_planned))
        return
    hosts = [host for host, plan in plans.values.items() if wants(plan)]
    if hosts:
        ctx.confirm(screen.question(hosts, plans.values, request, ctx.clock))
    _apply(ctx, plans, request)


def _say_reading(ctx: Context) -> None:
    """Say what is read, for a person who waits for it."""
    from opstasks.core.formats import plural
    from opstasks.output.parts import dim

    if ctx.console.is_live:
        count = plural(len(ctx.fleet.hosts), "host")
        ctx.console.note(dim(f"reading service, jobs, pause, docker and room of {count}"))


def _times(delay: str, at: str, drain: str, *, yes: bool) -> dict[str, Any]:
    """The typed spans and time; raises Refused for invalid ones."""
    from opstasks.maintenance import flags, prepare

    return {
        "delay_s": flags.ahead_s("delay", delay, yes=yes),
        "at": prepare.check_at(at) if at else "",
        "drain_s": flags.ahead_s("drain", drain, yes=yes),
    }


def _apply(ctx: Context, plans: FleetResult[RebootPlan], request: RebootRequest) -> None:
    """Schedule or prepare every host that was shown; hosts that refused keep their result."""
    from opstasks.maintenance import prepare
    from opstasks.maintenance import reboot_reports as reports
    from opstasks.maintenance import reboot_screen as screen

    apply = prepare.apply_later if request.timed else prepare.apply_now
    ids: dict[str, str] = {}

    def work(host: Host, plan: RebootPlan) -> PrepareResult:
        result = apply(host, request, plan)
        ids[host.name] = result.id
        return result

    told = screen.prepared(plans.values, request, ids, ctx.clock)
    carried_out = ctx.carry_out(plans, work, told=told).mapped(reports.prepared)
    done = plans.mapped(reports.not_prepared).replaced(carried_out)
    ready = [item.host for item in done if item.good and item.host in ids]
    if ready and not (request.timed or request.reboot):
        ctx.console.say(*screen.next_line(ready))
    _show_checklists(ctx, done)
    ctx.finish(_judged(done, _list_of))


def _show_checklists(ctx: Context, done: FleetResult[Any]) -> None:
    """The checklists of the hosts that were rebooted."""
    from dataclasses import replace

    from opstasks.core.result import FleetResult
    from opstasks.maintenance import checklist_screen

    lists = [replace(item, value=_list_of(item.value)) for item in done if _list_of(item.value)]
    if lists:
        window = ctx.console.window
        screen = checklist_screen.screen(lambda: ctx.clock, window, is_whole=_is_whole(ctx))
        ctx.console.say_lines(screen.lines(FleetResult(lists), window, wide=ctx.console.wide))


def _is_whole(ctx: Context) -> bool:
    """Whether each check has a row: with many hosts, the screen is about those that fail."""
    return ctx.console.wide or len(ctx.fleet.hosts) == 1


def _list_of(value: Any) -> Checklist | None:
    """The checklist of a result; a host that refused has none."""
    found: Checklist | None = getattr(value, "checklist", None)
    return found


@task(
    changes=True,
    help={"wait": Flag("How long to wait for things that are still starting.", value=SPAN)},
)
def after_reboot(ctx: Context, wait: str = "90s") -> None:
    """Check after a reboot that everything is up again; what fails comes first.

    Ends the preparation's pause if the boot has not done so. With --dry nothing is changed. The
    exit code is 1 if a check fails.

    Example: inv -H tpp after-reboot
    """
    from opstasks.maintenance import after, checklist_screen, flags

    wait_s = flags.span_s("wait", wait)
    result = ctx.reader.screen(
        lambda host: after.check_after_reboot(host, wait_s, end_pause=not ctx.options.dry),
        checklist_screen.screen(lambda: ctx.clock, ctx.console.window, is_whole=_is_whole(ctx)),
        changes=True,
        interrupted=_interrupted(dry=ctx.options.dry),
    )
    ctx.finish(_judged(result, lambda value: value))


def _interrupted(*, dry: bool) -> str:
    """The message for Ctrl-C in the middle of a checklist."""
    if dry:
        return "interrupted; nothing was changed"
    return (
        "interrupted; the pause of a preparation may have been ended,"
        " nothing else was changed; run it again"
    )


def _judged(
    result: FleetResult[Any], list_of: Callable[[Any], Checklist | None]
) -> FleetResult[Any]:
    """A host with a line that fails counts as failed; its value stays for --json."""
    from opstasks.core.result import FleetResult

    return FleetResult([_judged_host(item, list_of(item.value)) for item in result])


def _judged_host(item: HostResult[Any], checklist: Checklist | None) -> HostResult[Any]:
    from dataclasses import replace

    from opstasks.core.errors import VerifyFailed

    if checklist is None or not checklist.bad:
        return item
    error = VerifyFailed(
        "; ".join(f"{line.what}: {line.text}" for line in checklist.bad),
        host=item.host,
        hint=checklist.bad[0].hint,
    )
    # The checklist shows it already.
    error.is_shown = True
    return replace(item, outcome="failed", error=error)
