"""`logs --job`: whole records of a job, as job-runner writes them."""

import io
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opstasks.onhost import records as remote_records
from opstasks.primitives import journal


def lines(*messages, source="python3[7]"):
    return [
        f"2026-11-24T20:00:{n:02}.000000+0000 host {source}: {text}\n"
        for n, text in enumerate(messages)
    ]


LOG = lines(
    "2026-11-24 20:00:00.000Z run  Preparing status=X id=abc",
    "2026-11-24 20:00:01.000Z run  Preparing status=X id=other",
    "2026-11-24 20:00:02.000Z run  Internal error: this usually means",
    "the tech team knows status=INTERNAL_ERROR id=abc",
    "Traceback (most recent call last):",
    '  File "run.py", line 1',
    "ExecutorError: no",
    "2026-11-24 20:00:07.000Z run  Done id=other",
    "and more of it",
)


def test_a_record_is_whole_before_and_after_the_line_that_names_the_job():
    found = list(remote_records.matching(LOG, "abc"))
    assert found == [LOG[0], *LOG[2:7]]
    assert list(remote_records.matching(LOG, "other")) == [LOG[1], *LOG[7:]]
    assert list(remote_records.matching(LOG, "nosuch")) == []


def test_another_process_begins_another_record():
    log = [*LOG[:1], *lines("Main process exited", source="systemd[1]"), *lines("Traceback")]
    assert list(remote_records.matching(log, "abc")) == LOG[:1]


def test_the_hosts_name_and_the_time_are_no_part_of_a_message():
    assert list(remote_records.matching(LOG, "host")) == []
    assert list(remote_records.matching(LOG, "24T20")) == []


def test_a_line_is_passed_on_before_the_next_one_is_there():
    feed = iter(LOG)
    out = remote_records.matching(feed, "abc")
    assert next(out) == LOG[0]
    assert next(feed) == LOG[1]


@settings(deadline=None)
@given(st.lists(st.text(max_size=12), max_size=8), st.text("ab01", min_size=1, max_size=3))
def test_every_line_with_the_word_is_there_in_order_and_nothing_is_made_up(messages, word):
    log = lines(*(text.replace("\n", "").replace("\r", "") for text in messages))
    found = list(remote_records.matching(log, word))
    assert [line for line in log if word in line.partition(": ")[2]] == [
        line for line in found if word in line.partition(": ")[2]
    ]
    assert found == [line for line in log if line in found]


@pytest.mark.parametrize("word", ["$(touch /tmp/x)", "'; touch x", "a b", "\\d", "-v"])
def test_the_word_is_quoted_and_literal(word):
    line = journal.unit_lines("jobrunner", needle=word, lines=5).line()
    inner = line.partition(" | ")[2].rpartition(" | ")[0]
    log = "".join([*LOG, *lines(f"2026-11-24 20:00:00 x {word} y")])
    done = subprocess.run(
        ["bash", "-c", inner.replace("python3", sys.executable, 1)],
        input=log,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.count("\n") == 1
    assert word in done.stdout


def test_all_lines_are_filtered_when_following():
    line = journal.unit_lines("jobrunner", needle="abc", follow=True, lines=5).line()
    assert "--lines=all" in line
    assert "tail" not in line


def test_a_reader_that_goes_away_is_no_failure(monkeypatch):
    class Closed(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdin", LOG)
    monkeypatch.setattr(sys, "stdout", Closed())
    with pytest.raises(SystemExit) as ended:
        remote_records.main("abc")
    assert ended.value.code == 0
