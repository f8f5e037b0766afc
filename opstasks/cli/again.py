"""Commands that people type next for hosts of this run, such as the one that undoes a change."""

from __future__ import annotations

from collections.abc import Collection

from opstasks.cli.app import Context
from opstasks.core.hints import one_word


def command(ctx: Context, task: str, hosts: Collection[str]) -> str:
    """``inv -H sandbox deploy.rollback``: a task for hosts of this run; "" for no task."""
    return " ".join(filter(None, ("inv", _flag(ctx, hosts), task))) if task else ""


def _flag(ctx: Context, hosts: Collection[str]) -> str:
    """The flag that selects the hosts, as it was typed if they are all that were selected."""
    is_all = set(hosts) == {host.name for host in ctx.fleet.hosts}
    # Which hosts failed in the last run is not the same after this one.
    if is_all and not any("@failed" in item for item in ctx.options.hosts):
        return ctx.hosts_text
    return f"-H {one_word(','.join(hosts))}"
