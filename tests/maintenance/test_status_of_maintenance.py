"""What `status` shows of pauses and scheduled work."""

import json
import time
from dataclasses import replace

import msgspec
import pytest

from opstasks.core.errors import InvalidResponse
from opstasks.core.result import Result
from opstasks.fleet.inventory import HostSpec
from opstasks.maintenance.records import Pause
from opstasks.status.inspect import decode, questions
from opstasks.status.judge import judge, pause_attention, scheduled_attention
from tests.maintenance.client_help import (
    DAY,
    INTERRUPTED,
    LAST_MONTH,
    NOW,
    OURS,
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
    for word in ("ann", "db", "until", time.strftime("%H:%M", time.gmtime(NOW + 7200))):
        assert word in found.paused
    assert found.scheduled == "prepare-reboot in 2h"


def test_status_says_that_records_cannot_be_read():
    failed = Result("", 0, '{"failed": {"reason": "OSError: no"}}', "")
    killed = Result("", 137, "", "Killed")
    assert "scheduled work: OSError: no" in judged(failed).attention
    assert any("scheduled work: " in text for text in judged(killed).attention)


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
        (None, ""),
    ],
)
def test_a_forgotten_or_overdue_pause_needs_a_person(pause, words):
    found = pause_attention(pause, NOW)
    assert bool(found) == bool(words)
    assert words in "".join(found)


def attention(*items, **words):
    return scheduled_attention(make_maintenance(*items, **words), serving=True, paused=False)


def test_a_failed_preparation_is_reported_for_a_day_or_until_a_newer():
    (text,) = attention(REFUSED, LAST_MONTH)
    assert text == "prepare-reboot for 22:00 refused: someone is changing the host (two)"
    assert "interrupted" in attention(INTERRUPTED)[0]
    assert attention(REFUSED, now_at=NOW + DAY) == []
    assert attention(LAST_MONTH, REFUSED) == []
    assert attention(make_item(), REFUSED, units=UP) == [], "scheduled again"


@pytest.mark.parametrize(
    ("serving", "pause", "waits"),
    [(False, OURS, True), (True, OURS, False), (False, None, False), (True, None, False)],
)
def test_an_abandoned_preparation_is_not_reported(serving, pause, waits):
    ready = make_item(outcome="ready", step="done", was_active=True)
    found = scheduled_attention(make_maintenance(ready), serving=serving, paused=pause is not None)
    assert bool(found) == waits
