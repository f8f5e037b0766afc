"""`db`: asking the database (playbook: "Assessing query progress in mssql")."""

from __future__ import annotations

from invoke import Collection, task

from opstasks.cli.app import Context


@task(
    help={
        "temp-table": "Temporary tables whose name begins so; the # may be left out.",
        "table": "A table of the temporary database (TEMP_DATABASE_NAME).",
        "database": "Whose login to use: default, or include_t1oo.",
        "timeout": "How long the database may take, in seconds.",
    },
    auto_shortflags=False,
)
def progress(
    ctx: Context,
    temp_table: str = "",
    table: str = "",
    database: str = "default",
    timeout: int = 60,
) -> None:
    """Show how many rows a table has that is being filled: how far the query is.

    The query goes through the SSH connection, with the host's own login, which is never shown.

    Example: inv -H tpp db.progress --temp-table tmp_1
    """
    from opstasks.queries import progress as workflow

    workflow.check_names(temp_table, table, database)
    result = ctx.fleet.gather(
        lambda host: workflow.progress(host, temp_table, table, database, timeout)
    )
    rows = [
        [host, item.table, item.describe()]
        for host, found in result.values.items()
        for item in found
    ]
    ctx.console.table(["host", "table", "rows"], rows)
    if not rows and result.values:
        ctx.console.say("there is no such table; the query may be over, or not have begun")
    ctx.finish(result)


namespace = Collection("db", progress)
