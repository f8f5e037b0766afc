"""The screen of `logs`: records from a real journal, at any width, and with any content."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.core.clock import Clock
from opstasks.logs.read import WantedLog
from opstasks.logs.records import LogRecord, records
from opstasks.logs.show import LogLayout, LogView, headline, nothing
from opstasks.output import fit
from opstasks.output.escape import printable
from opstasks.output.parts import Painted, text_of_line
from tests.screen_check import WIDTHS, check_golden, text

HERE = Path(__file__).parent
# 2026-11-27 00:06 UTC
CLOCK = Clock(1795737960.0)


def recorded(*hosts):
    """The records of real hosts, merged by time."""
    found = [
        (record, host)
        for host in hosts
        for record in records((HERE / f"recorded/{host}.txt").read_text().splitlines())
    ]
    return sorted(found, key=lambda item: item[0].logged_at)


def screen(width, *hosts, wide=False):
    layout = LogLayout.of(hosts, width, CLOCK, wide=wide)
    head = headline(WantedLog(lines=100), hosts, layout, follow=False) if width else []
    view = LogView(layout)
    return [
        *head,
        *(line for record, host in recorded(*hosts) for line in view.lines(host, record)),
    ]


@pytest.mark.parametrize(
    ("name", "width", "hosts"),
    [
        ("one-host-60", 60, ["sandbox-1"]),
        ("one-host-80", 80, ["sandbox-1"]),
        ("one-host-140", 140, ["sandbox-1"]),
        ("two-hosts-80", 80, ["sandbox-1", "tpp"]),
        ("two-hosts-pipe", 0, ["sandbox-1", "tpp"]),
    ],
)
def test_the_screen_is_as_drawn(name, width, hosts):
    check_golden(__file__, name, screen(width, *hosts))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("hosts", [["sandbox-1"], ["sandbox-1", "tpp"]])
def test_no_line_is_wider_than_the_window(width, hosts):
    for line in screen(width, *hosts):
        assert len(text_of_line(line)) <= width


@pytest.mark.parametrize("width", WIDTHS)
def test_no_path_and_no_id_that_fits_is_broken(width):
    shown = text(screen(width, "sandbox-1"))
    for word in ("/srv/high_privacy/workspaces/w-fail/metadata/fail.log", "mecrsr6f6z5ftszn"):
        assert word in shown


RECORD = LogRecord(1795737900.0, "k2x9apwm7iy2ap56", "w", "a", "executing", False, "hello")
MESSAGES = st.text(st.characters() | st.sampled_from(" \n\t/漢…")).filter(bool)


@given(MESSAGES, st.booleans(), st.sampled_from(WIDTHS), st.sampled_from([None, "k2", "k" * 30]))
def test_any_message_fits_and_nothing_of_it_is_missing(message, is_error, width, job):
    record = LogRecord(1795737900.0, job, None, None, None, is_error, message)
    lines = LogView(LogLayout.of(["a", "b" * 20], width, CLOCK)).lines("a", record)
    shown = [text_of_line(line) for line in lines]
    # A word that fits into no line, such as a path, is whole.
    assert all(len(fit.filled(line)) <= width or len(line.split()[-1]) > 8 for line in shown)
    assert all(line.isprintable() for line in shown)
    kept = re.sub(r"\s", "", "".join(shown))
    for char in "".join(map(printable, re.split(r"\n|ExecutorState|StatusCode", message))):
        assert not char.isalnum() or char in kept


def test_a_record_is_one_line_of_a_pipe():
    record = LogRecord(1795651560.0, None, None, None, None, True, "one\ntwo")
    (line,) = LogView(LogLayout.of(["a"], 0, CLOCK)).lines("a", record)
    assert text_of_line(line) == "2026-11-26T00:06:00Z  -  ! one\ntwo"
    (line,) = LogView(LogLayout.of(["a", "b"], 0, CLOCK)).lines("a", RECORD)
    assert text_of_line(line) == "2026-11-27T00:05:00Z  a  k2x9apwm7iy2ap56  w/a  hello"


def test_an_earlier_day_is_named_once():
    view = LogView(LogLayout.of(["a"], 80, CLOCK))
    old = LogRecord(1795651560.0, None, None, None, None, False, "old")
    shown = [text_of_line(line) for item in (old, old, RECORD) for line in view.lines("a", item)]
    assert [line for line in shown if line.startswith("2026-")] == ["2026-11-26", "2026-11-27"]
    assert len(shown) == 5


def test_an_error_has_a_mark_and_a_colour():
    view = LogView(LogLayout.of(["a"], 80, CLOCK))
    (line,) = view.lines("a", LogRecord(1795737900.0, None, None, None, None, True, "it failed"))
    assert Painted("it failed", "red") in line
    assert text_of_line(line).startswith("00:05:00 ! ")


TRACEBACK = "\n".join(
    [
        "Exception in sync thread",
        "Traceback (most recent call last):",
        *(part for n in range(5) for part in (f'  File "{n}.py", line 1, in f', "    f()")),
        "ValueError: x",
        "after",
    ]
)


def test_only_the_last_frame_of_a_traceback_is_shown():
    record = LogRecord(1795737900.0, None, None, None, None, True, TRACEBACK)
    shown = text(LogView(LogLayout.of(["a"], 80, CLOCK)).lines("a", record))
    assert "… 4 frames (--wide shows them)" in shown
    assert ('"4.py"' in shown, '"3.py"' in shown) == (True, False)
    assert shown.rstrip().endswith("after")
    whole = text(LogView(LogLayout.of(["a"], 80, CLOCK, wide=True)).lines("a", record))
    assert all(f'"{n}.py"' in whole for n in range(5))


@pytest.mark.parametrize("width", WIDTHS)
def test_the_headline_says_what_follows_and_fits(width):
    layout = LogLayout.of(["tpp", "emis"], width, CLOCK)
    wanted = WantedLog(5, "2026-11-24 10:00", "k2x9apwm7iy2ap56")
    lines = headline(wanted, ["tpp", "emis"], layout, follow=True)
    assert " ".join(map(text_of_line, lines)) == (
        "2 hosts: last 5 lines of job k2x9apwm7iy2ap56 since 2026-11-24 10:00, newest last,"
        " times in UTC; Ctrl-C ends"
    )
    assert all(len(text_of_line(line)) <= width for line in lines)


def test_an_empty_log_says_what_was_looked_for():
    assert nothing(WantedLog(100, "1h", "abc"), ["tpp", "emis"]) == (
        "no log line of job abc since 1h on tpp, emis; an earlier --since shows more"
    )
