"""Runs on the host, as the service account: the last statement of each running database job.

A statement's text is in the answer only on request. Times are Docker's times of arrival, so a
job's own clock and format do not matter.
"""

import json
import subprocess
import time
from collections.abc import Iterator
from typing import Any

from opstasks.onhost.commands import attempt, said
from opstasks.onhost.environment import environment
from opstasks.onhost.protocol import Answer, HostRefusal, Request
from opstasks.queries.onhost.job_logs import SQL_LENGTH, last_statement

# Images whose jobs use the database, and whose logs we can parse.
IMAGES = ("cohortextractor", "databuilder", "ehrql", "sqlrunner")
TAIL = 10_000


class UnreadableLogError(Exception):
    """Docker could not read a container's log, or not to its end."""


def log_lines(container: str, tail: str) -> Iterator[str]:
    """A container's lines from both streams, with dates; they are not all in memory at once.

    Raises UnreadableLogError at the end; its text has nothing of the log.
    """
    process = subprocess.Popen(
        ["docker", "logs", "--timestamps", "--tail", tail, "--", container],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        close_fds=False,
    )
    assert process.stdout
    try:
        while line := process.stdout.readline(SQL_LENGTH):
            yield line
    finally:
        process.stdout.close()
        code = process.wait()
    if code:
        raise UnreadableLogError(f"docker cannot read its log (exit code {code})")


def containers() -> list[dict[str, Any]]:
    """The running job containers; raises HostRefusal when Docker does not answer."""
    words = ("--no-trunc", "--filter", "name=^os-job-", "--format", "{{json .}}")
    done = attempt("docker", "ps", *words, timeout_s=60)
    if done.returncode:
        raise HostRefusal(f"cannot read the jobs: docker ps: {said(done)[-1]}")
    return [json.loads(line) for line in done.stdout.split("\n") if line.startswith("{")]


def label(container: dict[str, Any], name: str) -> str:
    """One of a container's labels."""
    pairs = (item.partition("=") for item in container.get("Labels", "").split(","))
    return next((value for key, _, value in pairs if key == name), "")


def image_name(image: str) -> str:
    """The name of an image without registry and version: ``ehrql`` of ``ghcr.io/.../ehrql:v1``."""
    return image.partition("@")[0].rpartition("/")[2].partition(":")[0]


def statement_of(container: dict[str, Any], *, with_sql: bool) -> dict[str, Any]:
    """One job and its last statement, or why that is unknown."""
    name, image = container["Names"], container["Image"]
    job: dict[str, Any] = {
        "job": name.removeprefix("os-job-"),
        "workspace": label(container, "workspace"),
        "action": label(container, "action"),
        "image": image,
        "now_at": time.time(),
    }
    if image_name(image) not in IMAGES:
        return {**job, "reason": "the log format of this image is unknown"}
    try:
        # First only the end of the log: the last statement is usually in it.
        found = last_statement(log_lines(name, str(TAIL))) or last_statement(log_lines(name, "all"))
    except UnreadableLogError as error:
        return {**job, "reason": str(error)}
    if not found:
        return {**job, "reason": "its log contains no statement"}
    return {**job, **found, "sql": found["sql"] if with_sql else ""}


def main(request: Request) -> Answer:
    """Every running job that uses the database, in the order of `docker ps`."""
    named = environment(request["config_dir"]).get("DATABASE_ACCESS_NETWORK")
    network = named or request["network"]
    chosen = [
        item
        for item in containers()
        if image_name(item["Image"]) in IMAGES or network in item.get("Networks", "").split(",")
    ]
    return {"jobs": [statement_of(item, with_sql=request["with_sql"]) for item in chosen]}
