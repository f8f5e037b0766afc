"""How far an INSERT is (playbook: "Assessing query progress in mssql")."""

from __future__ import annotations

import re
from dataclasses import dataclass

from opstasks.config.values import read_values
from opstasks.core.errors import OpsError, Refused
from opstasks.fleet.host import Host
from opstasks.queries import mssql

TEMP_DATABASE = "TEMP_DATABASE_NAME"
_DATABASE = re.compile(r"[a-z][a-z0-9_]{0,40}")


@dataclass(frozen=True)
class Progress:
    """How many rows a table has; `estimated` is what the server thinks, not a count."""

    table: str
    rows: int
    estimated: bool

    def describe(self) -> str:
        """For people."""
        return f"{self.rows:,}" + (" (estimate)" if self.estimated else "")


def check_names(temp_table: str, table: str, database: str) -> None:
    """Raise Refused unless exactly one table is named, and all names are plain."""
    if bool(temp_table) == bool(table):
        raise Refused("name one table", hint="--temp-table PREFIX, or --table NAME")
    if temp_table:
        mssql.count_temp_rows(temp_table)
    else:
        mssql.count_rows("x", table)
    if not _DATABASE.fullmatch(database):
        raise Refused(f"{database[:60]!r} cannot be a database's name", hint="try default")


def progress(
    host: Host, temp_table: str, table: str, database: str, timeout_s: float
) -> list[Progress]:
    """Ask the database of a host, through it; raises Refused when there is nothing to ask."""
    url_key = f"{database.upper()}_DATABASE_URL"
    found = read_values(host, [url_key, TEMP_DATABASE])
    if url_key not in found or not found[url_key].value:
        raise Refused(f"{url_key} is not set", host=host.name, hint="see `config.check`")
    query = _query(temp_table, table, found.get(TEMP_DATABASE), host.name)
    try:
        login = mssql.parse_url(url_key, found[url_key])
        rows = mssql.ask(login, query, host.transport.dial, timeout_s)
    except OpsError as error:
        error.host = host.name
        raise
    if temp_table:
        named = sorted((mssql.table_name(str(name)), int(count)) for name, count in rows)
        return [Progress(name, count, True) for name, count in named]
    return [Progress(table, int(rows[0][0]), False)]


def _query(temp_table: str, table: str, temp_database: object, host: str) -> str:
    from opstasks.core.command import Secret

    if temp_table:
        return mssql.count_temp_rows(temp_table)
    if not isinstance(temp_database, Secret) or not temp_database.value:
        raise Refused(f"{TEMP_DATABASE} is not set", host=host, hint="see `config.check`")
    return mssql.count_rows(temp_database.value, table)
