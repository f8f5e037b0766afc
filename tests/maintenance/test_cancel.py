"""scheduled and scheduled.cancel: the rows, matching ids, and requests to a host."""

import json
from dataclasses import replace

import pytest

from opstasks.core.errors import InvalidResponse, Refused, VerifyFailed
from opstasks.core.result import Result
from opstasks.core.state import HostState
from opstasks.fleet import audit
from opstasks.maintenance import cancel, scheduled
from opstasks.maintenance.cancel import CANCEL, CancelRequest, CancelResult
from opstasks.maintenance.records import READ, MaintenanceRequest
from opstasks.maintenance.site import site_for
from tests.fake_host import refused
from tests.maintenance.client_help import DAY, NOW, UP, make_item, make_maintenance


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
    found = scheduled.inspect(host, 2)
    assert [row.id for row in found.items] == ["one", "p0", "p1"]
    assert [row.is_past for row in found.items] == [False, True, True]
    assert (found.items[0].state, found.past) == ("scheduled", 4)


@pytest.mark.parametrize(("limit", "count"), [(0, 0), (-1, 4)])
def test_past_work_is_left_out_or_shown_whole(host, limit, count):
    expect_read(host, *(make_item(id=f"p{n}", outcome="done") for n in range(4)))
    assert len(scheduled.inspect(host, limit).items) == count


def test_work_that_needs_a_person_is_not_past(host):
    """Its timer is gone, or it failed today and nobody has prepared the host since."""
    dropped = make_item(id="two", boot_id="before")
    failed = make_item(id="three", outcome="failed", step="draining", finished_at=NOW - 60)
    expect_read(host, failed, dropped)
    found = scheduled.inspect(host, 0)
    assert [(row.id, row.state) for row in found.items] == [
        ("three", "failed"),
        ("two", "dropped"),
    ]
    expect_read(host, replace(failed, finished_at=NOW - 2 * DAY))
    assert scheduled.inspect(host, 0).items == ()


def test_without_an_id_all_scheduled_and_dropped_work_matches(host):
    dropped = make_item(id="two", boot_id="before")
    expect_read(host, make_item(), dropped, make_item(id="past", outcome="ready"), units=UP)
    assert [item.id for item in cancel.inspect(host, "").items] == ["one", "two"]


def test_the_beginning_of_an_id_matches_unfinished_work(host):
    expect_read(host, make_item(id="ab1"), make_item(id="ab2", outcome="ready"), make_item(id="b"))
    found = cancel.inspect(host, "ab")
    assert [item.id for item in found.items] == ["ab1"]
    assert [item.id for item in found.over] == ["ab2"]


LONG = "20261201T091500-4f2a9c"


@pytest.mark.parametrize(
    ("typed", "is_meant"),
    [(LONG, True), ("20261201", True), ("4f2a9c", True), ("4f2", True), ("2a9c", False)],
)
def test_an_id_is_typed_by_the_beginning_of_either_part(typed, is_meant):
    assert cancel.is_meant(LONG, typed) is is_meant


def test_a_whole_id_means_only_that_one(host):
    """The boot adds a letter to the id of work that it schedules again."""
    expect_read(host, make_item(id=LONG), make_item(id=f"{LONG}b"))
    assert [item.id for item in cancel.inspect(host, LONG).items] == [LONG]


def test_ends_of_pauses_alone_are_no_choice():
    end = make_item(id="end", kind="unpause")
    assert cancel.CancelChoice((end,)).has_only_ends
    assert not cancel.CancelChoice((end, make_item())).has_only_ends
    assert not cancel.CancelChoice(()).has_only_ends


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
    ("now", "task"),
    [
        (HostState(service="stopped", paused=True), "service.start"),
        (HostState(service="up", paused=True), "unpause"),
        (HostState(service="up"), "scheduled.cancel one"),
        (HostState(), "scheduled.cancel one"),
    ],
)
def test_a_cancel_that_leaves_something_is_a_failure_and_can_be_repeated(host, now, task):
    left = ("jobrunner does not stay up", "it is still paused")
    item = make_item(step="requeueing", was_active=True, paused_by_us=True, left=left)
    request = CancelRequest(site_for(host.spec), "one", "r1", "ann@laptop", "")
    host.expect(CANCEL, request, CancelResult(True, item, now), user="root")
    with pytest.raises(VerifyFailed) as caught:
        cancel.cancel(host, "one", "")
    assert caught.value.message == f"not restored: {'; '.join(left)}"
    assert (caught.value.hint, caught.value.now) == (f"inv -H tpp {task}", now)
    expect_read(host, item)
    assert cancel.inspect(host, "").items == (item,)
    (row,) = scheduled.schedule_of(make_maintenance(item), 0).items
    assert (row.state, row.is_past) == ("interrupted", False)
    assert "not restored: jobrunner does not stay up" in row.reason


@pytest.mark.parametrize(
    "answer",
    [{}, {"changed": None}, {"changed": True, "item": []}, {"changed": True, "item": {"who": 1}}],
)
def test_nonsense_of_a_host_is_an_invalid_response(answer):
    with pytest.raises(InvalidResponse) as caught:
        CANCEL.decode(Result("", 0, json.dumps({"ok": answer}), ""), "tpp")
    assert caught.value.host == "tpp"
