"""`hosts`: the selected hosts, and which connections to them are kept."""

from __future__ import annotations

from typing import Any

from opstasks.cli.app import Context
from opstasks.cli.task import task


@task(
    changes=False,
    anywhere=True,
    help={"close": "Close the kept connections; a command that is using one loses its connection."},
)
def hosts(ctx: Context, close: bool = False) -> None:
    """Show the selected hosts (without -H: all), and which connections to them are kept.

    Connects to no host. `keep_connection` in hosts.yaml keeps connections open for the next
    command. Without -H, --close also closes those to hosts that are no longer in hosts.yaml.

    Example: inv -H all hosts
    """
    from opstasks.hosts import connections

    if ctx.options.hosts:
        specs = [host.spec for host in ctx.fleet.hosts]
    else:
        specs = [] if close else ctx.app.inventory.select(["all"])
    if close:
        _close(ctx, [spec.name for spec in specs])
        return
    rows = connections.rows(specs)
    if ctx.options.json:
        ctx.console.document({"hosts": rows})
    ctx.console.table(["host", "address", "gateway", "connection"], map(_cells, rows))


def _cells(row: dict[str, Any]) -> list[object]:
    from opstasks.core.formats import span_text

    kept_s = row["kept_s"]
    connection = "" if kept_s is None else f"kept, {span_text(kept_s)}"
    return [row["host"], row["address"], row["gateway"], connection]


def _close(ctx: Context, names: list[str]) -> None:
    from opstasks.core.formats import span_text
    from opstasks.fleet.ssh_master import kept
    from opstasks.hosts import connections

    if ctx.options.dry:
        found, verb = [m for m in kept() if not names or m.host in names], "would close"
    else:
        found, verb = connections.close(names), "closed"
    if ctx.options.json:
        ctx.console.document({verb.replace(" ", "_"): [master.host for master in found]})
    for master in found:
        ctx.console.say(f"{master.host}: {verb} its connection, kept for {span_text(master.age_s)}")
    if not found:
        ctx.console.say("no connection is kept")
