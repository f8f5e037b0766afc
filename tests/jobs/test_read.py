"""Reading a host's jobs: the request, the typed answer, and invalid answers."""

import json

import msgspec
import pytest

from opstasks.core.errors import InvalidResponse, Refused
from opstasks.core.result import Result
from opstasks.fleet.inventory import HostSpec
from opstasks.jobs.join import HostContainers
from opstasks.jobs.model import Container, Job
from opstasks.jobs.onhost import read as read_there
from opstasks.jobs.read import (
    READ,
    JobsAnswer,
    JobSelection,
    JobsRequest,
    jobs_answer,
    jobs_command,
    read_jobs,
)
from opstasks.onhost.engine import Engine
from tests.fake_host import Reply, failed, refused
from tests.jobs.table_help import FakeDocker, add

REQUEST = JobsRequest("/db", JobSelection(), 5)
NOTHING = {"now": 1.0, "flags": {}, "counts": {}, "jobs": []}
JOB = {"id": "a", "workspace": "w", "action": "a", "state": "running"}
BOX = {"name": "os-job-a", "image": "i", "state": "running"}


def said(answer):
    return Reply(out=json.dumps({"ok": answer}))


def test_an_answer_is_decoded(fake_host):
    answer = JobsAnswer(
        5.0,
        {"paused": ("true", 4.0)},
        {"running": 1},
        (Job("a", "w", "a", "running"),),
        docker=HostContainers((Container("os-job-a", "i", "running"),)),
    )
    host = fake_host()
    host.expect(READ, REQUEST, answer, user="opensafely")
    found = read_jobs(host, REQUEST)
    assert found == answer
    assert (found.count("running"), found.count("failed")) == (1, 0)


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {**NOTHING, "now": 1e12},
        {**NOTHING, "counts": {"running": -1}},
        {**NOTHING, "counts": {"running": "1"}},
        {**NOTHING, "flags": {"paused": "true"}},
        {**NOTHING, "flags": {"paused": ["true", None]}},
        {**NOTHING, "jobs": None},
        {**NOTHING, "jobs": [{**JOB, "workspace": None}]},
        {**NOTHING, "jobs": [{**JOB, "id": 7}]},
        {**NOTHING, "jobs": [{**JOB, "created_at": "yesterday"}]},
        {**NOTHING, "jobs": [{**JOB, "created_at": -1}]},
        {**NOTHING, "jobs": [{**JOB, "updated_at": 1_795_546_577_500_000_000}]},
        {**NOTHING, "jobs": [{"workspace": "w"}]},
        {**NOTHING, "docker": {"containers": [{**BOX, "memory_limit_bytes": -1}]}},
        {**NOTHING, "docker": {"containers": [{**BOX, "mount": ["volume"]}]}},
        {**NOTHING, "docker": {"containers": [{**BOX, "exit_code": "0"}]}},
    ],
)
def test_an_invalid_answer_names_the_host(fake_host, answer):
    host = fake_host()
    host.expect(READ, REQUEST, said(answer))
    with pytest.raises(InvalidResponse) as caught:
        read_jobs(host, REQUEST)
    assert caught.value.host == "tpp"


@pytest.mark.parametrize(
    ("reason", "hint"),
    [("there is no database", "manage"), ("file is not a database", "doctor")],
)
def test_an_unreadable_database_is_refused_with_a_hint(fake_host, reason, hint):
    host = fake_host()
    host.expect(READ, REQUEST, refused(reason))
    with pytest.raises(Refused, match=f"cannot read the jobs: {reason}") as caught:
        read_jobs(host, REQUEST)
    assert caught.value.hint == f"inv -H tpp {hint}"


def test_a_refusal_by_the_connection_keeps_its_own_hint(fake_host):
    host = fake_host()
    host.expect(READ, REQUEST, Refused("no password", hint="run in a terminal"))
    with pytest.raises(Refused, match=r"^no password") as caught:
        read_jobs(host, REQUEST)
    assert caught.value.hint == "run in a terminal"


# -- with other questions, in one round trip -------------------------------------------------


def test_the_command_requests_no_jobs_by_default():
    spec = HostSpec(name="h", home="/home/x")
    command = jobs_command(spec)
    assert command.request == JobsRequest(spec.database, JobSelection(), 0)


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        (refused("there is no database"), "there is no database"),
        (failed("broken", "line 1\nline 2"), "broken: line 2"),
        (Reply(127, "", "python3: not found"), "python3: not found"),
        (Reply(0, "nonsense"), "invalid response from the host"),
        (said({**NOTHING, "counts": {"running": -1}}), "invalid response from the host"),
    ],
)
def test_an_unreadable_database_is_not_zero_jobs(reply, problem):
    found = jobs_answer(Result("", reply.code, reply.out, reply.err), "tpp")
    assert problem in found.problem
    assert found.count("running") is None
    assert (found.jobs, found.flags, found.joined(orphans=True)) == ((), {}, ())


def test_an_empty_database_is_zero_jobs():
    found = jobs_answer(Result("", 0, json.dumps({"ok": NOTHING}), ""), "tpp")
    assert (found.problem, found.count("running")) == ("", 0)


# -- the host's side -------------------------------------------------------------------------


def read_on(connection, docker, **words):
    request = msgspec.to_builtins(JobsRequest("", JobSelection(), 5)) | words
    answer = read_there.answer(connection, docker, request)
    return msgspec.convert(json.loads(json.dumps(answer)), JobsAnswer)


def test_the_hosts_answer_is_what_the_client_expects(job_table):
    add(job_table, "a", status_code="executing")
    add(job_table, "b", state="failed", created_at=0)
    found = read_on(job_table, FakeDocker(["os-job-b", "os-job-lost"]), limit=1)
    assert ([job.id for job in found.jobs], found.more) == (["a"], True)
    assert found.counts == {"running": 1, "failed": 1}
    assert [job.id for job in found.docker.jobs] == ["a", "b"]
    assert found.docker.volumes == ("a", "ab")
    listed = {job.id: job.disagreement for job in found.joined(orphans=True)}
    assert listed == {
        "a": "no container",
        "b": "container still runs, job is failed",
        "lost": "container without a job",
        "ab": "volume without a job",
    }


def test_the_answer_says_that_docker_did_not_answer(job_table):
    add(job_table, "a", status_code="executing")
    found = read_on(job_table, Engine("/nonexistent/docker.sock"))
    assert "does not answer" in found.docker.problem
    assert [job.disagreement for job in found.joined(orphans=True)] == [""]


def test_docker_is_asked_only_on_request(job_table):
    assert read_on(job_table, None).docker == HostContainers()
