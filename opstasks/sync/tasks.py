"""`sync`: copy Level 3 files to the medium-privacy workspaces (playbook: "Level 3 file sync")."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from invoke import Collection

from opstasks.cli.app import Context
from opstasks.cli.task import task
from opstasks.core.formats import span_text

if TYPE_CHECKING:
    from opstasks.core.result import FleetResult
    from opstasks.fleet.host import Host
    from opstasks.sync.act import SyncResult
    from opstasks.sync.facts import SyncState


@task(changes=True)
def start(ctx: Context) -> None:
    """Start copying Level 3 files every two minutes, also after a reboot.

    Example: inv -H tpp sync.start
    """
    from opstasks.sync import act

    _roll(ctx, "Start the Level 3 sync", act.start)


@task(changes=True)
def stop(ctx: Context) -> None:
    """Stop copying Level 3 files; a run in progress is interrupted and leaves no partial file.

    Example: inv -H tpp sync.stop --yes
    """
    from opstasks.sync import act

    _roll(ctx, "Stop the Level 3 sync", act.stop)


@task(changes=True)
def once(ctx: Context) -> None:
    """Copy Level 3 files once, now, and show the copied files.

    Example: inv -H tpp sync.once
    """
    from opstasks.sync import act

    _roll(ctx, "Copy Level 3 files once", act.once)


@task(changes=False)
def status(ctx: Context) -> None:
    """Show whether Level 3 files are copied, when a run last succeeded, and what went wrong.

    Example: inv -H all sync.status
    """
    from opstasks.sync import facts

    ctx.finish(ctx.reader.overview(facts.inspect, _status_row, lambda state: state.attention()))


def _roll(ctx: Context, question: str, work: Callable[[Host], SyncResult]) -> None:
    """Inspect all hosts, ask, then change one host after another."""
    from opstasks.sync import act, facts

    found = ctx.fleet.gather(facts.inspect)
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
    ctx.finish(done, _result_row)


def _show_items(ctx: Context, done: FleetResult[SyncResult]) -> None:
    """Print the names of the copied files."""
    for host, result in done.values.items():
        for name in result.last.items if result.last and result.changed else ():
            if not ctx.options.json:
                ctx.console.line(host, f"copied {name}", prefixed=True)


def _result_row(result: SyncResult) -> dict[str, object]:
    last = result.last
    return {
        "changed": result.changed,
        "sync": result.state,
        "copied": last.copied if last else "",
        "skipped": len(last.skipped) if last else "",
    }


def _status_row(state: SyncState) -> dict[str, object]:
    last = state.last
    return {
        "sync": "running" if state.running else "on" if state.on else "off",
        "source": state.source,
        "last success": f"{span_text(state.success_age_s)} ago"
        if state.last_success_at
        else "never",
        "copied last": last.copied if last.ended_at else "",
        "skipped": len(last.skipped) if last.ended_at else "",
        "not copied": len(last.clashes) + len(last.uncopied) if last.ended_at else "",
    }


namespace = Collection("sync", start, stop, once, status)
