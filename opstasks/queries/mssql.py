"""Microsoft SQL Server: the login, names that are safe in a query, and running a query."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import SplitResult, unquote, urlsplit

from opstasks.core.command import Secret
from opstasks.core.errors import CommandFailed, InvalidResponse, Refused, TimedOut, Unreachable
from opstasks.core.hints import quoted
from opstasks.fleet.transport import Socket

PORT = 1433
LOGIN_TIMEOUT_S = 15
# More than the answers to our queries; the database may be hostile.
MAX_ANSWER_BYTES = 8 << 20
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,115}")
# A table has a partition for each index; indexes 0 and 1 are the table itself.
_ESTIMATE = (
    "SELECT t.name, SUM(p.rows) AS row_count FROM tempdb.sys.tables t"
    " JOIN tempdb.sys.partitions p ON t.object_id = p.object_id"
    " WHERE p.index_id IN (0, 1) AND t.name LIKE N'@pattern' GROUP BY t.name ORDER BY t.name"
)
Dial = Callable[[str, int, float], Socket]
Rows = list[tuple[Any, ...]]


@dataclass(frozen=True)
class Login:
    """The address of a database and the account to use; its repr hides everything."""

    address: str
    port: int
    database: str
    user: Secret
    password: Secret

    def __repr__(self) -> str:
        return "Login(***)"


def parse_url(key: str, url: Secret) -> Login:
    """A login from a database URL; raises Refused, without the URL in the message."""
    parts, port = _split(url)
    scheme = parts.scheme.partition("+")[0] if parts else ""
    if parts is None or not scheme or not parts.hostname or not parts.username:
        raise Refused(f"{key} is not a URL with a host and a user", hint="correct 02_secrets.env")
    if scheme != "mssql":
        shown = scheme if scheme.isalnum() else "something else"
        raise Refused(f"its database is {shown}", hint="only mssql is supported")
    return Login(
        address=parts.hostname,
        port=port or PORT,
        database=unquote(parts.path.strip("/")),
        user=Secret(unquote(parts.username)),
        password=Secret(unquote(parts.password or "")),
    )


def _split(url: Secret) -> tuple[SplitResult | None, int | None]:
    try:
        parts = urlsplit(url.value)
        return parts, parts.port
    except ValueError:
        return None, None


def valid_name(text: str, what: str) -> str:
    """A name that is a plain identifier; raises Refused for anything else."""
    if not _NAME.fullmatch(text):
        raise Refused(
            f"{quoted(text, 60)} is not valid as {what}",
            hint="names are letters, digits and underscores, and do not begin with a digit",
        )
    return text


def count_temp_rows(prefix: str) -> str:
    """The query for the estimated rows of temporary tables whose names start with `prefix`."""
    name = "#" + valid_name(prefix.removeprefix("#"), "a temporary table's name")
    # In a LIKE pattern, an underscore matches any character.
    pattern = name.replace("_", "[_]")
    return _ESTIMATE.replace("@pattern", pattern + "%")


def count_rows(database: str, table: str) -> str:
    """The query that counts the rows of a table without waiting for locks."""
    schema, _, name = table.rpartition(".")
    place = valid_name(database, "a database's name")
    owner = f"[{valid_name(schema, 'a schema')}]" if schema else ""
    full = f"[{place}].{owner}.[{valid_name(name, 'a table')}]"
    return f"SELECT COUNT_BIG(*) AS row_count FROM {full} WITH (NOLOCK)"  # noqa: S608


def table_name(internal: str) -> str:
    """A temporary table's own name, without the server's unique suffix."""
    return internal.partition("_____")[0] if internal.startswith("#") else internal


class _Tunnel:
    """A socket for the TDS library, over any other connection; it limits all that arrives."""

    def __init__(self, inner: Socket, timeout_s: float) -> None:
        self._inner = inner
        self._deadline = time.monotonic() + timeout_s
        self._left_bytes = MAX_ANSWER_BYTES
        self.logging_in = True

    def setsockopt(self, *_: Any) -> None:
        """Ignored: the socket is not ours."""

    def sendall(self, data: bytes, flags: int = 0) -> None:
        """Send all data."""
        self._inner.sendall(bytes(data))

    def recv(self, size: int) -> bytes:
        """Receive up to `size` bytes; raises InvalidResponse or TimeoutError above the limits."""
        if time.monotonic() > self._deadline:
            raise TimeoutError
        data = self._inner.recv(size)
        self._left_bytes -= len(data)
        if self._left_bytes < 0:
            limit = f"more than {MAX_ANSWER_BYTES >> 20} MiB"
            raise InvalidResponse(f"invalid response from the database: {limit}")
        return data

    def recv_into(self, buffer: bytearray | memoryview, size: int = 0, flags: int = 0) -> int:
        """Receive into a buffer."""
        data = self.recv(size or len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def settimeout(self, timeout: float | None) -> None:
        """Set the time limit in seconds."""
        self._inner.settimeout(timeout)

    def gettimeout(self) -> float | None:
        """The time limit in seconds."""
        return self._inner.gettimeout()

    def close(self) -> None:
        """Close the connection.

        During a successful login, the library closes it to follow a redirection. It would open a
        new connection from this machine, outside the tunnel, and send the password there.
        """
        self._inner.close()
        if self.logging_in and sys.exc_info()[0] is None:
            raise _Rerouted


class _Rerouted(Exception):
    """The server redirects to another one."""


def ask(login: Login, query: str, dial: Dial, timeout_s: float) -> Rows:
    """The rows of a query; raises Refused, Unreachable, TimedOut, InvalidResponse or CommandFailed.

    Errors include the server's message, with the parts of the login masked.
    """
    import pytds

    inner = dial(login.address, login.port, LOGIN_TIMEOUT_S)
    tunnel = _Tunnel(inner, LOGIN_TIMEOUT_S + timeout_s)
    try:
        return _rows(tunnel, login, query, timeout_s)
    except TimeoutError as error:
        raise TimedOut(f"the database did not answer within {timeout_s:g} s") from error
    except _Rerouted:
        raise Refused("the database redirects to another server, outside the tunnel") from None
    except pytds.Error as error:
        if tunnel.logging_in:
            raise _no_login(str(error), getattr(error, "msg_no", 0)) from None
        text = _masked(str(error.args[0] if error.args else error), login)
        raise CommandFailed("the database refused the query", returned=1, tail=text) from None
    except (OSError, EOFError) as error:
        raise Unreachable("the connection to the database was lost") from error
    finally:
        tunnel.logging_in = False
        tunnel.close()


def _rows(tunnel: _Tunnel, login: Login, query: str, timeout_s: float) -> Rows:
    """Log in through a tunnel and run a query; raises what the TDS library raises."""
    import pytds

    with pytds.connect(
        dsn="server",  # only a name in the login: the connection is already open
        database=login.database,
        user=login.user.value,
        password=login.password.value,
        sock=cast(Any, tunnel),
        port=login.port,
        timeout=timeout_s,
        login_timeout=LOGIN_TIMEOUT_S,
        autocommit=True,
        appname="opstasks",
        disable_connect_retry=True,
    ) as connection:
        tunnel.logging_in = False
        cursor = connection.cursor()
        cursor.execute(query)
        return [tuple(row) for row in cursor.fetchall()]


def _no_login(text: str, number: int) -> Refused:
    """Why the login failed; the server's text names the user, so it is not shown."""
    if "ncrypt" in text:
        return Refused("the database requires encryption, which is not supported here")
    reason = f" (error {number})" if number else ""
    return Refused(f"the database does not accept the login{reason}", hint="correct 02_secrets.env")


def _masked(text: str, login: Login) -> str:
    for word in (login.password.value, login.user.value, login.address):
        text = text.replace(word, "***") if word else text
    return text
