"""`prepare-reboot` and `after-reboot` (playbook: "Start up and Shutdown")."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from opstasks.cli.app import Context
from opstasks.cli.task import Flag, task
from opstasks.core.formats import span_text

if TYPE_CHECKING:
    from opstasks.core.result import FleetResult, HostResult
    from opstasks.maintenance.checklist import Checklist, ChecklistLine
    from opstasks.maintenance.onhost.records import ScheduledItem
    from opstasks.maintenance.prepare import PrepareResult, RebootPlan, RebootRequest

LIST_HEADERS = ("check", "", "found", "hint")


@task(
    changes=True,
    help={
        "delay": Flag("Prepare after this long, not now.", value="DURATION"),
        "at": Flag(
            "Prepare at this time, in the host's time zone: 22:00 or '2026-12-01 22:00'.",
            value="WHEN",
        ),
        "drain": Flag(
            "Let running jobs end for this long before they are requeued.", value="DURATION"
        ),
        "reboot": "Reboot the host as well, and check it afterwards.",
        "reason": "Why; shown to everyone who finds it prepared.",
        "keep-paused": "Stay paused after the boot, until after-reboot or unpause.",
        "replace": "Replace a preparation that is scheduled already.",
        "boot-wait": Flag(
            "With --reboot: how long the boot may take.", value="DURATION", needs="reboot"
        ),
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
    """Make a host ready for a reboot: no new jobs, service down, running jobs requeued; verified.

    With --delay or --at, the host does it by itself at that time, without a connection.

    Example: inv -H tpp prepare-reboot --at 22:00 --drain 1h --reason 'host patches'
    """
    from opstasks.core import durations
    from opstasks.maintenance import prepare

    yes = ctx.options.yes
    request = prepare.RebootRequest(
        **_times(delay, at, drain, yes=yes),
        reboot=reboot,
        keep_paused=keep_paused,
        why=ctx.one_line(reason, "reason"),
        replace=replace,
        boot_wait_s=durations.parse(boot_wait),
    )
    plans = ctx.fleet.gather(lambda host: prepare.inspect(host, request, yes=yes))
    _show(ctx, plans, request)
    if plans.exit_code and not (ctx.options.keep_going and plans.values):
        ctx.finish(plans)
    if ctx.options.dry:
        ctx.finish(plans)
        return
    _confirm(ctx, plans, request)
    _apply(ctx, plans, request)


def _times(delay: str, at: str, drain: str, *, yes: bool) -> dict[str, Any]:
    """The typed spans and time; raises Refused for invalid ones."""
    from opstasks.core import durations
    from opstasks.core.errors import Refused
    from opstasks.maintenance import prepare

    if delay and at:
        raise Refused("--delay and --at exclude each other", hint="leave one of them out")
    return {
        "delay_s": durations.parse_sure(delay, yes=yes) if delay else 0,
        "at": prepare.check_at(at) if at else "",
        "drain_s": durations.parse_sure(drain, yes=yes) if drain else 0,
    }


def _show(ctx: Context, plans: FleetResult[RebootPlan], request: RebootRequest) -> None:
    """What will happen on each host, and which running jobs begin again."""
    from opstasks.maintenance import scheduled
    from opstasks.output.console import Painted

    for host, plan in plans.values.items():
        due = scheduled.due_text(plan.due_at, plan.due_there) if request.timed else "now"
        ctx.console.say(Painted(host, "bold"), f": {due}")
        for text in _words(plan, request):
            ctx.console.say(f"  {text}")
        rows = [
            [job.id, job.workspace, job.action, span_text(plan.now_at - job.started_at)]
            for job in plan.jobs
        ]
        ctx.console.table(["id", "workspace", "action", "running for"], rows)


def _words(plan: RebootPlan, request: RebootRequest) -> list[str]:
    if plan.is_ready:
        by = f": prepared by {plan.ready.who} for {plan.ready.due_there}" if plan.ready else ""
        return [f"READY TO REBOOT already{by}", *(["reboot"] if request.reboot else [])]
    span = span_text(request.drain_s)
    drain = f"let jobs end for up to {span}, " if request.drain_s else ""
    pause = "" if plan.own else "pause new jobs, "
    found = [f"{pause}{drain}stop the service, snapshot, requeue, verify"]
    found += ["reboot"] if request.reboot else []
    found += [f"replaces {item.id} for {item.due_there} by {item.who}" for item in plan.scheduled]
    if not plan.is_serving:
        found.append("the service is down already")
    if not plan.is_enabled:
        found.append("NOTE: the service is not enabled: the boot will not start it")
    found += [_dead_words(item) for item in plan.dead]
    if plan.is_paused and not (plan.pause and plan.pause.task == "prepare-reboot"):
        by = f" by {plan.pause.who or 'hand'}" if plan.pause else ""
        found.append(f"it is paused already{by} and stays paused after the boot")
    text = f"{len(plan.jobs)} job(s) running now will begin again after the boot"
    return [*found, text + (":" if plan.jobs else "")]


def _dead_words(item: ScheduledItem) -> str:
    return f"takes the place of {item.id} by {item.who}, which ended at {item.step!r}"


def _confirm(ctx: Context, plans: FleetResult[RebootPlan], request: RebootRequest) -> None:
    hosts = [host for host, plan in plans.values.items() if request.reboot or not plan.is_ready]
    if hosts:
        verb = "Prepare and REBOOT" if request.reboot else "Prepare for a reboot:"
        ctx.confirm(f"{verb} {', '.join(hosts)}{' then' if request.timed else ' now'}?")


def _apply(ctx: Context, plans: FleetResult[RebootPlan], request: RebootRequest) -> None:
    """Schedule or prepare every host that was shown; hosts that refused keep their result."""
    from opstasks.maintenance import prepare

    apply = prepare.apply_later if request.timed else prepare.apply_now
    done = plans.replaced(ctx.carry_out(plans, lambda host, plan: apply(host, request, plan)))
    ctx.seen("scheduled", done.values, lambda result: [(result.id, result.state)])
    _print_lists(ctx, [(i.host, _list_of(i.value)) for i in done])
    ctx.finish(_judged(done, _list_of), _row)


def _list_of(value: Any) -> Checklist | None:
    """The checklist of a result; a host that refused has none."""
    found: Checklist | None = getattr(value, "checklist", None)
    return found


def _row(result: PrepareResult) -> dict[str, object]:
    from opstasks.maintenance import scheduled

    is_later = bool(result.due_there)
    return {
        "state": result.state,
        "when": scheduled.due_text(result.due_at, result.due_there) if is_later else "",
        "id": result.id,
        "requeued": "" if is_later or not result.changed else len(result.requeued),
        "note": result.note,
        "changed": result.changed,
    }


@task(
    changes=True,
    help={"wait": Flag("How long to wait for things that are still starting.", value="DURATION")},
)
def after_reboot(ctx: Context, wait: str = "90s") -> None:
    """Check after a reboot that everything is up again, with a hint for each line that fails.

    Ends the preparation's pause if the boot has not done so.

    Example: inv -H tpp after-reboot
    """
    from opstasks.core import durations
    from opstasks.maintenance import after

    wait_s = durations.parse(wait)
    result = ctx.reader.table(
        lambda host: after.check_after_reboot(host, wait_s, end_pause=not ctx.options.dry),
        LIST_HEADERS,
        lambda checklist: map(_list_cells, checklist.lines),
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


def _print_lists(ctx: Context, lists: list[tuple[str, Checklist | None]]) -> None:
    """One table for all hosts."""
    rows = [
        [host, *_list_cells(line)]
        for host, checklist in lists
        if checklist is not None
        for line in checklist.lines
    ]
    ctx.console.table(["host", *LIST_HEADERS], rows)


def _list_cells(line: ChecklistLine) -> list[object]:
    state, hint = ("ok", "") if line.good else ("FAIL", line.hint)
    return [line.what, state, line.text, hint]


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
    return replace(item, outcome="failed", error=error)
