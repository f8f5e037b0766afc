"""Runs on the host, as the service account: ask docker by its socket.

Each start of the docker client costs 30 ms and more; a request on one kept connection costs
one or two, so that thirty containers can be looked at closely in the time of two such starts.
"""

import http.client
import json
import os
import socket
from typing import Any
from urllib.parse import quote

FAULTS = (OSError, ValueError, http.client.HTTPException)
SOCKET = "/var/run/docker.sock"


class EngineError(Exception):
    """Docker does not answer, or says no; `status` is HTTP's, 0 without an answer."""

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status


class Engine(http.client.HTTPConnection):
    """A connection to docker, kept open."""

    def __init__(self, path: str = "", timeout: float = 60) -> None:
        super().__init__("docker", timeout=timeout)
        host = os.environ.get("DOCKER_HOST", "")
        self.path = path or (host[len("unix://") :] if host.startswith("unix://") else SOCKET)

    def connect(self) -> None:
        """Open the socket instead of a TCP connection."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)

    def get(self, *path: str, **query: Any) -> Any:
        """The answer to ``/path/...?query``; raises EngineError."""
        try:
            answer = self._ask(path, query)
            found = json.loads(answer.read() or b"null")
        except FAULTS as error:
            self.close()
            raise EngineError(f"docker does not answer: {error or type(error).__name__}") from error
        return self._checked(answer.status, found)

    def first(self, count: int, *path: str, **query: Any) -> list[Any]:
        """The first few of the documents that docker streams; fewer when it ends before."""
        try:
            answer = self._ask(path, query)
            if answer.status != 200:
                self._checked(answer.status, json.loads(answer.read() or b"null"))
            lines = [line for line in (answer.readline() for _ in range(count)) if line.strip()]
            return [json.loads(line) for line in lines]
        except FAULTS as error:
            raise EngineError(f"docker does not answer: {error or type(error).__name__}") from error
        finally:
            self.close()

    def _ask(self, path: Any, query: Any) -> http.client.HTTPResponse:
        url = "/" + "/".join(quote(part, safe="") for part in path)
        words = [f"{key}={quote(_text(value), safe='')}" for key, value in query.items()]
        self.request("GET", f"{url}?{'&'.join(words)}")
        return self.getresponse()

    @staticmethod
    def _checked(status: int, found: Any) -> Any:
        if status != 200:
            message = found.get("message") if isinstance(found, dict) else ""
            raise EngineError(f"docker says: {message or status}", status)
        return found


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
