"""`jobs.ls`: the selection, pages for a table, and the stream for JSON."""

import json
import os
import re
import sqlite3
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from opstasks.core.command import cmd
from opstasks.core.errors import CommandFailed, InvalidResponse, Refused
from opstasks.core.result import Result
from opstasks.fleet import framing
from opstasks.fleet.inventory import HostSpec
from opstasks.fleet.program import Reader
from opstasks.jobs.join import NO_STATE, HostContainers
from opstasks.jobs.listing import (
    PAGE_ROWS,
    STREAM,
    STREAM_ROWS,
    Joiner,
    StreamAnswer,
    StreamPart,
    StreamRequest,
    list_jobs,
    select,
    since_of,
    stream_jobs,
)
from opstasks.jobs.model import Container, Job
from opstasks.jobs.onhost import job_table as table
from opstasks.jobs.onhost import stream as stream_there
from opstasks.jobs.read import READ, JobsAnswer, JobSelection, JobsRequest
from tests.fake_host import Reply, answered, refused
from tests.jobs.jobs_help import HOSTILE, HOSTILE_TEXTS
from tests.jobs.table_help import add, hostile_names, ids

NOW = 1_800_000_000.0
RUNNING = JobSelection(("running",))


# -- what is selected ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "span_s"),
    [("90s", 90), ("30m", 1800), ("1h30m", 5400), ("2d", 172800), ("1w", 604800)],
)
def test_since_takes_spans(text, span_s):
    assert since_of(text) == (span_s, 0)


def test_since_takes_dates_in_utc():
    assert since_of("2026-11-24T10:00") == (0, 1795514400)
    assert since_of("2026-11-24") == (0, 1795478400)


@pytest.mark.parametrize("text", ["soon", "-1h", "1y", "h", "²d", "0s", "2026-13-01", "%"])
def test_since_refuses_invalid_values(text):
    with pytest.raises(Refused, match=r"^--since: .* is not"):
        since_of(text)


@pytest.mark.parametrize(
    ("state", "everything", "since", "states"),
    [
        ("", False, "", ("pending", "running")),
        ("", True, "", ()),
        ("", False, "2h", ()),
        ("failed", False, "", ("failed",)),
    ],
)
def test_jobs_that_are_not_over_are_the_default(state, everything, since, states):
    assert select(state, "", since, everything=everything).states == states


def test_an_unknown_state_is_refused_with_the_flag_and_the_known_ones():
    known = "--state must be pending, running, failed or succeeded, not 'runing'"
    with pytest.raises(Refused, match=known):
        select("runing", "", "", everything=False)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_workspace_that_cannot_be_printed_is_refused(name):
    if name.isprintable():
        assert select("", name, "", everything=True).workspace == name
    else:
        with pytest.raises(Refused, match="cannot be a workspace"):
            select("", name, "", everything=True)


# -- a table ---------------------------------------------------------------------------------


VOLUMES = "/srv/high_privacy/volumes"


def request(host, size, after=None, first=True):
    volumes = VOLUMES if first else ""
    return JobsRequest(
        host.spec.database,
        RUNNING,
        size,
        after,
        with_counts=first,
        with_docker=first,
        volumes=volumes,
    )


def job(id, created_at=1.0, **more):
    return Job(id, "w", "a", "running", "executing", created_at=created_at, **more)


def test_a_list_continues_after_the_last_job_of_a_page(fake_host):
    host = fake_host()
    docker = HostContainers(tuple(Container(f"os-job-{i}", "i", "running") for i in ("a", "c")))
    first = JobsAnswer(NOW, {}, {}, (job("a", 3), job("b", 2)), more=True, docker=docker)
    host.expect(READ, request(host, PAGE_ROWS), first)
    second = JobsAnswer(NOW + 1, {}, {}, (job("c", 1),))
    host.expect(READ, request(host, PAGE_ROWS, (2.0, "b"), first=False), second)
    found = list_jobs(host, RUNNING, 0)
    assert [(j.id, j.disagreement) for j in found.jobs] == [
        ("a", ""),
        ("b", "no container"),
        ("c", ""),
    ]
    assert (found.has_more, found.now) == (False, NOW + 1)


def test_a_list_has_no_more_jobs_than_its_limit(fake_host):
    host = fake_host()
    host.expect(READ, request(host, 1), JobsAnswer(NOW, {}, {}, (job("a"),), more=True))
    found = list_jobs(host, RUNNING, 1)
    assert ([j.id for j in found.jobs], found.has_more) == (["a"], True)


