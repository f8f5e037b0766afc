"""`pause` and `unpause`: hold new jobs back, and let them begin (playbook: "Pausing new jobs")."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from opstasks.cli.app import Context
from opstasks.cli.task import Flag, task
from opstasks.core.formats import minute_text

if TYPE_CHECKING:
    from opstasks.maintenance.onhost.records import Pause
    from opstasks.maintenance.pause import PauseResult


@task(
    changes=True,
    help={
        "reason": "Why; shown to everyone who finds it paused.",
        "for": Flag("The host unpauses by itself after this long.", value="DURATION"),
        "replace": "Replace the pause of somebody else, with its reason and its end.",
    },
)
def pause(ctx: Context, reason: str = "", for_: str = "", replace: bool = False) -> None:
    """Hold new jobs back; running jobs continue. `status` shows who paused, why and until when.

    Example: inv -H tpp pause --reason 'database upgrade' --for 2h
    """
    from opstasks.core import durations
    from opstasks.maintenance import pause as pausing

    for_s = durations.parse_sure(for_, yes=ctx.options.yes) if for_ else 0
    why = ctx.one_line(reason, "reason")
    if ctx.options.dry:
        look = partial(pausing.plan, why=why, for_s=for_s, replace=replace)
        ctx.finish(ctx.fleet.gather(look), _row)
        return
    work = partial(pausing.pause, why=why, for_s=for_s, replace=replace)
    ctx.finish(ctx.fleet.roll(work), _row)


@task(changes=True)
def unpause(ctx: Context) -> None:
    """Let new jobs begin again, no matter who paused; a scheduled end is cancelled.

    Example: inv -H tpp unpause
    """
    from opstasks.maintenance import pause as pausing

    if ctx.options.dry:
        ctx.finish(ctx.fleet.gather(pausing.inspect), _row)
        return
    ctx.finish(ctx.fleet.roll(pausing.unpause), _unpaused_row)


def _row(result: PauseResult) -> dict[str, object]:
    found = result.pause
    if found is None:
        return {"paused": False, "changed": result.changed}
    before = {"replaced": _told(result.before)} if result.before else {}
    return {
        "paused": True,
        "since": minute_text(found.since_at),
        "until": minute_text(found.until_at) if found.until_at else "someone unpauses",
        "by": found.who or "hand",
        "why": found.why,
        **before,
        "changed": result.changed,
    }


def _told(pause: Pause) -> str:
    """Whose pause it was, why and until when."""
    until = f", until {minute_text(pause.until_at)}" if pause.until_at else ""
    return f"{pause.who or 'hand'}{until}" + (f": {pause.why}" if pause.why else "")


def _unpaused_row(result: PauseResult) -> dict[str, object]:
    was_paused_by = (result.pause.who or "hand") if result.pause else ""
    return {"paused": False, "changed": result.changed, "was paused by": was_paused_by}
