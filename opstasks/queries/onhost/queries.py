"""Runs on the host, as the service account: which statement each running database job is at.

`main` gets a JSON request ``{config_dir, network, sql}``, where `network` is the one that
jobs of the database are in unless the configuration says another, and prints a JSON answer. A
statement's text is in it only when `sql` says so. Times are docker's, of the line's arrival, so a
job's own clock and format do not matter.
"""

import calendar
import contextlib
import json
import re
import subprocess
import time
from collections.abc import Iterable, Iterator
from typing import Any

from opstasks.onhost.environment import environment

# Images whose jobs talk to the database, and whose logs are understood.
IMAGES = ("cohortextractor", "databuilder", "ehrql", "sqlrunner")
TAIL = 10_000
# Statements can be very large; this much of one is kept.
SQL_LENGTH = 200_000

ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?Z ?(.*)", re.DOTALL)
# How a record begins: a date, in brackets or not, or a level in brackets, or both.
DATE = r"\[?\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d[^\s\]]*(?: UTC)?\]?\s*"
LEVEL = r"\[(?:debug|info|warning|warn|error|critical|exception)\s*\]\s*"
RECORD = re.compile(rf"(?:{DATE}(?:{LEVEL})?|{LEVEL})", re.IGNORECASE)
STATEMENT = re.compile(
    r"(?:SQL:|Running: |"
    r"(?:(?:--[^\n]*\n|\s)*(?:INSERT|SELECT|CREATE|DROP|UPDATE|DELETE|TRUNCATE|WITH|MERGE|EXEC"
    r"|BEGIN|ALTER|DECLARE|SET)\b))"
)
Statement = dict[str, Any]


def records(lines: Iterable[str]) -> Iterator[tuple[float, str]]:
    """Log records with their time in seconds: a first line, and those that continue it."""
    when, text = 0.0, ""
    for line in lines:
        match = STAMP.match(line.rstrip("\r\n"))
        if not match:
            continue
        rest = ANSI.sub("", match[3])
        begins = RECORD.match(rest)
        if begins or not when:
            if when:
                yield when, text
            when, text = seconds(match[1], match[2]), rest[begins.end() if begins else 0 :]
        elif len(text) < SQL_LENGTH:
            text += "\n" + rest
    if when:
        yield when, text


def seconds(whole: str, fraction: str | None) -> float:
    """Docker's time as seconds since the epoch."""
    return calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) + float(fraction or 0)


def last_statement(lines: Iterable[str]) -> Statement | None:
    """The last statement: when it began, and when the record after it came (0: none did)."""
    found: Statement | None = None
    for when, text in records(lines):
        if STATEMENT.match(text):
            found = {"began": when, "ended": 0.0, "sql": text.removeprefix("SQL:").strip()}
        elif found and not found["ended"]:
            found["ended"] = when
    return found


def log_lines(container: str, tail: str) -> Iterator[str]:
    """A container's lines as they come, both streams, dated; never all in memory."""
    process = subprocess.Popen(
        ["docker", "logs", "--timestamps", "--tail", tail, "--", container],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    assert process.stdout
    try:
        while line := process.stdout.readline(SQL_LENGTH):
            yield line
    finally:
        process.stdout.close()
        process.wait()


def containers() -> list[dict[str, Any]]:
    """The job containers that run."""
    done = subprocess.run(
        ["docker", "ps", "--no-trunc", "--filter", "name=^os-job-", "--format", "{{json .}}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def label(container: dict[str, Any], name: str) -> str:
    """One of a container's labels."""
    pairs = (item.partition("=") for item in container.get("Labels", "").split(","))
    return next((value for key, _, value in pairs if key == name), "")


def image_name(image: str) -> str:
    """The ehrql of ghcr.io/opensafely-core/ehrql:v1."""
    return image.partition("@")[0].rpartition("/")[2].partition(":")[0]


def look(container: dict[str, Any], *, sql: bool) -> dict[str, Any]:
    """One job: its last statement, or why it cannot be told."""
    name = container["Names"]
    fact: dict[str, Any] = {
        "job": name.removeprefix("os-job-"),
        "workspace": label(container, "workspace"),
        "action": label(container, "action"),
        "image": container["Image"],
        "reason": "",
    }
    if image_name(container["Image"]) not in IMAGES:
        return fact | {"reason": "this image's log is in no format that we know"}
    # The end first: statements are long, but seldom this long.
    found = last_statement(log_lines(name, str(TAIL))) or last_statement(log_lines(name, "all"))
    if not found:
        return fact | {"reason": "there is no statement in its log"}
    if not sql:
        del found["sql"]
    return fact | found


def main(request: str) -> None:
    """Answer a request; a docker that does not answer is an answer, too."""
    asked = json.loads(request)
    network = environment(asked["config_dir"]).get("DATABASE_ACCESS_NETWORK") or asked["network"]
    try:
        chosen = [
            item
            for item in containers()
            if image_name(item["Image"]) in IMAGES or network in item.get("Networks", "").split(",")
        ]
        jobs = [look(item, sql=asked["sql"]) for item in chosen]
        answer = {"jobs": jobs, "now": time.time()}
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", "") or str(error)
        answer = {"error": said.strip().splitlines()[-1] if said.strip() else "docker failed"}
    with contextlib.suppress(BrokenPipeError):
        print(json.dumps(answer))
