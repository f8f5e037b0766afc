"""Many hosts: no result is lost, nothing is started that should not be."""

import json
import threading
import time
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.core.errors import CommandFailed, Interrupted, Lost, Refused, Unreachable
from opstasks.core.result import OUTCOMES, FleetResult, HostResult
from opstasks.fleet.fleet import Fleet
from opstasks.output.documents import fleet_document
from opstasks.output.stream import fleet_stream


def fleet(count=4, **options):
    hosts = [SimpleNamespace(name=f"h{n}", close=lambda: None) for n in range(count)]
    return Fleet(hosts, **options)


def fails_on(name, error=None):
    def work(host):
        if host.name == name:
            raise error or CommandFailed("no", returned=1)
        return host.name

    return work


def outcomes(result):
    return [item.outcome for item in result]


def test_one_failure_never_loses_another_result():
    result = fleet().gather(fails_on("h1"))
    assert outcomes(result) == ["ok", "failed", "ok", "ok"]
    assert result.values == {"h0": "h0", "h2": "h2", "h3": "h3"}
    assert result.results[1].error.host == "h1"


def test_results_come_in_inventory_order_however_long_each_takes():
    def work(host):
        time.sleep(0.05 if host.name == "h0" else 0)
        return host.name

    assert [item.host for item in fleet().gather(work)] == ["h0", "h1", "h2", "h3"]


def test_changes_stop_at_the_first_failure_and_name_the_rest():
    begun = []

    def work(host):
        begun.append(host.name)
        return fails_on("h1")(host)

    assert outcomes(fleet().roll(work)) == ["ok", "failed", "not started", "not started"]
    assert begun == ["h0", "h1"]


@pytest.mark.parametrize("options", [{"keep_going": True}, {"parallel": 2}])
def test_keep_going_and_parallel_continue_after_a_failure(options):
    assert outcomes(fleet(**options).roll(fails_on("h1"))) == ["ok", "failed", "ok", "ok"]


def test_no_more_workers_than_asked_for():
    running, most = [], []
    lock = threading.Lock()

    def work(host):
        with lock:
            running.append(host.name)
            most.append(len(running))
        time.sleep(0.02)
        with lock:
            running.remove(host.name)

    fleet(10, parallel=3).gather(work)
    assert max(most) == 3


def test_an_internal_error_is_an_outcome_of_that_host():
    (bad, *_) = fleet().gather(fails_on("h0", ZeroDivisionError("x")))
    assert bad.outcome == "failed"
    assert "internal error" in bad.error.message


def test_a_changed_value_counts_as_changed():
    result = fleet(1).roll(lambda host: SimpleNamespace(changed=True))
    assert outcomes(result) == ["changed"]


def test_nothing_new_is_started_after_a_request_to_stop():
    stop = threading.Event()

    def work(host):
        stop.set()

    assert outcomes(fleet(3, stop=stop).roll(work)) == ["ok", "interrupted", "interrupted"]


@pytest.mark.parametrize(
    ("errors", "code"),
    [
        ([], 0),
        ([CommandFailed("x", returned=1)], 1),
        ([Refused("x")], 2),
        ([Unreachable("x")], 3),
        ([Lost("x")], 4),
        ([Interrupted("x")], 130),
        ([Unreachable("x"), CommandFailed("x", returned=1)], 1),
        ([Unreachable("x"), Refused("x")], 3),
        ([Lost("x"), CommandFailed("x", returned=1)], 4),
    ],
)
def test_exit_codes(errors, code):
    results = [HostResult(f"h{n}", e.outcome, error=e) for n, e in enumerate(errors)]
    assert FleetResult([HostResult("good", "ok", 1), *results]).exit_code == code


def test_a_refusal_after_another_host_was_changed_is_a_failure():
    results = [HostResult("a", "changed"), HostResult("b", "refused", error=Refused("x"))]
    assert FleetResult(results).exit_code == 1


@given(st.lists(st.sampled_from(OUTCOMES), max_size=6))
def test_exit_code_0_means_that_every_host_succeeded(names):
    result = FleetResult([HostResult(str(n), outcome) for n, outcome in enumerate(names)])
    assert (result.exit_code == 0) == all(item.good for item in result)


@pytest.mark.parametrize(
    ("outcomes", "code"), [(["ok"], 1), (["ok", "unreachable"], 1), (["unknown"], 4)]
)
def test_findings_make_the_exit_code_1_unless_it_is_a_worse_one(outcomes, code):
    result = FleetResult([HostResult(str(n), what) for n, what in enumerate(outcomes)])
    assert result.exit_code != 1
    result.findings = True
    assert result.exit_code == code
    assert fleet_document(result)["exit_code"] == code


def test_a_plan_is_not_a_change():
    plan = SimpleNamespace(changed=True)

    def work(host):
        if host.name == "h1":
            raise Refused("no")
        return plan

    read = fleet(2).gather(work)
    assert (outcomes(read), read.exit_code) == (["ok", "refused"], 2)
    assert outcomes(fleet(1).gather(lambda host: plan, changes=True)) == ["changed"]


def test_a_stream_is_one_document_also_when_a_host_fails(capsys):
    def whole(take):
        take([{"id": 1}, {"id": 2}])
        take([])
        take(({"id": 3},))

    def breaks(take):
        take([{"id": "a\n\u2028"}])
        raise Unreachable("connection lost")

    result = fleet_stream([("one", whole), ("two", breaks), ("three", lambda take: None)])
    found = json.loads(capsys.readouterr().out)
    assert found["exit_code"] == result.exit_code == 3
    assert found["hosts"]["one"] == {"value": [{"id": n} for n in (1, 2, 3)], "outcome": "ok"}
    assert found["hosts"]["two"]["value"] == [{"id": "a\n\u2028"}]
    assert found["hosts"]["two"]["error"]["host"] == "two"
    assert found["hosts"]["two"]["outcome"] == "unreachable"
    assert found["hosts"]["three"] == {"value": [], "outcome": "ok"}


def test_an_interrupted_stream_is_one_document(capsys):
    asked = []

    def broken_off(take):
        take([1])
        raise KeyboardInterrupt

    def defect(take):
        raise ZeroDivisionError

    sources = [("one", defect), ("two", broken_off), ("three", asked.append)]
    result = fleet_stream(sources)
    document = json.loads(capsys.readouterr().out)
    assert document["hosts"]["one"]["outcome"] == "failed"
    assert document["hosts"]["two"]["value"] == [1]
    assert document["hosts"]["three"]["outcome"] == "interrupted"
    assert (asked, document["exit_code"]) == ([], result.exit_code)
