"""A stub of the job-server that job-runner polls. It runs in its own container.

Hosts are identified by their address (`hosts.json` in the data directory: name by address).
For host H:
- `H.requests.json` is the answer to a poll: a list of job requests; a missing file means none;
- `H.jsonl` collects job-runner's posts, one per line, with the time;
- `H.poll.json` has the time, backend and flags of the last poll.
"""

from __future__ import annotations

import argparse
import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit


class JobServerHandler(BaseHTTPRequestHandler):
    """Answers one request."""

    data: Path
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Job requests; at the root, the name of the host that asks."""
        url = urlsplit(self.path)
        if url.path == "/api/v2/job-requests/":
            backend = parse_qs(url.query).get("backend", [""])[0]
            self.answer(200, {"results": self.job_requests(backend)})
        elif url.path == "/":
            self.answer(200, {"host": self.host()})
        else:
            self.answer(404, {"error": "no such page"})

    def do_POST(self) -> None:
        """Record the jobs that a host reports."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if urlsplit(self.path).path != "/api/v2/jobs/":
            self.answer(404, {"error": "no such page"})
            return
        try:
            line = json.dumps({"at": time.time(), "jobs": json.loads(body)})
        except ValueError:
            self.answer(400, {"error": "not JSON"})
            return
        with (self.data / f"{self.host()}.jsonl").open("a") as file:
            file.write(line + "\n")
        self.answer(200, {"status": "success"})

    def job_requests(self, backend: str) -> Any:
        """The answer to this host's poll; the poll itself is recorded."""
        poll = {"at": time.time(), "backend": backend, "flags": self.flags()}
        part = self.data / f".{self.host()}.poll.part"
        part.write_text(json.dumps(poll))
        part.replace(self.data / f"{self.host()}.poll.json")
        try:
            return json.loads((self.data / f"{self.host()}.requests.json").read_text())
        except FileNotFoundError:
            return []

    def flags(self) -> Any:
        """job-runner's flags, from a header of the request."""
        try:
            return json.loads(self.headers.get("Flags", "{}"))
        except ValueError:
            return {}

    def host(self) -> str:
        """The name of the host that asks; the address if it is unknown."""
        caller = str(self.client_address[0])
        try:
            known: dict[str, str] = json.loads((self.data / "hosts.json").read_text())
        except FileNotFoundError:
            known = {}
        return known.get(caller, caller)

    def answer(self, status: int, content: Any) -> None:
        """Send JSON."""
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Write no log, because hosts poll every few seconds."""


def server(data: Path, port: int, address: str = "0.0.0.0") -> ThreadingHTTPServer:  # noqa: S104
    """A server ready to serve; port 0 takes a free one."""
    handler = type("Handler", (JobServerHandler,), {"data": data})
    return ThreadingHTTPServer((address, port), handler)


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(description="A stub of the job-server.")
    parser.add_argument("--data", type=Path, required=True, help="where to serve and record")
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args()
    server(options.data, options.port).serve_forever()


if __name__ == "__main__":
    main()
