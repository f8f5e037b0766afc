"""Recorded facts of a backend's hosts, for the screens of deploy."""

from dataclasses import replace

from opstasks.deploy.facts import Commit, DeployJob, Migration
from opstasks.deploy.plan import make_plan
from opstasks.deploy.release import Release
from tests.deploy.facts_help import CODE, FACTS, LIB

COMMITS = (
    Commit("3c67cf9", "Ann", "Refuse database jobs with stale codelists"),
    Commit("b15e6a2", "Ann", "Leave large and unexpected files out of level 4"),
    Commit("6801562", "Bob", "Sample container memory with less noise"),
    Commit("df458d3", "Bob", "Log job status with its request"),
    Commit("e623988", "Cat", "Record level 4 exclusions and database needs"),
)
LOST = (Commit("0ddba11", "Dan", "Try a longer timeout on this host only"),)
MIGRATIONS = (
    Migration(2, "ALTER TABLE job ADD COLUMN level4_excluded_files TEXT;"),
    Migration(3, "ALTER TABLE job ADD COLUMN requires_db BOOLEAN;"),
)
OLD = replace(
    FACTS,
    code=replace(CODE, head_name="v2.71.0", target_name="v2.73.0", gained=COMMITS),
    lib=LIB,
    migrations=MIGRATIONS,
    code_version=3,
    missing_keys=("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_SERVICE_NAME"),
)
STOPPED = replace(OLD, service="stopped", service_for_s=10_900.0)
DIVERGED = replace(
    OLD, code=replace(OLD.code, head="d" * 40, head_name="v2.71.0-1-g0ddba11", lost=LOST)
)
NEW = replace(
    OLD,
    code=replace(OLD.code, head="b" * 40, head_name="v2.73.0", gained=()),
    database=replace(OLD.database, user_version=3),
    migrations=(),
    missing_keys=(),
)
UNDONE = Release(
    id="20261126T021300-abc123",
    who="ops@laptop",
    from_name="v2.71.0",
    to_name="v2.73.0",
    from_version=1,
    to_version=3,
    outcome="deployed",
    snapshot="/snap",
)
# Back to 2.71.0: the commits are taken back.
BACK = replace(
    NEW,
    code=replace(NEW.code, target="a" * 40, target_name="v2.71.0", lost=COMMITS),
    code_version=1,
)
MANY_JOBS = tuple(DeployJob(f"job{n}", "ws", "act") for n in range(12))


def plan(facts, **how):
    return make_plan(facts, watch_s=15, **how)


def rollback(facts):
    return make_plan(facts, restores=UNDONE, watch_s=15)
