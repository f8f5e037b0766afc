"""Lines of the journal as records, whole or in pieces."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.logs.records import Grouper, records

RECORDED = (Path(__file__).parent / "recorded/sandbox-1.txt").read_text().splitlines()
START = "2026-11-26T23:46:12.8{}+0000 tpp python3[714]: "
DATE = "2026-11-26 23:46:12.869Z run  "


def line(text, number=0):
    return START.format(number) + text


def test_the_tags_and_times_of_job_runner_are_not_part_of_the_message():
    tags = "status=StatusCode.NONZERO_EXIT workspace=w action=a id=abc req=r"
    (found,) = records([line(f"{DATE}Job exited with an error {tags}")])
    assert found.message == "Job exited with an error"
    assert (found.job, found.workspace, found.action) == ("abc", "w", "a")
    assert (found.status, found.is_error, found.is_rest) == ("nonzero_exit", True, False)
    assert found.logged_at == pytest.approx(1795736772.80)


def test_other_words_with_an_equals_sign_stay():
    (found,) = records([line(f"{DATE}set mem=4G id=abc cpu=2")])
    assert (found.message, found.job) == ("set mem=4G id=abc cpu=2", None)


def test_a_traceback_is_one_record_with_the_message_before_it():
    found = list(records(RECORDED))
    (crash,) = [record for record in found if "Traceback" in record.message]
    assert crash.message.startswith("Internal error: this usually means a platform issue")
    assert crash.message.endswith("r:latest is not currently available")
    assert (crash.job, crash.status) == ("eclsrkxsql5sa2cw", "internal_error")
    assert len(crash.message.split("\n")) > 10


def test_each_line_of_systemd_is_a_record():
    text = "2026-11-26T23:46:12.952{}+0000 tpp systemd[1]: jobrunner.service: {}"
    lines = [text.format(1, "Main process exited"), text.format(2, "Failed with result 'x'.")]
    assert [record.is_error for record in records(lines)] == [False, True]


def test_a_traceback_of_a_start_that_fails_is_one_record():
    texts = ["Traceback (most recent call last):", '  File "x.py"', "ImportError: no"]
    (found,) = records([line(text) for text in texts])
    assert (found.message, found.is_error, found.is_rest) == ("\n".join(texts), True, False)


def test_a_record_without_its_beginning_says_so():
    first, second = records([line("    f()"), line(f"{DATE}hello")])
    assert (first.is_rest, second.is_rest) == (True, False)


def test_lines_that_come_later_are_the_rest_of_a_record():
    grouper = Grouper()
    grouper.feed(line(f"{DATE}one"))
    assert grouper.flush().message == "one"
    assert grouper.flush() is None
    grouper.feed(line("two"))
    rest = grouper.flush()
    assert (rest.message, rest.is_rest) == ("two", True)
    grouper.feed(line(f"{DATE}three"))
    assert grouper.flush().is_rest is False


# Other lines have no tags of their own.
TEXTS = st.text(st.characters(exclude_characters="=\n"))


@given(st.lists(st.one_of(TEXTS, st.sampled_from(RECORDED), TEXTS.map(line))))
def test_any_lines_become_records_and_no_word_is_lost(lines):
    found = list(records(lines))
    kept = "\n".join(record.message for record in found)
    for text in lines:
        message = text.split("]: ", 1)[-1] if text in RECORDED else ""
        assert all("=" in word or word in kept for word in message.split()[3:])


def test_a_line_with_thousands_of_tags_takes_no_time():
    (found,) = records([line(f"{DATE}{' id=x' * 12_000}")])
    assert found.job == "x"
