"""How many rows a query has written (playbook: "Assessing query progress in mssql")."""

from __future__ import annotations

import re
from dataclasses import dataclass

from opstasks.config.values import read_values
from opstasks.core.command import Secret
from opstasks.core.errors import InvalidResponse, OpsError, Refused
from opstasks.core.hints import quoted
from opstasks.fleet.host import Host
from opstasks.queries import mssql

TEMP_DATABASE = "TEMP_DATABASE_NAME"
_DATABASE = re.compile(r"[a-z][a-z0-9_]{0,40}")


@dataclass(frozen=True)
class TableProgress:
    """How many rows a table has; `estimated` if it is the server's estimate, not a count."""

    table: str
    rows: int
    estimated: bool


def check_names(temp_table: str, table: str, database: str) -> None:
    """Raise Refused, with the flag, unless exactly one table is named, and all names are valid."""
    if bool(temp_table) == bool(table):
        problem = "exclude each other" if table else "are both missing: give one of them"
        raise Refused(f"--temp-table and --table {problem}", hint="inv --help db.progress")
    try:
        if temp_table:
            mssql.count_temp_rows(temp_table)
        else:
            mssql.count_rows("x", table)
    except Refused as refused:
        flag = "--temp-table" if temp_table else "--table"
        raise Refused(f"{flag}: {refused.message}", hint=refused.hint) from None
    if not _DATABASE.fullmatch(database):
        raise Refused(
            f"--database: {quoted(database, 60)} is not a valid name",
            hint="--database default, or --database include_t1oo",
        )


def described(temp_table: str, table: str) -> str:
    """Which tables are looked for."""
    if table:
        return f"table {table}"
    return f"temporary table whose name begins with #{temp_table.removeprefix('#')}"


def read_progress(
    host: Host, temp_table: str, table: str, database: str, timeout_s: float
) -> list[TableProgress]:
    """Query the database of a host, through the host.

    Raises Refused when no database is configured on the host, and what `mssql.ask` raises.
    """
    url_key = f"{database.upper()}_DATABASE_URL"
    found = read_values(host, [url_key, TEMP_DATABASE])
    if url_key not in found or not found[url_key].value:
        raise Refused(
            f"{url_key} is not set", host=host.name, hint=f"inv -H {host.name} config.check"
        )
    try:
        query = _query(host.name, temp_table, table, found.get(TEMP_DATABASE))
        login = mssql.parse_url(url_key, found[url_key])
        rows = mssql.ask(login, query, host.transport.dial, timeout_s)
        return progress_of(rows, table)
    except OpsError as error:
        error.host = host.name
        raise


def _query(host: str, temp_table: str, table: str, temp_database: Secret | None) -> str:
    if temp_table:
        return mssql.count_temp_rows(temp_table)
    if temp_database is None or not temp_database.value:
        raise Refused(f"{TEMP_DATABASE} is not set", hint=f"inv -H {host} config.check")
    return mssql.count_rows(temp_database.value, table)


def progress_of(rows: mssql.Rows, table: str = "") -> list[TableProgress]:
    """The rows of a query as values: the count of one table, or estimates of temporary tables.

    Raises InvalidResponse for rows that neither query can have.
    """
    try:
        if table:
            ((count,),) = rows
            return [TableProgress(table, _count(count), False)]
        named = sorted((mssql.table_name(str(name)), _count(count)) for name, count in rows)
        return [TableProgress(name, count, True) for name, count in named]
    except (TypeError, ValueError):
        raise InvalidResponse("invalid response from the database") from None


def _count(value: object) -> int:
    if not isinstance(value, int) or value < 0:
        raise ValueError
    return value
