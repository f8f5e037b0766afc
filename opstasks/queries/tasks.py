"""`jobs.queries`: what database jobs wait for (playbook: "Debugging slow queries")."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from invoke import task

from opstasks.cli.app import Context
from opstasks.core.formats import span_text

if TYPE_CHECKING:
    from opstasks.fleet.host import Host
    from opstasks.queries.statements import Query


@task(
    help={"sql": "Show the statement as well: on a terminal, as it is part of a job's log."},
    auto_shortflags=False,
)
def queries(ctx: Context, sql: bool = False) -> None:
    """Show when each running database job sent its last statement, and how long that has taken.

    Understands the logs of cohortextractor, databuilder, ehrql and sqlrunner images.

    Example: inv -H prod jobs.queries
    """
    from opstasks.queries import statements as domain

    if sql:
        _refuse_pipes(ctx)

    def read(host: Host) -> list[Query]:
        return domain.parse(host.name, host.service.output(domain.read_command(host.spec, sql=sql)))

    result = ctx.fleet.gather(read)
    found = [(host, query) for host, listed in result.values.items() for query in listed]
    rows = [
        [
            host,
            query.job,
            query.workspace,
            query.action,
            query.image.rpartition("/")[2],
            _when(query.began),
            span_text(query.elapsed_s) if query.began else "",
            query.state(),
        ]
        for host, query in found
    ]
    headers = ["host", "id", "workspace", "action", "image", "last statement", "for", "state"]
    ctx.console.table(headers, rows)
    if not rows and result.values:
        ctx.console.say("no database job is running")
    for host, query in found if sql and not ctx.options.json else ():
        ctx.console.say(f"\n{ctx.console.paint(f'{host} {query.job}', 'bold')}")
        for line in query.sql.splitlines():
            ctx.console.line(host, line, prefixed=False)
    ctx.finish(result)


def _refuse_pipes(ctx: Context) -> None:
    """Statements are contents of job logs: for the eyes of a person, unless hosts.yaml says so."""
    from opstasks.core.errors import Refused

    if sys.stdout.isatty() and not ctx.options.json:
        return
    closed = [h.name for h in ctx.fleet.hosts if not h.spec.privacy.contents_in_pipes]
    if closed:
        raise Refused(
            f"--sql shows contents of job logs, which go to a terminal only ({', '.join(closed)})",
            hint="run it in a terminal, or leave out --sql",
        )


def _when(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC" if seconds else ""