def test_a_page_of_jobs_with_long_messages_fits_into_an_answer():
    job = {"id": "a" * 16, "status_message": "No outputs found matching patterns:\n" * 100}
    assert len(json.dumps(job)) * PAGE_ROWS < READ.max_bytes


def test_orphans_are_listed_unless_the_selection_excludes_them(fake_host):
    docker = HostContainers((Container("os-job-lost", "i", "running"),))
    found = JobsAnswer(NOW, {}, {}, (), docker=docker)
    host = fake_host()
    host.expect(READ, request(host, 9), found)
    listed = list_jobs(host, RUNNING, 9)
    assert [(j.id, j.state) for j in listed.jobs] == [("lost", NO_STATE)]
    for hidden in (JobSelection((), "w"), JobSelection(("failed",)), JobSelection(since_s=9)):
        wanted = JobsRequest(host.spec.database, hidden, 9, with_docker=True, volumes=VOLUMES)
        host.expect(READ, wanted, found)
        assert list_jobs(host, hidden, 9).jobs == ()


def test_a_list_says_why_docker_did_not_answer(fake_host):
    host = fake_host()
    docker = HostContainers(problem="docker does not answer")
    host.expect(READ, request(host, 9), JobsAnswer(NOW, {}, {}, (job("a"),), docker=docker))
    found = list_jobs(host, RUNNING, 9)
    assert (found.docker_problem, found.jobs[0].disagreement) == ("docker does not answer", "")


# -- a stream --------------------------------------------------------------------------------


def stream_request(host, limit=0):
    return StreamRequest(host.spec.database, RUNNING, limit, STREAM_ROWS, VOLUMES)


def test_a_stream_passes_on_joined_jobs_and_then_orphans(fake_host):
    host, seen = fake_host(), []
    boxes = tuple(Container(f"os-job-{id}", "python:v1", "running") for id in ("lost", "known"))
    known = Job("known", "w", "a", "failed", updated_at=1)
    parts = [
        StreamPart(HostContainers(boxes, (known,)), NOW),
        StreamPart(jobs=(job("a"),)),
        StreamPart(jobs=(known,)),
    ]
    host.expect(STREAM, stream_request(host), answered(StreamAnswer(), parts))
    stream_jobs(host, RUNNING, 0, seen.extend)
    assert [(j.id, j.disagreement) for j in seen] == [
        ("a", "no container"),
        ("known", "container still runs, job is failed"),
        ("lost", "container without a job"),
    ]


def test_a_stream_without_a_database_is_refused(fake_host):
    host = fake_host()
    refusal = refused(table.NO_DATABASE).out
    host.expect(STREAM, stream_request(host), Reply(out=f"{refusal}\n"))
    with pytest.raises(Refused, match="there is no database") as caught:
        stream_jobs(host, RUNNING, 0, print)
    assert caught.value.hint == "inv -H tpp manage"


def test_an_interrupted_stream_is_a_failure(fake_host):
    host = fake_host()
    host.expect(STREAM, stream_request(host), Reply(1, "", "Killed"))
    with pytest.raises(CommandFailed, match="without an answer"):
        stream_jobs(host, RUNNING, 0, print)


@pytest.mark.parametrize(
    "part",
    [
        [],
        {"jobs": [{"id": None}]},
        {"jobs": "all"},
        {"jobs": [{"id": "a", "workspace": "w", "action": "a", "state": "x", "started_at": 1e12}]},
        {"now": -1},
    ],
)
def test_an_invalid_part_of_a_stream_is_an_invalid_response(fake_host, part):
    host = fake_host()
    text = json.dumps({"part": part}) + "\n"
    host.expect(STREAM, stream_request(host), Reply(0, text))
    with pytest.raises(InvalidResponse) as caught:
        stream_jobs(host, RUNNING, 0, print)
    assert caught.value.host == "tpp"


def test_a_stream_fails_at_its_end_when_docker_does_not_answer(fake_host):
    host, seen = fake_host(), []
    parts = [StreamPart(HostContainers(problem="it hangs"), NOW), StreamPart(jobs=(job("a"),))]
    host.expect(STREAM, stream_request(host), answered(StreamAnswer(), parts))
    with pytest.raises(CommandFailed, match="cannot read the containers: it hangs"):
        stream_jobs(host, RUNNING, 0, seen.extend)
    assert [(j.id, j.disagreement) for j in seen] == [("a", "")]


# -- the host's side, as a real program ------------------------------------------------------


