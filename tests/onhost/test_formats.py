"""Times, spans and sizes as text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.onhost import formats

TEN = 1_795_514_407.0  # 2026-11-24 10:00:07 UTC


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (-5, "0s"),
        (0.4, "0s"),
        (52, "52s"),
        (90, "1m30s"),
        (599, "9m59s"),
        (600, "10m"),
        (659, "10m"),
        (3600, "1h"),
        (3659, "1h"),
        (14_340, "3h59m"),
        (86_400, "1d"),
        (86_700, "1d"),
        (273_600, "3d4h"),
    ],
)
def test_a_span_has_its_two_largest_units(seconds, text):
    assert formats.span_text(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (17, "17 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (3_355_443, "3.2 MiB"),
        (128 << 30, "128 GiB"),
        (5 << 50, "5120 TiB"),
        (-2048, "-2 KiB"),
    ],
)
def test_a_size_is_in_binary_units(count, text):
    assert formats.size_text(count) == text


def test_moments_are_in_utc():
    assert formats.minute_text(TEN) == "2026-11-24 10:00 UTC"
    assert formats.second_text(TEN) == "2026-11-24 10:00:07 UTC"
    assert formats.clock_text(TEN) == "2026-11-24 10:00:07"
    assert formats.day_text(TEN) == "2026-11-24"
    assert formats.minute_text(0) == ""


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_an_impossible_date_is_a_question_mark(at):
    assert formats.minute_text(at) == "" or formats.minute_text(at).endswith((" UTC", "?"))
