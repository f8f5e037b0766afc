"""`history` and `lock`: who did what, and who holds a host."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from invoke import Collection, task

from opstasks.app import Context

if TYPE_CHECKING:
    from opstasks.host import Host


@task(help={"lines": "How many entries of each host."}, auto_shortflags=False)
def history(ctx: Context, lines: int = 20) -> None:
    """Show who changed what, when, from each host's own journal.

    Example: inv -H all history --lines 50
    """
    from opstasks import audit
    from opstasks.primitives import journal

    def read(host: Host) -> list[dict[str, Any]]:
        # Every change has two lines, its start and its end.
        command = journal.own_lines(audit.IDENTIFIER, lines * 2)
        entries = [json.loads(line) for line in host.root.run(command).lines if line[0] == "{"]
        ended = {entry["run_id"] for entry in entries if entry["phase"] == "end"}
        kept = [e for e in entries if e["phase"] == "end" or e["run_id"] not in ended]
        return kept[-lines:]

    result = ctx.fleet.gather(read)
    rows = sorted(
        [e["time"], host, e["who"], e["task"], e.get("outcome", "begun"), e.get("detail", "")]
        for host, found in result.values.items()
        for e in found
    )
    ctx.console.table(["when", "host", "who", "task", "outcome", "detail"], rows)
    ctx.finish(result)


@task(auto_shortflags=False)
def show(ctx: Context) -> None:
    """Show who is changing which host right now.

    Example: inv -H all lock.show
    """
    from opstasks import lock

    def read(host: Host) -> str:
        owner = lock.parse_owner(host.service.output(lock.holder(host.spec)))
        return owner.describe() if owner else "free"

    ctx.finish(ctx.fleet.gather(read), lambda text: {"lock": text})


lock = Collection("lock", show)
