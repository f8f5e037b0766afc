"""`jobs.show`: the history of a job, and what is known about it as text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.core.errors import TimedOut
from opstasks.fleet.inventory import HostSpec
from opstasks.jobs.model import Container, Job, LogFile, Match
from opstasks.jobs.show import drawn, events, known, read_timeline, records_request, statuses
from opstasks.primitives import journal
from tests.fake_host import failed, refused

NOW = 1_800_000_000.0
LINES = [
    "2026-11-24T18:56:18.426656+0000 sandbox-1 python3[360]: 2026-11-24 18:56:18.426Z run  "
    "Preparing your code and workspace files status=StatusCode.PREPARING workspace=w1 id=a",
    "2026-11-24T18:56:20.135437+0000 sandbox-1 python3[360]: 2026-11-24 18:56:20.133Z run  "
    "State change for job a: X -> Y status=StatusCode.PREPARING workspace=w1 id=a",
    "2026-11-24T18:56:21.097364+0000 sandbox-1 python3[360]: 2026-11-24 18:56:21.097Z run  "
    "Executing job on the backend status=StatusCode.EXECUTING workspace=w1 id=a",
    "2026-11-24T18:56:22.097364+0000 sandbox-1 python3[360]: 2026-11-24 18:56:22.097Z run  "
    "Executing job on the backend status=StatusCode.EXECUTING workspace=w1 id=a",
    "not one of ours",
]
OVER = Job(
    "a",
    "ws",
    "act",
    "failed",
    "nonzero_exit",
    created_at=1795546574,
    started_at=1795546577,
    completed_at=1795546582,
    updated_at=1795546582,
    status_message="Job exited",
)


# -- the history -----------------------------------------------------------------------------


def test_the_time_of_each_status_is_read_from_the_services_lines():
    assert [(round(event.at), event.name) for event in statuses(LINES)] == [
        (1795546578, "preparing"),
        (1795546581, "executing"),
    ]


@given(st.lists(st.text()))
def test_the_journal_may_have_any_line(lines):
    assert statuses(lines) == ()


@pytest.mark.parametrize("time", ["2026-13-24T18:56:18.4+0000", "2026-11-24T1:2:3:4+0000"])
def test_a_line_with_an_impossible_time_is_left_out(time):
    assert statuses([LINES[0].replace("2026-11-24T18:56:18.426656+0000", time)]) == ()


def test_the_history_is_in_order_and_ends_with_the_completion():
    box = Container(
        "os-job-a", "i", "exited", exit_code=1, started_at=1795546579.5, finished_at=1795546580
    )
    found = events(Match("h", OVER, box), statuses(LINES))
    assert [event.name for event in found] == [
        "created",
        "started",
        "preparing",
        "container started",
        "container ended",
        "executing",
        "completed",
    ]
    assert found[4].text == "exit code 1"
    assert [event.at for event in found] == sorted(event.at for event in found)


@pytest.mark.parametrize(
    ("reply", "missing"),
    [
        (journal.JournalAnswer(()), ""),
        (TimedOut("late"), "the journal took more than 20 s"),
        (failed("no", "Bad message"), "the journal cannot be read: Bad message"),
        (refused("no", "No permission"), "the journal cannot be read: No permission"),
    ],
)
def test_a_timeline_says_what_is_missing(fake_host, reply, missing):
    job = Job(
        "abc",
        "w",
        "a",
        "succeeded",
        created_at=NOW,
        started_at=NOW + 1,
        completed_at=NOW + 2,
    )
    host = fake_host()
    host.expect(journal.RECORDS, records_request(host.spec, job), reply, user="opensafely")
    timeline = read_timeline(host, Match("h", job))
    assert timeline.missing == missing
    assert [event.name for event in timeline.events] == ["created", "started", "completed"]


def test_the_journal_is_read_from_a_day_before_to_a_day_after():
    job = Job("abc", "w", "a", "failed", created_at=NOW, completed_at=NOW + 2)
    request = records_request(HostSpec(name="h"), job)
    assert f"--until=@{NOW + 2 + 86400:.0f}" in request.options
    assert request.word == "id=abc"


# -- as text ---------------------------------------------------------------------------------


def test_each_known_value_has_a_line_and_empty_values_have_none():
    box = Container("os-job-a", "python:v1", "exited", exit_code=3, cpus=0.5, memory_bytes=1024)
    row = {"outputs": '{"a.csv": "moderately_sensitive"}', "wait_for_job_ids": '["b", "c"]'}
    log = LogFile("/logs/logs.txt", 2048)
    found = dict(known(Match("h", OVER, box, ("volume", "v"), (log,), row=row)))
    assert found["state"] == "failed (nonzero_exit)"
    assert found["outputs"] == "a.csv (moderately_sensitive)"
    assert found["waits for"] == "b, c"
    assert (found["exit code"], found["volume"]) == ("3", "volume v")
    assert found["limits"] == "0.5 cpu(s), 1 KiB memory"
    assert found["log file"] == "/logs/logs.txt (2 KiB)"
    assert "commit" not in found


@given(
    st.dictionaries(
        st.sampled_from(["outputs", "wait_for_job_ids", "cancelled", "commit", "repo_url"]),
        st.none() | st.integers() | st.floats() | st.text() | st.lists(st.text()),
    )
)
def test_a_row_may_have_values_of_any_type(row):
    for name, value in known(Match("h", OVER, row=row)):
        assert name
        assert isinstance(value, str)


def test_a_history_is_drawn_with_the_time_between_events():
    job = Job("a", "ws", "act", "running", "executing", created_at=1795546574, updated_at=NOW)
    match = Match("h", job, now=NOW + 65)
    lines = list(drawn(events(match), match))
    assert lines[0].endswith("  o  created")
    assert lines[1].startswith(" " * 19)
    assert lines[2].endswith("  o  executing")
    assert lines[3].endswith("|  1m5s")
    assert lines[4].endswith("  .  now")
