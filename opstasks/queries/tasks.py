"""`jobs.queries` and `db.progress`: slow queries.

In the playbook: "Debugging slow queries" and "Assessing query progress in mssql".
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from invoke import Collection

from opstasks.cli.app import Context
from opstasks.cli.task import Flag, task
from opstasks.core.formats import second_text, span_text
from opstasks.core.lines import lines_of

if TYPE_CHECKING:
    from opstasks.queries.statements import JobStatement


@task(
    changes=False,
    help={"sql": "Also show the statement; only on a terminal, as it is part of a job's log."},
)
def queries(ctx: Context, sql: bool = False) -> None:
    """Show when each running database job sent its last statement, and how long it has taken.

    Understands the logs of cohortextractor, databuilder, ehrql and sqlrunner images.

    Example: inv -H prod jobs.queries
    """
    from opstasks.output.console import Painted
    from opstasks.queries.statements import read_statements

    if sql:
        _refuse_pipes(ctx)
    result = ctx.reader.table(
        lambda host: read_statements(host, sql=sql),
        ["id", "workspace", "action", "image", "last statement", "for", "state"],
        lambda found: map(_cells, found),
        nothing="no database job is running",
    )
    ctx.seen("jobs", result.values, lambda found: [item.job for item in found])
    found = [(host, item) for host, listed in result.values.items() for item in listed]
    for host, item in found if sql and not ctx.options.json else ():
        ctx.console.say()
        ctx.console.say(Painted(f"{host} {item.job}", "bold"))
        for line in lines_of(item.sql):
            ctx.console.line(host, line, prefixed=False)
    ctx.finish(result)


def _cells(item: JobStatement) -> list[object]:
    age = span_text(item.elapsed_s) if item.began_at else ""
    image, began = item.image.rpartition("/")[2], second_text(item.began_at)
    return [item.job, item.workspace, item.action, image, began, age, item.state()]


def _refuse_pipes(ctx: Context) -> None:
    """Raise Refused for a pipe: statements are contents of job logs, only for a terminal."""
    from opstasks.core.errors import Refused

    if sys.stdout.isatty() and not ctx.options.json:
        return
    closed = [h.name for h in ctx.fleet.hosts if not h.spec.privacy.contents_in_pipes]
    if closed:
        raise Refused(
            f"--sql shows contents of job logs, which go only to a terminal ({', '.join(closed)})",
            hint="run it in a terminal, or omit --sql",
        )


@task(
    changes=False,
    help={
        "temp-table": "The start of the names of temporary tables, with or without #.",
        "table": "A table of the temporary database (TEMP_DATABASE_NAME).",
        "database": Flag("The login to use: default or include_t1oo.", value="NAME"),
        "timeout": Flag("How long the database may take.", value="DURATION", least=1),
    },
)
def progress(
    ctx: Context,
    temp_table: str = "",
    table: str = "",
    database: str = "default",
    timeout: int = 60,
) -> None:
    """Show the progress of a query: how many rows the table has that it fills.

    The query goes through the SSH connection, with the host's own login, which is never shown.

    Example: inv -H tpp db.progress --temp-table tmp_1
    """
    from opstasks.queries.progress import check_names, read_progress

    check_names(temp_table, table, database)
    result = ctx.reader.table(
        lambda host: read_progress(host, temp_table, table, database, timeout),
        ["table", "rows"],
        lambda found: [[item.table, item.describe()] for item in found],
        nothing="no such table; the query may have ended, or not have started",
    )
    ctx.finish(result)


namespace = Collection("db", progress)