@pytest.fixture
def database(tmp_path, job_table):
    """The table in a file, as on a host: a connection, and the host."""
    spec = HostSpec(name="h", address="h", local=True, home=str(tmp_path))
    Path(spec.database).parent.mkdir(parents=True)
    connection = sqlite3.connect(spec.database, isolation_level=None, timeout=0)
    job_table.backup(connection)
    yield connection, spec
    connection.close()


def streamed(spec, selection, *, limit=0, page_rows=3):
    """The pages of ids that the real program sends through a real shell."""
    command = STREAM.stream_command(StreamRequest(spec.database, selection, limit, page_rows, ""))
    done = subprocess.run(
        ["bash", "-c", command.line()],
        input=command.stdin.value.encode(),
        capture_output=True,
        check=True,
        env={**os.environ, "DOCKER_HOST": "unix:///nonexistent"},
    )
    taken = []
    joiner = Joiner(lambda page: taken.append([job.id for job in page]), orphans=True)
    reader = Reader(STREAM, "h", joiner.take)
    for start in range(0, len(done.stdout), 50):
        reader.take(done.stdout[start : start + 50])
    reader.end(Result("", 0, "", ""))
    joiner.end()
    assert "does not answer" in joiner.docker.problem
    return taken


def test_hostile_names_reach_a_real_program_and_database(database, tmp_path):
    connection, spec = database
    canary = tmp_path / "canary"
    names = [name.replace("/tmp/canary", str(canary)) for name in HOSTILE_TEXTS]
    for number, name in enumerate(names):
        add(connection, f"job{number}", name, "a")
    for number, name in list(enumerate(names))[3:14]:
        assert streamed(spec, JobSelection((), name)) == [[f"job{number}"], []]
    assert not canary.exists()


def test_500_hostile_names_pass_a_real_shell_unchanged(tmp_path):
    """As an argument, as input, and sometimes within a whole program."""
    canary, spec = tmp_path / "canary", HostSpec(name="h", address="h", local=True)
    names = [name.replace("/tmp/canary", str(canary)) for name in hostile_names()]
    tell, repeat = ("printf", "%s\\0"), cmd("sh", "-c", "cat; printf '\\0'")
    frames, sent = [], []
    for number, name in enumerate(names):
        commands = [cmd(*tell, name), replace(repeat, stdin=f"{name}\n")]
        sent += [name, f"{name}\n"]
        if number % 300 == 0:
            wanted = StreamRequest(spec.database, JobSelection((), name), 0, 5, "")
            program = STREAM.stream_command(wanted)
            text = program.stdin.value
            commands += [cmd(*tell, *program.args, text), replace(repeat, stdin=text)]
            sent += [*program.args, text, text]
        frames += [framing.frame(command, "mark") for command in commands]
    done = subprocess.run(
        ["bash", "--norc", "-c", f"{framing.FUNCTIONS}\n{framing.LOOP}"],
        input=b"".join(frames),
        capture_output=True,
        check=True,
    )
    answers = re.split(rb"\0mark 0\0", done.stdout)
    heard = [part for answer in answers for part in answer.split(b"\0") if part]
    assert [part.decode() for part in heard] == sent
    assert not canary.exists()


def test_a_stream_and_a_list_have_the_same_jobs_in_the_same_order(database):
    connection, spec = database
    for number in range(10):
        add(connection, f"job{number}", created_at=number // 2)
    expected = ids(table.newest(connection, {}, 99))
    assert [id for page in streamed(spec, JobSelection()) for id in page] == expected
    assert [len(page) for page in streamed(spec, JobSelection())] == [3, 3, 3, 1, 0]
    few = streamed(spec, RUNNING, limit=4)
    assert [id for page in few for id in page] == expected[:4]
    assert streamed(spec, JobSelection(("failed",))) == [[]]


def test_job_runner_can_write_while_a_stream_is_read_slowly(database):
    """A reader that waits in the middle of a query would lock the database."""
    connection, spec = database
    for number in range(10):
        add(connection, f"job{number}", created_at=number)
    with table.reading(spec.database) as reader:
        stream_there.note_ids(reader, {}, 0)
        pages = stream_there.pages(reader, 3)
        seen = next(pages)
        add(connection, "new", created_at=99)
        connection.execute("DELETE FROM job WHERE id = 'job0'")
        connection.execute("UPDATE job SET state = 'failed' WHERE id = 'job1'")
        seen += [row for page in pages for row in page]
    assert ids(seen) == [f"job{number}" for number in range(9, 0, -1)]
    assert seen[-1]["state"] == "failed"
