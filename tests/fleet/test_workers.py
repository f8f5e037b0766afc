"""Results as they arrive: what is shown when, Ctrl-C, and hosts that do not answer."""

import os
import signal
import threading
from types import SimpleNamespace

import pytest

from opstasks.core.errors import Interrupted, Unreachable
from opstasks.core.result import FleetResult, HostResult
from opstasks.fleet import fleet as fleet_module
from opstasks.fleet import workers
from opstasks.fleet.fleet import Fleet, GatherInterrupted, named
from opstasks.fleet.host import Host as RealHost
from opstasks.fleet.inventory import HostSpec
from opstasks.fleet.outcomes import RunOutcomes

TIMEOUT_S = 30


class Host(SimpleNamespace):
    """A host that counts how often it was closed."""

    def __init__(self, name):
        super().__init__(name=name, closed=0)

    def close(self):
        self.closed += 1

    def let_go(self):
        return [self.close]


def fleet(count=4, **options):
    return Fleet([Host(f"h{n}") for n in range(count)], **options)


def names(batch):
    return [item.host for item in batch]


@pytest.fixture
def at_once(monkeypatch):
    """No answer waits for others."""
    monkeypatch.setattr(workers, "PATIENCE_S", 0.0)
    monkeypatch.setattr(workers, "PAUSE_S", 0.0)


def test_a_silent_host_does_not_hold_up_the_others(at_once):
    shown, release = [], threading.Event()

    def read(host):
        if host.name == "h0":
            assert release.wait(TIMEOUT_S)
        return host.name

    def show(batch):
        shown.extend(names(batch))
        if len(shown) == 3:
            release.set()  # only what was shown ends the wait

    result = fleet().gather(read, show=show)
    assert sorted(shown[:3]) == ["h1", "h2", "h3"]
    assert shown[3:] == ["h0"]
    assert names(result) == ["h0", "h1", "h2", "h3"]


def test_hosts_that_answer_together_are_shown_in_inventory_order(monkeypatch):
    monkeypatch.setattr(workers, "PATIENCE_S", TIMEOUT_S)
    shown, after = [], threading.Event()

    def read(host):
        if host.name == "h0":
            assert after.wait(TIMEOUT_S)
        if host.name == "h3":
            after.set()
        return host.name

    fleet().gather(read, show=lambda batch: shown.append(names(batch)))
    assert shown == [["h0", "h1", "h2", "h3"]]


def test_every_result_is_shown_once_and_in_the_main_thread(at_once):
    shown, threads = [], set()

    def show(batch):
        shown.extend(names(batch))
        threads.add(threading.current_thread())

    fleet(100).gather(lambda host: host.name, show=show)
    assert sorted(shown) == sorted(f"h{n}" for n in range(100))
    assert threads == {threading.main_thread()}


def test_ctrl_c_shows_what_has_arrived_and_names_the_silent_hosts(monkeypatch):
    monkeypatch.setattr(workers, "PATIENCE_S", TIMEOUT_S)
    shown, release = [], threading.Event()

    def read(host):
        if host.name in ("h1", "h3"):
            assert release.wait(TIMEOUT_S)
        return host.name

    arrived = []

    def on_tick():
        arrived.append(1)
        if len(arrived) == 4:  # both answers are in, and no more will come
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(GatherInterrupted, match="nothing was changed; no answer from h1, h3") as c:
        fleet().gather(read, show=lambda batch: shown.append(names(batch)), on_tick=on_tick)
    release.set()
    assert shown == [["h0", "h2"]]
    assert [item.outcome for item in c.value.result] == ["ok", "interrupted", "ok", "interrupted"]


def test_ctrl_c_while_results_are_shown_ends_the_run():
    def show(batch):
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted):
        fleet().gather(lambda host: host.name, show=show)


def test_nothing_is_shown_while_a_person_types(at_once):
    typing, asked, shown = threading.Event(), [], []
    typing.set()

    def is_held():
        asked.append(len(shown))
        if len(asked) == 4:
            typing.clear()
        return typing.is_set()

    fleet(is_held=is_held).gather(lambda host: host.name, show=shown.extend)
    assert asked[:4] == [0, 0, 0, 0]
    assert len(shown) == 4


def test_silent_hosts_do_not_take_the_workers_of_the_others(at_once, monkeypatch):
    monkeypatch.setattr(workers, "SLOW_S", 0.0)
    release, shown = threading.Event(), []

    def read(host):
        if int(host.name[1:]) < 60:
            assert release.wait(TIMEOUT_S)
        return host.name

    def show(batch):
        shown.extend(names(batch))
        if len(shown) == 20:
            release.set()

    result = fleet(80).gather(read, show=show)
    assert set(shown[:20]) == {f"h{n}" for n in range(60, 80)}
    assert result.exit_code == 0


