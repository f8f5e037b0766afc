"""`sync`: Level 3 files to the medium-privacy workspaces (playbook: "Level 3 file sync")."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from invoke import Collection, task

from opstasks.cli.app import Context
from opstasks.core.formats import span_text

if TYPE_CHECKING:
    from opstasks.core.result import FleetResult
    from opstasks.fleet.host import Host
    from opstasks.sync.act import Outcome, State


@task(auto_shortflags=False)
def start(ctx: Context) -> None:
    """Have Level 3 files copied every two minutes from now on, also after a reboot.

    Example: inv -H tpp sync.start
    """
    from opstasks.sync import act

    _roll(ctx, "Start the Level 3 sync", act.start)


@task(auto_shortflags=False)
def stop(ctx: Context) -> None:
    """Stop copying Level 3 files; a run that is under way is cut off without a trace.

    Example: inv -H tpp sync.stop --yes
    """
    from opstasks.sync import act

    _roll(ctx, "Stop the Level 3 sync", act.stop)


@task(auto_shortflags=False)
def once(ctx: Context) -> None:
    """Copy Level 3 files once, now, and show what was copied.

    Example: inv -H tpp sync.once
    """
    from opstasks.sync import act

    _roll(ctx, "Copy Level 3 files once", act.once)


@task(auto_shortflags=False)
def status(ctx: Context) -> None:
    """Show whether Level 3 files are copied, when that last went well, and what went wrong.

    Example: inv -H all sync.status
    """
    from opstasks.sync import act

    result = ctx.fleet.gather(act.look)
    ctx.console.fleet(result, _status_row)
    if not ctx.options.json:
        for host, state in result.values.items():
            for text in state.attention():
                ctx.console.say(f"{ctx.console.paint('!', 'yellow')} {host}: {text}")
    ctx.end(result)


def _roll(ctx: Context, question: str, work: Callable[[Host], Outcome]) -> None:
    """Look, ask, do, one host after another."""
    from opstasks.sync import act

    found = ctx.fleet.gather(act.look)
    if found.exit_code and not ctx.options.keep_going:
        ctx.finish(found)
    for host, state in found.values.items():
        places = f"{state.source or 'no source'}; now {'on' if state.on else 'off'}"
        ctx.console.say(f"{host}: {question.lower()}: {places}")
    if ctx.options.dry:
        ctx.finish(found)
        return
    if work is act.stop:
        ctx.confirm(f"{question} on {', '.join(found.values)}?")
    done = ctx.fleet.roll(work)
    _show_items(ctx, done)
    ctx.finish(done, _outcome_row)


def _show_items(ctx: Context, done: FleetResult[Outcome]) -> None:
    for host, outcome in done.values.items():
        for name in outcome.last.items if outcome.last and outcome.changed else ():
            if not ctx.options.json:
                ctx.console.line(host, f"copied {name}", prefixed=True)


def _outcome_row(outcome: Outcome) -> dict[str, object]:
    last = outcome.last
    return {
        "changed": outcome.changed,
        "sync": outcome.state,
        "copied": last.copied if last else "",
        "skipped": len(last.skipped) if last else "",
    }


def _status_row(state: State) -> dict[str, object]:

    last = state.last
    return {
        "sync": "running" if state.running else "on" if state.on else "off",
        "source": state.source,
        "last success": f"{span_text(state.success_age_s)} ago" if state.last_success else "never",
        "copied then": last.copied if last.ended else "",
        "skipped": len(last.skipped) if last.ended else "",
    }


namespace = Collection("sync", start, stop, once, status)
