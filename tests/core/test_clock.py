"""Moments: with a headline the clock time is enough, in a pipe each one is whole."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from opstasks.core.clock import Clock

NOW_AT = datetime(2026, 11, 24, 7, 44, 5, tzinfo=UTC).timestamp()
PARIS = timezone(timedelta(hours=1))


@pytest.mark.parametrize(
    ("at", "shown"),
    [(NOW_AT, "07:44"), (NOW_AT - 86400, "2026-11-23 07:44"), (0, ""), (1e30, "?")],
)
def test_a_moment_of_today_is_a_clock_time_and_others_have_their_date(at, shown):
    assert Clock(NOW_AT).text(at) == shown


@pytest.mark.parametrize("at", [NOW_AT, NOW_AT - 86400])
@pytest.mark.parametrize(("zone", "name"), [(UTC, "UTC"), (PARIS, "CET")])
def test_without_a_headline_each_moment_has_its_date_and_zone(at, zone, name):
    clock = Clock(NOW_AT, zone, name, is_whole=True)
    moment = datetime.fromtimestamp(at, zone)
    assert clock.text(at) == f"{moment:%Y-%m-%d %H:%M} {name}"
    assert clock.text(at, with_seconds=True) == f"{moment:%Y-%m-%d %H:%M:%S} {name}"
    assert clock.now_text == clock.text(NOW_AT)
    assert (clock.text(0), clock.text(1e30)) == ("", "?")
