"""`pause` and `unpause`: hold new jobs back, and let them go (playbook: "Pausing new jobs")."""

from __future__ import annotations

from typing import Any

from invoke import task

from opstasks.cli.app import Context
from opstasks.core.formats import minute_text


@task(
    help={
        "reason": "Why, for those who find it paused.",
        "for": "The host unpauses by itself after this long: 90s, 2h, 1h30m, 2d.",
    },
    auto_shortflags=False,
)
def pause(ctx: Context, reason: str = "", for_: str = "") -> None:
    """Hold new jobs back; those that run go on. `status` shows who paused, why and until when.

    Example: inv -H tpp pause --reason 'database upgrade' --for 2h
    """
    from opstasks.core import durations
    from opstasks.maintenance import pause as workflow

    for_s = durations.parse_sure(for_, yes=ctx.options.yes) if for_ else 0
    if ctx.options.dry:
        ctx.finish(ctx.fleet.gather(workflow.read), _row)
        return
    why = ctx.one_line(reason, "reason")
    result = ctx.fleet.roll(lambda host: workflow.pause(host, why=why, for_s=for_s))
    ctx.finish(result, _row)


@task(auto_shortflags=False)
def unpause(ctx: Context) -> None:
    """Let new jobs begin again, whoever paused; an end that was armed then does nothing.

    Example: inv -H tpp unpause
    """
    from opstasks.maintenance import pause as workflow

    if ctx.options.dry:
        ctx.finish(ctx.fleet.gather(workflow.read), _row)
        return
    ctx.finish(ctx.fleet.roll(workflow.unpause), _unpaused_row)


def _row(out: Any) -> dict[str, object]:

    found = out.pause
    if found is None:
        return {"paused": False, "changed": out.changed}
    return {
        "paused": True,
        "since": minute_text(found.since),
        "until": minute_text(found.until) if found.until else "somebody unpauses",
        "by": found.who or "hand",
        "why": found.why,
        "changed": out.changed,
    }


def _unpaused_row(out: Any) -> dict[str, object]:
    if out.pause is None:
        return {"paused": False, "changed": False, "was paused by": ""}
    return {"paused": False, "changed": True, "was paused by": out.pause.who or "hand"}
