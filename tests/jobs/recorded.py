"""Jobs of two hosts at 07:56 on 2026-11-26, as their hosts answered, for screens."""

from dataclasses import replace

from opstasks.core.clock import Clock
from opstasks.core.errors import Unreachable
from opstasks.core.result import FleetResult, HostResult
from opstasks.jobs.listing import Listing
from opstasks.jobs.model import Job

NOW = 1_795_679_760.0
CLOCK = Clock(NOW)
MINUTE = 60


def clock():
    return CLOCK


REGISTRY = "ghcr.io/opensafely-core"


def running(id, workspace, action, minutes, **more):
    job = Job(
        id,
        workspace,
        action,
        "running",
        "executing",
        created_at=NOW - minutes * MINUTE - 3,
        started_at=NOW - minutes * MINUTE,
        updated_at=NOW - minutes * MINUTE,
        image=f"{REGISTRY}/python:latest",
        container="running",
        status_message="Executing job on the backend",
        cpu_limit_cores=2.0,
        memory_limit_bytes=4 << 30,
    )
    return replace(job, **more)


EXTRACT = running(
    "ovlotuqhnfcjxr2q",
    "study-b",
    "extract",
    12,
    memory_bytes=2_620_000_000,
    image=f"{REGISTRY}/ehrql:v1",
)
LONGER = running("mhc4pvwnyfi7uzsa", "test", "longer", 13, memory_bytes=170_000_000)
WAITING = Job(
    "k2x7apbcdefg2345",
    "test",
    "after_quick",
    "pending",
    "waiting_on_dependencies",
    created_at=NOW - 6 * MINUTE,
    status_message="Waiting on dependencies",
)
GONE = running(
    "e44o5jq7wmznabcd",
    "other",
    "describe",
    40,
    container="exited",
    disagreement="container has exited",
)
OLD = Job(
    "zzyyxxwwvvuu2345",
    "a-workspace-with-a-very-long-name-indeed",
    "an_action_with_a_very_long_name_as_well",
    "failed",
    "internal_error",
    created_at=NOW - 3 * 86400,
    started_at=NOW - 3 * 86400 + 5,
    completed_at=NOW - 3 * 86400 + 4000,
    status_message="Internal error: this usually means a platform issue rather than a problem",
)
LEFT = Job(
    "llmmnnooppqq2345",
    "study-b",
    "model",
    "failed",
    "nonzero_exit",
    created_at=NOW - 7200,
    started_at=NOW - 7190,
    completed_at=NOW - 7000,
    left="container and volume",
    container="exited",
    disagreement="container and volume still there, job is failed",
)
COUNTS = {"running": 2, "pending": 0, "failed": 1}


def result_of(**listings):
    """A fleet whose hosts listed these jobs."""
    return FleetResult(
        [HostResult(host.replace("_", "-"), "ok", found) for host, found in listings.items()]
    )


def drawn_hosts():
    """The hosts of the drawing."""
    return result_of(
        sandbox_1=Listing((EXTRACT, LONGER), "", NOW, "sandbox-1", COUNTS),
        sandbox_2=Listing((WAITING, GONE), "", NOW, "sandbox-2", {"running": 1, "pending": 1}),
    )


def odd_hosts():
    """Long and odd values, a host without an answer, leftovers, more jobs than shown."""
    many = tuple(replace(LEFT, id=f"llmmnnoop{n}qq2345") for n in (2, 3, 4, 5))
    hostile = replace(EXTRACT, id="-rf", workspace="a\nb\x1b[2J", action="日本語" * 20)
    found = result_of(
        a_host_with_a_long_name=Listing((OLD, LEFT, *many), "", NOW, "h", has_more=True),
        two=Listing((hostile, GONE), "docker does not answer:\n\x1b[2J" + "x " * 80, NOW, "two"),
    )
    silent = HostResult("tpp", "unreachable", error=Unreachable("no answer", host="tpp"))
    return FleetResult([*found.results, silent])
