"""The jobs in `status`: one answer of the host, with database and docker joined."""

import json

import pytest

from opstasks.core.result import Result
from opstasks.fleet.inventory import HostSpec
from opstasks.jobs.read import JobSelection, JobsRequest
from opstasks.status.inspect import decode, questions
from opstasks.status.judge import judge
from opstasks.status.tasks import _row
from tests.status.status_help import answers_of_a_quiet_host

NOW = 1_800_000_000.0
SPEC = HostSpec(name="tpp")
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
    blank = Result("", 0, "", "")
    results = dict.fromkeys(questions(SPEC), blank)
    results |= answers_of_a_quiet_host()
    results["jobs"] = Result("", code, json.dumps(answer), "")
    return judge(decode(SPEC, results), NOW)


def read(**more):
    return {"ok": {"now": NOW, "flags": {}, "counts": {"running": 1}, "jobs": [JOB], **more}}


def about_jobs(found):
    return [text for text in found.attention if not text.startswith("the service")]


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
    assert (found.running, found.pending) == (None, None)
    assert (_row(found)["running"], _row(found)["pending"]) == ("unknown", "unknown")
