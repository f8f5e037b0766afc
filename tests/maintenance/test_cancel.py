"""scheduled and scheduled.cancel: the rows, matching ids, and requests to a host."""

import json

import pytest

from opstasks.core.errors import InvalidResponse, Refused
from opstasks.core.result import Result
from opstasks.fleet import audit
from opstasks.maintenance import cancel, scheduled
from opstasks.maintenance.cancel import CANCEL, CancelRequest, CancelResult
from opstasks.maintenance.records import READ, MaintenanceRequest
from opstasks.maintenance.site import site_for
from tests.fake_host import refused
from tests.maintenance.client_help import NOW, UP, make_item, make_maintenance


@pytest.fixture
def host(fake_host, monkeypatch):
    monkeypatch.setattr(audit, "new_run_id", lambda: "r1")
    monkeypatch.setattr(audit, "who", lambda: "ann@laptop")
    return fake_host()


def expect_read(host, *items, **words):
    answer = make_maintenance(*items, **words)
    host.expect(READ, MaintenanceRequest(site_for(host.spec)), answer, user="opensafely")


def test_scheduled_work_comes_first_and_past_work_is_limited(host):
    past = [make_item(id=f"p{n}", outcome="ready") for n in range(4)]
    expect_read(host, *past, make_item(due_at=NOW + 60.4), units=UP)
    rows = scheduled.inspect(host, 2)
    assert [row.id for row in rows] == ["one", "p0", "p1"]
    assert (rows[0].state, rows[0].in_s) == ("scheduled", 60)


def test_without_an_id_all_scheduled_and_dropped_work_matches(host):
    dropped = make_item(id="two", boot_id="before")
    expect_read(host, make_item(), dropped, make_item(id="past", outcome="ready"), units=UP)
    assert [item.id for item in cancel.inspect(host, "")] == ["one", "two"]


def test_the_beginning_of_an_id_matches_unfinished_work(host):
    expect_read(host, make_item(id="ab1"), make_item(id="ab2", outcome="ready"), make_item(id="b"))
    assert [item.id for item in cancel.inspect(host, "ab")] == ["ab1"]


@pytest.mark.parametrize("id", ["../x", "a b", "x" * 41, "\u0661"])
def test_an_invalid_id_is_refused_before_the_host_is_asked(host, id):
    for work in (lambda: cancel.inspect(host, id), lambda: cancel.cancel(host, id, "")):
        with pytest.raises(Refused, match="invalid id"):
            work()


def test_a_cancel_takes_no_lock(host):
    """Because work that waits for jobs holds the lock."""
    request = CancelRequest(site_for(host.spec), "one", "r1", "ann@laptop", "not today")
    done = CancelResult(True, make_item(outcome="cancelled"))
    host.expect(CANCEL, request, done, user="root")
    assert cancel.cancel(host, "one", "not today") == done


def test_a_cancel_that_comes_too_late_is_refused(host):
    request = CancelRequest(site_for(host.spec), "one", "r1", "ann@laptop", "")
    host.expect(CANCEL, request, refused("too late: it is at 'requeueing'"))
    with pytest.raises(Refused, match="too late") as caught:
        cancel.cancel(host, "one", "")
    assert caught.value.hint == "inv -H tpp scheduled"


@pytest.mark.parametrize(
    "answer",
    [{}, {"changed": None}, {"changed": True, "item": []}, {"changed": True, "item": {"who": 1}}],
)
def test_nonsense_of_a_host_is_an_invalid_response(answer):
    with pytest.raises(InvalidResponse) as caught:
        CANCEL.decode(Result("", 0, json.dumps({"ok": answer}), ""), "tpp")
    assert caught.value.host == "tpp"
