"""Spans of time: which are accepted or refused, and their text."""

import contextlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.core import durations
from opstasks.core.errors import Refused
from opstasks.core.formats import span_text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("4h", 14400),
        ("1h30m", 5400),
        ("2d", 172800),
        (" 5m ", 300),
        ("1d1s", 86401),
        ("4H", 14400),
        ("1H30Min", 5400),
    ],
)
def test_valid_spans_are_parsed(text, seconds):
    now = datetime(2026, 11, 24, 12, tzinfo=UTC)
    assert durations.is_span(text)
    assert durations.parse(text) == seconds
    assert durations.moment(text, now) == now - timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "4.5",
        "1234567890",
        "0",
        "h",
        "-4h",
        "+4h",
        "4 h",
        "1.5h",
        "30m1h",
        "4h4h",
        "0s",
        "0h0m",
        "1e3s",
        "4h;ls",
        "٣h",
        "4h\n5m",
        "99999999d",
        "367d",
        "tomorrow",
        "h4",
    ],
)
def test_other_text_is_refused_with_a_hint(text):
    with pytest.raises(Refused) as refusal:
        durations.parse(text)
    assert refusal.value.hint


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), (" 2m ", 120), ("1w", 604800)])
def test_a_number_alone_is_seconds_and_w_is_a_week(text, seconds):
    assert durations.is_span(text) and durations.parse(text) == seconds


@given(st.text(max_size=12))
def test_any_text_is_a_span_or_refused(text):
    with contextlib.suppress(Refused):
        assert 0 < durations.parse(text) <= durations.LIMIT_S


@given(st.tuples(*[st.integers(0, 90)] * 4).filter(any))
def test_the_parts_of_a_span_are_added(parts):
    text = "".join(f"{n}{unit}" for n, unit in zip(parts, "dhms", strict=True))
    days, hours, minutes, seconds = parts
    assert durations.parse(text) == ((days * 24 + hours) * 60 + minutes) * 60 + seconds


@given(st.integers(1, durations.LIMIT_S))
def test_a_span_as_text_can_be_read_back(seconds):
    shown = durations.parse(span_text(seconds))
    assert 0 <= seconds - shown < max(60, seconds / 24)


def test_more_than_a_week_needs_yes():
    durations.check_sure(durations.SURE_S, "7d", yes=False)
    with pytest.raises(Refused, match="7 days"):
        durations.check_sure(durations.SURE_S + 1, "7d1s", yes=False)
    durations.check_sure(8 * 86400, "8d", yes=True)


# -- moments ---------------------------------------------------------------------------------

NOW = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90", "2026-11-24 12:28:30"),
        ("90s", "2026-11-24 12:28:30"),
        ("30m", "2026-11-24 12:00:00"),
        ("2h", "2026-11-24 10:30:00"),
        ("1d", "2026-11-23 12:30:00"),
        ("1h30m", "2026-11-24 11:00:00"),
        ("30min", "2026-11-24 12:00:00"),
        ("today", "2026-11-24 00:00:00"),
        ("yesterday", "2026-11-23 00:00:00"),
        ("2026-11-20", "2026-11-20 00:00:00"),
        ("2026-11-20T10:05", "2026-11-20 10:05:00"),
        # As --json prints them.
        ("2026-11-20T10:05:00+00:00", "2026-11-20 10:05:00"),
        ("2026-11-20T10:05:00.123456+01:00", "2026-11-20 09:05:00"),
        ("2026-11-20 10:05Z", "2026-11-20 10:05:00"),
        (" Today ", "2026-11-24 00:00:00"),
    ],
)
def test_since_is_a_moment(text, moment):
    assert f"{durations.moment(text, NOW):%Y-%m-%d %H:%M:%S}" == moment


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "-2h",
        "2026-13-01",
        "9.9",
        "1h;id",
        "2h 3m",
        "900000d",
        "0s",
        "9999-12-31T23:59-23:59",
        "0001-01-01T00:00+23:59",
        "2026-11-20Z",
    ],
)
def test_other_text_is_not_a_moment(text):
    with pytest.raises(Refused):
        durations.moment(text, NOW)