def most_begun(hosts, ticks):
    """How many of some silent hosts were worked on together, looked at `ticks` times."""
    begun, release, seen = [], threading.Event(), []

    def read(host):
        begun.append(host.name)
        assert release.wait(TIMEOUT_S)

    def on_tick():
        seen.append(len(begun))
        if len(seen) == ticks:
            release.set()

    hosts.gather(read, on_tick=on_tick)
    return max(seen[:ticks])


def test_parallel_is_a_strict_limit_also_for_silent_hosts(monkeypatch):
    monkeypatch.setattr(workers, "SLOW_S", 0.0)
    assert most_begun(fleet(10, parallel=3), ticks=4) == 3


def test_the_number_of_workers_has_a_limit(monkeypatch):
    monkeypatch.setattr(workers, "SLOW_S", 0.0)
    monkeypatch.setattr(fleet_module, "MOST_READERS", 40)
    assert most_begun(fleet(100), ticks=6) <= 40


@pytest.mark.parametrize(
    ("count", "is_last", "closed"), [(9, True, 1), (9, False, 0), (8, True, 0)]
)
def test_a_host_that_is_done_is_closed_if_there_are_many_and_nothing_follows(
    count, is_last, closed
):
    many, ended = fleet(count), threading.Event()
    many.hosts[-1].close = ended.set
    many.gather(lambda host: host.name, is_last=is_last)
    assert ended.wait(TIMEOUT_S if closed else 0) == bool(closed)
    assert {host.closed for host in many.hosts[:-1]} <= {0, closed}


def test_an_error_while_closing_a_host_is_ignored():
    many = fleet(9)
    for host in many.hosts:
        host.close = lambda: 1 / 0
    assert many.gather(lambda host: host.name, is_last=True).exit_code == 0


def test_the_next_task_never_gets_a_connection_that_is_being_closed(at_once):
    closing, hosts = threading.Event(), []
    slow = SimpleNamespace(close=lambda: closing.wait(TIMEOUT_S))
    for number in range(9):
        spec = HostSpec(name=f"h{number}", address="x")
        hosts.append(RealHost(spec, connect=lambda spec: SimpleNamespace(close=lambda: None)))

    def read(host):
        host.login._session = slow
        return host.transport

    first = Fleet(hosts).gather(read, is_last=True).values
    second = Fleet(hosts).gather(lambda host: host.transport).values
    closing.set()
    assert [name for name in first if first[name] is second[name]] == []


def test_a_plan_shows_errors_on_arrival_by_default(at_once):
    shown, release = [], threading.Event()

    def show(batch):
        shown.extend(batch)
        release.set()

    def plan(host):
        if host.name == "h0":
            raise Unreachable("no answer")
        assert release.wait(TIMEOUT_S)

    fleet(2, show=show).gather(plan)
    assert shown[0].error.host == "h0"


def test_without_hosts_there_are_no_results():
    assert Fleet([]).gather(lambda host: host.name).results == []


def test_a_long_list_of_hosts_is_cut():
    assert named(["a", "b"]) == "a, b"
    assert named([str(n) for n in range(12)]).endswith("8, 9 and 2 more")


# -- outcomes --------------------------------------------------------------------------------


def passes(*found, is_complete=True, end=None):
    """The outcomes of h0, h1, h2 after passes: (is_plan, outcomes)."""
    made = RunOutcomes()
    for is_plan, outcomes in found:
        made.has_rolled |= not is_plan
        results = [HostResult(f"h{n}", what) for n, what in enumerate(outcomes) if what]
        made.take(FleetResult(results), is_plan=is_plan)
    if end:
        made.end(FleetResult([HostResult(f"h{n}", what) for n, what in enumerate(end)]))
    return list(made.of(["h0", "h1", "h2"], is_complete=is_complete).values())


@pytest.mark.parametrize(
    ("found", "more", "outcomes"),
    [
        ([(True, ["ok"] * 3)], {"end": ["ok"] * 3}, ["ok"] * 3),
        # A host's failure keeps the task from changing the others.
        (
            [(True, ["ok", "failed", "ok"])],
            {"end": ["ok", "failed", "ok"]},
            ["not started", "failed", "not started"],
        ),
        # Not confirmed, or Ctrl-C at the question.
        ([(True, ["ok"] * 3)], {"is_complete": False}, ["not started"] * 3),
        # h0 has nothing to do, h2 was not reached after a failure.
        (
            [(True, ["ok"] * 3), (False, ["", "unknown", "not started"])],
            {"end": ["ok", "unknown", "not started"]},
            ["ok", "unknown", "not started"],
        ),
        # A second Ctrl-C while hosts are changed.
        (
            [(True, ["ok"] * 3), (False, ["changed", "interrupted", "interrupted"])],
            {"is_complete": False},
            ["changed", "interrupted", "interrupted"],
        ),
        # The judgement at the end counts, such as that of `doctor`.
        ([(False, ["ok"] * 3)], {"end": ["ok", "failed", "ok"]}, ["ok", "failed", "ok"]),
    ],
)
def test_a_host_is_ok_only_if_the_task_did_what_was_asked(found, more, outcomes):
    assert passes(*found, **more) == outcomes
