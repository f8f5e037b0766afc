"""`jobs.ls` and `jobs.stats` on a host with 40 000 jobs, 30 of them in containers.

Seconds from request to answer over an open connection without delay: the time on the host. Its
jobs are deleted first, so no other row may use them.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

from bench.environment import ROOT
from bench.measure import Sample
from bench.release import HOST, inv
from bench.rows import Options, Row
from opstasks.core.command import cmd
from opstasks.fleet.host import Host
from opstasks.fleet.host_settings import load
from opstasks.fleet.ssh import SSHTransport
from opstasks.jobs.listing import select
from opstasks.jobs.read import JobsRequest, read_jobs
from opstasks.jobs.stats import read_stats
from opstasks.sandbox import api as sandbox
from opstasks.sandbox import instance

RUNS = 3
# The limits, in seconds; jobs.stats includes two measurements, a second apart.
LIMITS_S = {"jobs.ls": 1.0, "jobs.stats": 4.0}


def rows(_: Options) -> Iterator[Row]:
    """A row for each task."""
    from tests.jobs import jobs_help

    sandbox.up(hosts=1)
    line = list(map(str, inv("manage", "--yes")))
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(line, cwd=ROOT, env=env, check=True, capture_output=True)
    (spec,) = load(instance.current().directory / "hosts.yaml").select([HOST])
    host = Host(spec, connect=SSHTransport)
    with jobs_help.many_jobs(sandbox, HOST):
        host.service.output(cmd("true"))
        yield from measured(host, jobs_help)
    host.close()


def measured(host: Host, jobs_help: Any) -> Iterator[Row]:
    """The rows, with their jobs checked."""
    active = select("", "", "", everything=False)
    request = JobsRequest(host.spec.database, active, 500, with_docker=True)
    asked: dict[str, Callable[[], object]] = {
        "jobs.ls": lambda: read_jobs(host, request).joined(),
        "jobs.stats": lambda: read_stats(host),
    }
    for task, ask in asked.items():
        row = Row(f"{task}, {jobs_help.ROWS} jobs, on the host", f"at most {LIMITS_S[task]:g} s")
        row.samples["opstasks"] = [timed(ask, jobs_help.CONTAINERS) for _ in range(RUNS)]
        yield row


def timed(ask: Callable[[], Any], wanted: int) -> Sample:
    """One request."""
    started = time.perf_counter()
    found = len(ask())
    seconds = time.perf_counter() - started
    return Sample(seconds, problem="" if found == wanted else f"{found} of {wanted} jobs")
