"""The jobs in `status`: one answer of the host, with database and docker joined."""

import json

import pytest

from opstasks.core.result import Result
from opstasks.jobs.read import JobSelection, JobsRequest
from opstasks.status.inspect import decode, questions
from opstasks.status.judge import judge
from tests.status.status_help import SPEC, results

NOW = 1_800_000_000.0
JOB = {
    "id": "a",
    "workspace": "w",
    "action": "x",
    "state": "running",
    "status_code": "executing",
    "updated_at": NOW - 3600,
}
BOX = {"image": "i", "state": "running"}


def judged(answer, code=0):
    jobs = Result("", code, json.dumps(answer), "")
    return judge(decode(SPEC, results(jobs=jobs)), NOW)


def read(**more):
    return {"ok": {"now": NOW, "flags": {}, "counts": {"running": 1}, "jobs": [JOB], **more}}


def about_jobs(found):
    return [one.text for one in found.concerns if "systemd" not in one.text]


def test_jobs_and_containers_are_read_in_one_command():
    request = questions(SPEC)["jobs"].request
    volumes = f"{SPEC.high_privacy}/volumes"
    assert request == JobsRequest(
        SPEC.database, JobSelection(("running",)), 500, with_docker=True, volumes=volumes
    )


@pytest.mark.parametrize(
    ("docker", "texts"),
    [
        ({"containers": [{**BOX, "name": "os-job-a"}]}, []),
        ({}, ["job a: no container"]),
        (
            {"containers": [{**BOX, "name": f"os-job-{id}"} for id in ("a", "zz")]},
            ["job zz: container without a job"],
        ),
        ({"problem": "docker does not answer: it hangs"}, ["docker does not answer"]),
    ],
)
def test_disagreements_and_no_answer_from_docker_need_a_person(docker, texts):
    found = judged(read(docker=docker))
    assert about_jobs(found) == texts
    assert found.running == 1


@pytest.mark.parametrize(
    "reason", ["the database is locked", "the database is damaged: file is not a database"]
)
def test_jobs_in_an_unreadable_database_are_unknown(reason):
    found = judged({"refused": {"reason": reason}})
    assert about_jobs(found) == [f"jobs: unknown, {reason}"]
    assert (found.running, found.pending, found.failed_24h) == (None, None, None)


def test_jobs_that_failed_within_a_day_are_counted_in_the_same_answer():
    assert judged(read(ended_day={"failed": 3, "succeeded": 9})).failed_24h == 3
    assert judged(read()).failed_24h == 0


def test_of_many_disagreements_only_the_first_are_named():
    jobs = [{**JOB, "id": f"job{n}"} for n in range(9)]
    texts = about_jobs(judged(read(jobs=jobs)))
    assert len(texts) == 6
    assert texts[-1] == "4 more jobs disagree with docker"
