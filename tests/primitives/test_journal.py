"""journalctl is asked for exactly the wanted lines."""

import pytest

from opstasks.primitives import journal


def test_a_date_is_utc_whatever_time_zone_the_host_has():
    assert journal.since("2026-11-24 10:00") == "@1795514400"
    assert journal.since("1h30m") == "-5400s"


def test_the_newest_lines_since_a_moment_are_counted_after_journalctl():
    line = journal.unit_lines("jobrunner", lines=5, since_time="1h").line()
    assert line.endswith("--since=-3600s | tail -n 5")
    assert "--lines" not in line


@pytest.mark.parametrize("options", [{"lines": 5, "since_time": "1h"}, {}])
def test_following_from_a_moment_shows_all_lines_since_then(options):
    line = journal.unit_lines("jobrunner", follow=True, **options).line()
    assert "--follow --lines=all" in line
    assert "tail" not in line
