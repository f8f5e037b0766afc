"""Runs on the host, as the service account: ask docker through its socket.

Each start of the docker client costs 30 ms and more; a request on an open connection costs
one or two. So thirty containers can be inspected in the time of two such starts.

An engine refuses API versions that are too old or too new for it. So each connection first asks
which version the engine has, and uses that one.
"""

import contextlib
import http.client
import itertools
import json
import os
import re
import socket
from collections.abc import Generator
from typing import Any
from urllib.parse import quote

FAULTS = (OSError, ValueError, http.client.HTTPException)
SOCKET = "/var/run/docker.sock"
# The newest API version that this module was written for: Docker 29.
NEWEST_VERSION = (1, 52)
_VERSION = re.compile(r"(\d{1,3})\.(\d{1,3})")


class EngineError(Exception):
    """Docker does not answer, or refuses; `status` is the HTTP status, 0 without an answer."""

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status


def socket_path() -> str:
    """The socket that docker's own client would use; raises EngineError for other addresses."""
    address = os.environ.get("DOCKER_HOST", "")
    scheme, mark, path = address.partition("://")
    if not address:
        return SOCKET
    if scheme == "unix" and mark:
        return path or SOCKET
    # The rest of the address is not in the message: it may contain a password.
    found = f"has the scheme {scheme}://" if mark else "has no scheme"
    raise EngineError(f"DOCKER_HOST {found}: only unix://PATH is supported")


class Engine:
    """A connection to docker, kept open."""

    def __init__(self, path: str = "", timeout_s: float = 60) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._connection: _Connection | None = None
        self._version = ""

    def get(self, *path: str, **query: Any) -> Any:
        """The answer to ``/path/...?query``; raises EngineError."""
        return self._ask("GET", path, query)

    def post(self, *path: str, **query: Any) -> Any:
        """Docker's answer to a POST without content; raises EngineError."""
        return self._ask("POST", path, query)

    def delete(self, *path: str, **query: Any) -> Any:
        """Docker's answer to a DELETE; raises EngineError."""
        return self._ask("DELETE", path, query)

    def first(self, count: int, *path: str, **query: Any) -> list[Any]:
        """The first few of the documents that docker streams; fewer if the stream ends early."""
        with contextlib.closing(self.stream("GET", *path, **query)) as documents:
            return list(itertools.islice(documents, count))

    def stream(self, method: str, *path: str, **query: Any) -> Generator[Any, None, None]:
        """The documents that docker sends, as they arrive; raises EngineError.

        The connection is closed at the end of the stream, or when the stream is closed early.
        """
        try:
            answer = self._send(method, self._versioned(path, query))
            if not _is_good(answer):
                _checked(answer)
            while line := answer.readline():
                if line.strip():
                    yield json.loads(line)
        except FAULTS as error:
            raise self._silent(error) from error
        finally:
            self.close()

    @property
    def version(self) -> str:
        """The API version that both sides know; raises EngineError."""
        if not self._version:
            try:
                self._version = self._negotiated()
            except FAULTS as error:
                raise self._silent(error) from error
        return self._version

    def close(self) -> None:
        """End the connection; the next request opens another one."""
        if self._connection is not None:
            self._connection.close()

    def _ask(self, method: str, path: tuple[str, ...], query: dict[str, Any]) -> Any:
        try:
            return json.loads(_checked(self._send(method, self._versioned(path, query))) or b"null")
        except FAULTS as error:
            raise self._silent(error) from error

    def _versioned(self, path: tuple[str, ...], query: dict[str, Any]) -> str:
        parts = "/".join(quote(part, safe="/:@") for part in path)
        words = [f"{key}={quote(_text(value), safe='')}" for key, value in query.items()]
        return f"/v{self.version}/{parts}" + (f"?{'&'.join(words)}" if words else "")

    def _negotiated(self) -> str:
        """The engine's version, or our newest one if that is older."""
        answer = self._send("GET", "/_ping")
        _checked(answer)
        match = _VERSION.fullmatch(answer.headers.get("Api-Version", ""))
        if not match:
            raise EngineError("docker does not say which API version it has")
        major, minor = min((int(match[1]), int(match[2])), NEWEST_VERSION)
        return f"{major}.{minor}"

    def _send(self, method: str, url: str) -> http.client.HTTPResponse:
        if self._connection is None:
            self._connection = _Connection(self._path or socket_path(), self._timeout_s)
        self._connection.request(method, url)
        return self._connection.getresponse()

    def _silent(self, error: Exception) -> EngineError:
        """The error for an engine that gave no answer."""
        self.close()
        place = self._connection.path if self._connection else self._path
        return EngineError(f"docker does not answer: {error or type(error).__name__} ({place})")


class _Connection(http.client.HTTPConnection):
    """HTTP over a local socket."""

    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("docker", timeout=timeout_s)
        self.path = path

    def connect(self) -> None:
        """Open the socket instead of a TCP connection."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def _is_good(answer: http.client.HTTPResponse) -> bool:
    return 200 <= answer.status < 300


def _checked(answer: http.client.HTTPResponse) -> bytes:
    """The content of an answer; raises EngineError with docker's own words."""
    data = answer.read()
    if not _is_good(answer):
        text = _message(data) or f"{answer.status} {answer.reason}"
        raise EngineError(f"docker says: {text}", answer.status)
    return data


def _message(data: bytes) -> str:
    text = data.decode("utf-8", "replace").strip()
    try:
        found = json.loads(text)
    except ValueError:
        return text[:1000]
    return str(found["message"]).strip() if isinstance(found, dict) and "message" in found else ""


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
