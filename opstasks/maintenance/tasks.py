"""`prepare-reboot` and `after-reboot` (playbook: "Start up and Shutdown")."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from invoke import task

from opstasks.cli.app import Context
from opstasks.core.formats import span_text

if TYPE_CHECKING:
    from opstasks.core.result import FleetResult, HostResult
    from opstasks.maintenance.after import Checklist
    from opstasks.maintenance.prepare import View, Wish


@task(
    help={
        "delay": "Not now but after this long: 90s, 4h, 1h30m, 2d.",
        "at": "Not now but then, in the host's time zone: 22:00 or '2026-12-01 22:00'.",
        "drain": "Let running jobs end for this long before they are requeued.",
        "reboot": "Reboot the host as well, and look after it.",
        "reason": "Why, for those who find it prepared.",
        "keep-paused": "Stay paused after the boot, until after-reboot or unpause.",
        "replace": "Take the place of one that is armed already.",
        "boot-wait": "With --reboot: how long the boot may take.",
    },
    auto_shortflags=False,
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

    With --delay or --at the host does it by itself then: no connection is needed any more.

    Example: inv -H tpp prepare-reboot --at 22:00 --drain 1h --reason 'host patches'
    """
    from opstasks.core import durations
    from opstasks.maintenance import prepare

    yes = ctx.options.yes
    wish = prepare.Wish(
        **_times(delay, at, drain, yes=yes),
        reboot=reboot,
        keep_paused=keep_paused,
        why=ctx.one_line(reason, "reason"),
        replace=replace,
        boot_wait_s=durations.parse(boot_wait),
    )
    views = ctx.fleet.gather(lambda host: prepare.look(host, wish, yes=yes))
    _show(ctx, views, wish)
    if views.exit_code and not (ctx.options.keep_going and views.values):
        ctx.finish(views)
    if ctx.options.dry:
        ctx.finish(views)
        return
    _confirm(ctx, views, wish)
    _carry_out(ctx, views, wish)


def _times(delay: str, at: str, drain: str, *, yes: bool) -> dict[str, Any]:
    """The spans and the time that were typed; raises Refused for what makes no sense."""
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


def _show(ctx: Context, views: FleetResult[View], wish: Wish) -> None:
    """What will happen on each host, and whose work it costs."""
    from opstasks.maintenance import prepare
    from opstasks.output.console import printable

    for host, view in views.values.items():
        time = printable(prepare.when(view.due, view.due_there)) if wish.timed else "now"
        ctx.console.say(f"{ctx.console.paint(host, 'bold')}: {time}")
        for text in _words(view, wish):
            ctx.console.say(f"  {printable(text)}")
        rows = [
            [job.id, job.workspace, job.action, span_text(view.now - job.started)]
            for job in view.jobs
        ]
        ctx.console.table(["id", "workspace", "action", "running for"], rows)


def _words(view: View, wish: Wish) -> list[str]:

    if view.ready:
        return ["READY TO REBOOT already"]
    end = f"let jobs end for up to {span_text(wish.drain_s)}, " if wish.drain_s else ""
    found = [f"pause new work, {end}stop the service, snapshot, requeue, verify"]
    found += ["reboot"] if wish.reboot else []
    found += [f"replaces {item.id} for {item.due_there} by {item.who}" for item in view.armed]
    if not view.serving:
        found.append("the service is down already")
    if not view.enabled:
        found.append("NOTE: the service is not enabled: the boot will not start it")
    if view.paused:
        found.append("it is paused already and stays so after the boot")
    text = f"{len(view.jobs)} job(s) running now would begin anew after the boot"
    return [*found, text + (":" if view.jobs else "")]


def _confirm(ctx: Context, views: FleetResult[View], wish: Wish) -> None:
    hosts = [host for host, view in views.values.items() if wish.reboot or not view.ready]
    if hosts:
        verb = "Prepare and REBOOT" if wish.reboot else "Prepare for a reboot:"
        ctx.confirm(f"{verb} {', '.join(hosts)}{' then' if wish.timed else ' now'}?")


def _carry_out(ctx: Context, views: FleetResult[View], wish: Wish) -> None:
    """Arm or run on every host that was shown; hosts that refused keep their result."""
    from opstasks.maintenance import prepare

    work = prepare.arm if wish.timed else prepare.run
    done = views.replaced(ctx.carry_out(views, lambda host, view: work(host, wish, view)))
    checked = [(i.host, i.value.checklist) for i in done if i.value and _has_list(i.value)]
    _print_lists(ctx, checked)
    ctx.finish(_judged(done, lambda value: getattr(value, "checklist", None)), _row)


def _has_list(value: Any) -> bool:
    return getattr(value, "checklist", None) is not None


def _row(out: Any) -> dict[str, object]:
    from opstasks.maintenance import prepare

    return {
        "state": out.state,
        "when": prepare.when(out.due, out.due_there) if out.due_there else "",
        "id": out.id,
        "requeued": len(out.requeued) if out.id and not out.due_there else "",
        "note": out.note,
        "changed": out.changed,
    }


@task(
    help={"wait": "How long what is still starting may take."},
    auto_shortflags=False,
)
def after_reboot(ctx: Context, wait: str = "90s") -> None:
    """Check that everything is back after a reboot, one line each, with the hint for what is not.

    Ends the pause of a preparation when the boot has not done so.

    Example: inv -H tpp after-reboot
    """
    from opstasks.core import durations
    from opstasks.maintenance import after

    wait_s = durations.parse(wait)
    result = ctx.fleet.gather(
        lambda host: after.look_after(host, wait_s, end_pause=not ctx.options.dry),
        changes=True,
        interrupted=_interrupted(dry=ctx.options.dry),
    )
    _print_lists(ctx, [(i.host, i.value) for i in result if i.value is not None])
    ctx.finish(_judged(result, lambda value: value))


def _interrupted(*, dry: bool) -> str:
    """What a Ctrl-C in the middle of a checklist leaves."""
    if dry:
        return "interrupted; nothing was changed"
    return (
        "interrupted; a pause that was left of a preparation may have been ended,"
        " nothing else was changed; run it again"
    )


def _print_lists(ctx: Context, lists: list[tuple[str, Checklist]]) -> None:
    """One table for all hosts."""
    rows = [
        [host, line.what, "ok" if line.good else "FAIL", line.text, "" if line.good else line.hint]
        for host, checklist in lists
        for line in checklist.lines
    ]
    ctx.console.table(["host", "check", "", "found", "hint"], rows)


def _judged(result: FleetResult[Any], checklist: Any) -> FleetResult[Any]:
    """A host with a line that fails counts as failed; its value stays for --json."""
    from opstasks.core.result import FleetResult

    return FleetResult([_judged_host(item, checklist) for item in result])


def _judged_host(item: HostResult[Any], checklist: Any) -> HostResult[Any]:
    from dataclasses import replace

    from opstasks.core.errors import VerifyFailed

    found = checklist(item.value) if item.value is not None else None
    if found is None or not found.bad:
        return item
    error = VerifyFailed(
        "; ".join(f"{line.what}: {line.text}" for line in found.bad),
        host=item.host,
        hint=found.bad[0].hint,
    )
    return replace(item, outcome="failed", error=error)
