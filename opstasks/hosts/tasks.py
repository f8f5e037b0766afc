"""`hosts`: what -H means here, how each host is reached, and whether it answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opstasks.cli.context import Context
from opstasks.cli.task import Flag, task

if TYPE_CHECKING:
    from opstasks.fleet.host import Host
    from opstasks.fleet.inventory import HostSpec
    from opstasks.hosts.routes import HostRoute


@task(
    changes=False,
    ids=True,
    anywhere=True,
    help={
        "check": Flag(
            "Connect to each host: does it answer, as whom, with which key, how fast?",
            excludes=("close",),
        ),
        "close": Flag(
            "Close the kept connections; a command that is using one loses its connection.",
            excludes=("quiet",),
        ),
    },
)
def hosts(ctx: Context, check: bool = False, close: bool = False) -> None:
    """Show what -H means here, and how each host is reached (without -H: all).

    Connects to no host, except with --check: then the exit code is 3 if one cannot be reached.
    LOGIN is the time until a shell is up, COMMAND that of one command on it. `keep_connection` in
    hosts.yaml keeps connections open for the next command; KEPT is their age. Without -H, --close
    also closes those to hosts that are no longer in hosts.yaml.

    Example: inv -H all hosts --check
    """
    if close:
        _close(ctx, [spec.name for spec in _specs(ctx)] if ctx.options.hosts else [])
    elif check:
        _check(ctx)
    else:
        _show(ctx)


def _specs(ctx: Context) -> list[HostSpec]:
    if ctx.options.hosts:
        return [host.spec for host in ctx.fleet.hosts]
    return list(ctx.app.inventory.hosts.values())


def _show(ctx: Context) -> None:
    from opstasks.core.result import FleetResult
    from opstasks.hosts import screen
    from opstasks.hosts.routes import routes

    specs, inventory, console = _specs(ctx), ctx.app.inventory, ctx.console
    result = routes(specs, inventory) if specs else FleetResult()
    names = {spec.name for spec in specs}
    groups = {name: who for name, who in inventory.groups.items() if names & set(who)}
    console.ids(spec.name for spec in specs)
    headline = _headline(ctx, len(specs))
    if not specs and not console.window:
        console.note(headline)
    shown = screen.routes_screen(headline, groups)
    ctx.finish(result, shown)


def _headline(ctx: Context, count: int) -> str:
    """``5 hosts, 2 groups in ./hosts.yaml``; with -H, which of them."""
    from opstasks.core.formats import plural
    from opstasks.core.hints import one_word
    from opstasks.fleet.hosts_file import find_inventory

    inventory = ctx.app.inventory
    path = find_inventory(ctx.options.inventory or None)
    where = f" in {path}" if path else "; there is no hosts.yaml"
    if ctx.options.hosts:
        of = len(inventory.hosts)
        typed = ",".join(map(one_word, ctx.options.hosts))
        return f"-H {typed}: {count} of {plural(of, 'host')}{where}"
    groups = plural(len(inventory.groups), "group")
    return f"{plural(count, 'host')}, {groups}{where}"


def _check(ctx: Context) -> None:
    from opstasks.hosts import routes
    from opstasks.hosts.screen import check_screen

    ctx.app.choose_all()
    ages, inventory = routes.kept_ages(), ctx.app.inventory

    def read(host: Host) -> HostRoute:
        known = routes.route_of(host.spec, inventory.gateway_of(host.spec), ages)
        return routes.check(host, known)

    ctx.finish(ctx.reader.screen(read, check_screen()))


def _close(ctx: Context, names: list[str]) -> None:
    from opstasks.core.formats import span_text
    from opstasks.hosts import connections

    if ctx.options.dry:
        found, verb = connections.chosen(names), "would close"
    else:
        found, verb = connections.close(names), "closed"
    for master in found:
        ctx.console.say(f"{master.host}: {verb} its connection, kept for {span_text(master.age_s)}")
    if not found:
        ctx.console.say("no connection is kept")
    ctx.finish(connections.reports(found, closed=not ctx.options.dry))
