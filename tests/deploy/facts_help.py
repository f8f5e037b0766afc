"""The client's facts about a host with a new release to deploy."""

from dataclasses import replace

from opstasks.deploy.facts import (
    CheckoutFacts,
    Commit,
    DeployDatabase,
    DeployDisk,
    DeployFacts,
    DeployJob,
    Migration,
)
from opstasks.deploy.release import Release

COMMIT = Commit("abc1234", "A", "Say hello")
CODE = CheckoutFacts("/code", "main", "a" * 40, "v1", "b" * 40, "v2", gained=(COMMIT,))
LIB = CheckoutFacts("/lib", "main", "c" * 40, "v1", "c" * 40, "v1")
FACTS = DeployFacts(
    code=CODE,
    lib=LIB,
    database=DeployDatabase(
        exists=True,
        size_bytes=10**6,
        user_version=1,
        quick_check="ok",
        running=(DeployJob("job1", "ws", "act"),),
    ),
    disks=(DeployDisk("state", 1, 10**9), DeployDisk("code", 2, 10**9)),
    unit_state="active",
    unit_loaded=True,
    may_control=True,
    docker_answers=True,
    releases=(),
    migrations=(Migration(2, "ALTER TABLE job"),),
    code_version=2,
)
# Nothing to deploy.
STAY = replace(
    FACTS, code=replace(CODE, target=CODE.head, gained=()), migrations=(), code_version=1
)
# An unfinished release.
RECORD = Release(
    id="20240101T000000-abc",
    who="a@b",
    from_code="a" * 40,
    to_code="b" * 40,
    from_name="v1",
    to_name="v2",
    step="moved",
    snapshot="/snap",
    from_version=1,
    to_version=2,
)
