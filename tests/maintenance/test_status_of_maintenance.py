"""What `status` shows of pauses and scheduled work."""

import json
from dataclasses import replace

import msgspec
import pytest

from opstasks.core.errors import InvalidResponse
from opstasks.core.result import Result
from opstasks.fleet.inventory import HostSpec
from opstasks.maintenance.records import Pause
from opstasks.status.concerns import of_scheduled, pause_concern
from opstasks.status.inspect import decode, questions
from opstasks.status.judge import judge
from tests.maintenance.client_help import (
    DAY,
    INTERRUPTED,
    LAST_MONTH,
    NOW,
    REFUSED,
    UP,
    make_item,
    make_maintenance,
)
from tests.status.status_help import answers_of_a_quiet_host

SPEC = HostSpec(name="h")


def judged(maintenance):
    """A host's row; `maintenance` is its records, or a Result."""
    blank = Result("", 0, "", "")
    if not isinstance(maintenance, Result):
        text = json.dumps({"ok": msgspec.to_builtins(maintenance)})
        maintenance = replace(blank, out=text)
    results = dict.fromkeys(questions(SPEC), blank)
    results |= answers_of_a_quiet_host()
    results["maintenance"] = maintenance
    return judge(decode(SPEC, results), NOW)


def test_status_shows_who_paused_why_and_until_and_what_is_scheduled():
    pause = Pause(flag_at=NOW, since_at=NOW, until_at=NOW + 7200, who="ann", why="db")
    found = judged(make_maintenance(make_item(due_at=NOW + 7200), units=UP, pause=pause))
    assert (found.pause.who, found.pause.why, found.pause.until_at) == ("ann", "db", NOW + 7200)
    assert found.next.due_at == NOW + 7200
    (text,) = [one.text for one in found.concerns if one.text.startswith("paused")]
    for word in ("ann", "db", "ends in 2h"):
        assert word in text


def test_status_says_that_records_cannot_be_read():
    failed = Result("", 0, '{"failed": {"reason": "OSError: no"}}', "")
    killed = Result("", 137, "", "Killed")
    assert "scheduled work: OSError: no" in [one.text for one in judged(failed).concerns]
    assert any("scheduled work: " in one.text for one in judged(killed).concerns)


def test_nonsense_in_records_is_an_invalid_response_of_the_host():
    with pytest.raises(InvalidResponse) as caught:
        judged(Result("", 0, '{"ok": {"now_at": 1e12, "boot_id": "", "items": []}}', ""))
    assert caught.value.host == "h"


@pytest.mark.parametrize(
    ("pause", "words"),
    [
        (Pause(since_at=NOW - 25 * 3600, who="ann"), "forgotten"),
        (Pause(since_at=NOW - 23 * 3600, who="ann"), ""),
        (Pause(since_at=NOW - 48 * 3600, until_at=NOW + 60), ""),
        (Pause(since_at=NOW - 60, until_at=NOW - 600), "should have ended"),
        (Pause(since_at=NOW - 60, until_at=NOW - 5), ""),
    ],
)
def test_a_forgotten_or_overdue_pause_needs_a_person(pause, words):
    found = pause_concern(pause, "h", NOW)
    assert found.is_wrong == bool(words)
    assert words in found.text


def attention(*items, **words):
    return [one.text for one in of_scheduled(make_maintenance(*items, **words), "h")]


def test_a_failed_preparation_is_reported_for_a_day_or_until_a_newer():
    (text,) = attention(REFUSED, LAST_MONTH)
    assert text == "prepare-reboot for 22:00 refused: someone is changing the host (two)"
    assert "interrupted" in attention(INTERRUPTED)[0]
    assert attention(REFUSED, now_at=NOW + DAY) == []
    assert attention(LAST_MONTH, REFUSED) == []
    assert attention(make_item(), REFUSED, units=UP) == [], "scheduled again"
