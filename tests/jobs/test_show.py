"""`jobs.show`: the history of a job, and the last lines that it printed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.core.errors import TimedOut
from opstasks.fleet.inventory import HostSpec
from opstasks.jobs.logs import END_BYTES, LogSource, end_command, end_lines
from opstasks.jobs.model import Container, Job, LogFile, Match
from opstasks.jobs.show import LAST_LINES, events, read_more, records_request, statuses
from opstasks.primitives import journal
from tests.fake_host import Reply, failed, refused

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
    assert [(round(event.happened_at), event.name) for event in statuses(LINES)] == [
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
    assert [event.happened_at for event in found] == sorted(event.happened_at for event in found)


JOB = Job("abc", "w", "a", "succeeded", created_at=NOW, started_at=NOW + 1, completed_at=NOW + 2)
LOG = LogFile("/logs/os-job-abc/logs.txt", 2048)


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
    host = fake_host()
    host.expect(journal.RECORDS, records_request(host.spec, JOB), reply, user="opensafely")
    timeline, printed = read_more(host, Match("h", JOB, logs=(LOG,)), with_output=False)
    assert (timeline.missing, printed) == (missing, ())
    assert [event.name for event in timeline.events] == ["created", "started", "completed"]


@pytest.mark.parametrize("reply", [journal.JournalAnswer(()), refused("no", "No permission")])
def test_the_last_lines_are_read_together_with_the_journal(fake_host, reply):
    host = fake_host()
    saved = "2026-11-24T18:56:21.09Z one\ntwo\n\n\njob_definition_id: abc\nexit_code: 1\n"
    host.expect(journal.RECORDS, records_request(host.spec, JOB), reply, user="opensafely")
    host.expect(end_command(LogSource(path=LOG.path), LAST_LINES), saved, user="opensafely")
    _, printed = read_more(host, Match("h", JOB, logs=(LOG,)), with_output=True)
    assert printed == ("one", "two")


def test_a_log_that_cannot_be_read_hides_nothing_else(fake_host):
    host = fake_host()
    answer = journal.JournalAnswer(())
    host.expect(journal.RECORDS, records_request(host.spec, JOB), answer, user="opensafely")
    host.expect(end_command(LogSource(path=LOG.path), LAST_LINES), Reply(1), user="opensafely")
    timeline, printed = read_more(host, Match("h", JOB, logs=(LOG,)), with_output=True)
    assert (timeline.missing, printed) == ("", ())


def test_a_part_of_a_line_at_the_beginning_is_left_out():
    text = "x" * END_BYTES + "\nlast\n"
    assert end_lines(text, "abc", 5) == ("last",)
    assert end_lines("a\nb\nc\n", "abc", 2) == ("b", "c")


def test_output_of_a_job_that_is_not_utf_8_is_shown_all_the_same():
    assert end_lines("caf\udce9\nlast\n", "abc", 5) == ("caf\udce9", "last")
    # The part of a line may begin in the middle of a character.
    assert end_lines("\udca9" + "x" * END_BYTES + "\nlast\n", "abc", 5) == ("last",)


def test_the_journal_is_read_from_a_day_before_to_a_day_after():
    job = Job("abc", "w", "a", "failed", created_at=NOW, completed_at=NOW + 2)
    request = records_request(HostSpec(name="h"), job)
    assert f"--until=@{NOW + 2 + 86400:.0f}" in request.options
    assert request.word == "id=abc"
