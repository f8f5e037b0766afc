"""`jobs.queries` and `db.progress`: slow queries.

In the playbook: "Debugging slow queries" and "Assessing query progress in mssql".
"""

from __future__ import annotations

import sys

from invoke import Collection

from opstasks.cli.context import Context
from opstasks.cli.task import Flag, task
from opstasks.core.lines import lines_of


@task(
    changes=False,
    ids=True,
    help={
        "sql": Flag(
            "Also show the statement; only on a terminal, as it is part of a job's log.",
            excludes=("quiet",),
        ),
    },
)
def queries(ctx: Context, sql: bool = False) -> None:
    """Show the last statement of each running database job, and how long it takes.

    FOR is how long a statement has been running, or ran. Understands the logs of cohortextractor,
    databuilder, ehrql and sqlrunner images.

    Example: inv -H prod jobs.queries
    """
    from opstasks.output.parts import bold
    from opstasks.queries.screen import statements_screen
    from opstasks.queries.statements import read_statements

    if sql:
        _refuse_pipes(ctx)
    in_pipe = not ctx.console.window
    whole_ids = in_pipe or ctx.console.wide
    result = ctx.reader.screen(
        lambda host: read_statements(host, sql=sql),
        statements_screen(lambda: ctx.clock, whole_ids=whole_ids, in_pipe=in_pipe),
    )
    ctx.seen("jobs", result.values, lambda found: [item.job for item in found])
    found = [(host, item) for host, listed in result.values.items() for item in listed]
    for host, item in found if sql and not ctx.options.json else ():
        ctx.console.say()
        ctx.console.say(bold(f"{host} {item.job}"))
        for line in lines_of(item.sql):
            ctx.console.line(host, line, prefixed=False)
    ctx.finish(result)


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
    ids=True,
    help={
        "temp-table": "The start of the names of temporary tables, with or without #.",
        "table": "A table of the temporary database (TEMP_DATABASE_NAME).",
        "database": Flag("The login to use.", value="default|include_t1oo"),
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
    """Show how many rows the table has that a query fills.

    Type it again to see how fast they grow. The query goes through the SSH connection, with the
    host's own login, which is never shown.

    Example: inv -H tpp db.progress --temp-table tmp_1
    """
    from opstasks.queries.progress import check_names, described, read_progress
    from opstasks.queries.screen import progress_screen

    check_names(temp_table, table, database)
    result = ctx.reader.screen(
        lambda host: read_progress(host, temp_table, table, database, timeout),
        progress_screen(lambda: ctx.clock, described(temp_table, table)),
    )
    ctx.finish(result)


namespace = Collection("db", progress)
