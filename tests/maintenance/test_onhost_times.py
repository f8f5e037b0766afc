"""Times as operators write them, in the host's zone."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.maintenance.onhost.times import host_time, resolve
from opstasks.onhost.protocol import HostRefusal

NOON_IN_JULY = 1782990000  # 2026-07-02 11:00 UTC, 12:00 in London


@pytest.fixture
def london(monkeypatch):
    monkeypatch.setenv("TZ", "Europe/London")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_a_time_of_day_is_the_next_one_in_the_hosts_zone(london):
    assert resolve("22:00", 0, NOON_IN_JULY) == NOON_IN_JULY + 10 * 3600
    assert resolve("11:59", 0, NOON_IN_JULY) == NOON_IN_JULY + 24 * 3600 - 60
    assert host_time(resolve("22:00", 0, NOON_IN_JULY)) == "2026-07-02 22:00:00 BST"


def test_a_date_with_a_time_is_in_the_hosts_zone(london):
    assert host_time(resolve("2026-12-01 22:00", 0, NOON_IN_JULY)) == "2026-12-01 22:00:00 GMT"


def test_a_time_that_a_clock_change_skips_is_refused(london):
    with pytest.raises(HostRefusal, match="clocks change"):
        resolve("2026-03-29 01:30", 0, NOON_IN_JULY)


@given(st.integers(0, 23), st.integers(0, 59), st.integers(1_700_000_000, 1_900_000_000))
def test_a_time_of_day_is_within_a_day(hour, minute, now):
    due = resolve(f"{hour:02}:{minute:02}", 0, now)
    assert now < due <= now + 25 * 3600
    assert time.localtime(due)[3:6] == (hour, minute, 0)


@given(st.integers(1, 10**7), st.floats(1.7e9, 1.9e9))
def test_a_delay_is_never_shortened(delay, now):
    assert 0 <= resolve("", delay, now) - (now + delay) < 1
