"""`jobs.stats`: two samples of a container as one row, and invalid answers."""

import json
from types import SimpleNamespace

import pytest

from opstasks.core.errors import InvalidResponse, Refused
from opstasks.jobs.onhost import stats as stats_there
from opstasks.jobs.stats import STATS, JobUse, StatsAnswer, StatsRequest, read_stats
from opstasks.onhost.engine import EngineError
from tests.fake_host import Reply, refused

RAW = {
    "read": "2026-11-24T19:00:14.500000000Z",
    "cpu_stats": {"cpu_usage": {"total_usage": 5_000_000_000}},
    "memory_stats": {"usage": 1000, "limit": 4000, "stats": {"total_inactive_file": 300}},
    "blkio_stats": {
        "io_service_bytes_recursive": [
            {"op": "Read", "value": 10},
            {"op": "read", "value": 5},
            {"op": "Write", "value": 7},
            {"op": "Total", "value": 22},
        ]
    },
    "pids_stats": {"current": 3},
}
USE = JobUse("abc", "ws", "act", 0.5, 2, 1 << 20, 4 << 20, 10, 20, 1.5, 2.5, 3)


class FakeStats:
    """A docker that streams these samples, or raises."""

    def __init__(self, answer):
        self.answer = answer

    def first(self, count, *path, **query):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer[:count]


# -- on the host -----------------------------------------------------------------------------


def test_memory_is_dockers_figure_and_traffic_covers_all_devices():
    found = stats_there.sample(RAW)
    shown = (found["memory_bytes"], found["read_bytes"], found["written_bytes"], found["pids"])
    assert shown == (700, 15, 7, 3)
    newer = {"usage": 1000, "limit": 4000, "stats": {"inactive_file": 400}}
    assert stats_there.sample({**RAW, "memory_stats": newer})["memory_bytes"] == 600


def test_the_number_for_no_limit_at_all_is_no_limit():
    endless = {"usage": 1000, "limit": (1 << 63) - 4096, "stats": {}}
    assert stats_there.sample({**RAW, "memory_stats": endless})["memory_limit_bytes"] is None


def test_a_container_without_a_name_hides_no_other(monkeypatch):
    monkeypatch.setattr(stats_there, "measure", lambda engine, name: [stats_there.sample(RAW)] * 2)
    monkeypatch.setattr(stats_there, "limits", lambda engine, name: None)
    listed = [{"Names": None}, {"Names": ["/os-job-abc"], "Labels": None}]
    (use,) = stats_there.job_uses(SimpleNamespace(get=lambda *path, **query: listed))
    assert (use["id"], use["workspace"]) == ("abc", "")


def test_a_container_that_ended_meanwhile_is_left_out():
    ended = {**RAW, "memory_stats": {}}
    assert len(stats_there.measure(FakeStats([RAW, ended]), "os-job-a")) == 1
    gone = EngineError("no such container", 404)
    assert stats_there.measure(FakeStats(gone), "os-job-a") == []
    with pytest.raises(EngineError):
        stats_there.measure(FakeStats(EngineError("docker does not answer")), "os-job-a")


def test_dockers_time_is_read_to_the_nanosecond():
    later = "2026-11-24T19:00:15.750000000Z"
    assert stats_there.moment(later) - stats_there.moment(RAW["read"]) == pytest.approx(1.25)
    assert stats_there.moment("2026-11-24T19:00:15Z") > stats_there.moment(RAW["read"])


def test_two_samples_make_a_rate():
    first = {"at": 10.0, "cpu_ns": 0, "read_bytes": 0, "written_bytes": 100}
    last = {
        "at": 12.0,
        "cpu_ns": 1_000_000_000,
        "read_bytes": 50,
        "written_bytes": 300,
        "memory_bytes": 1,
        "memory_limit_bytes": 2,
        "pids": 1,
    }
    found = stats_there.difference(first, last)
    rates = (found["cpu_cores"], found["read_bytes_per_s"], found["written_bytes_per_s"])
    assert rates == (0.5, 25, 100)
    labels = {"id": "abc", "workspace": "w", "action": "a", "cpu_limit_cores": None}
    assert JobUse(**labels, **found).memory_limit_bytes == 2


def test_counters_that_start_again_do_not_give_a_negative_rate():
    first = {"at": 10.0, "cpu_ns": 5, "read_bytes": 9, "written_bytes": 9}
    last = {"at": 11.0, "cpu_ns": 1, "read_bytes": 0, "written_bytes": 0}
    found = stats_there.difference(first, last)
    rates = (found["cpu_cores"], found["read_bytes_per_s"], found["written_bytes_per_s"])
    assert rates == (0, 0, 0)


# -- from a host -----------------------------------------------------------------------------


def test_every_running_job_is_read_in_one_round_trip(fake_host):
    host = fake_host()
    host.expect(STATS, StatsRequest(), StatsAnswer((USE,)), user="opensafely")
    assert read_stats(host) == (USE,)


def test_a_docker_that_does_not_answer_is_refused_with_a_hint(fake_host):
    host = fake_host()
    host.expect(STATS, StatsRequest(), refused("cannot ask docker: it hangs"))
    with pytest.raises(Refused, match="cannot ask docker: it hangs") as caught:
        read_stats(host)
    assert caught.value.hint == "inv -H tpp doctor"


@pytest.mark.parametrize(
    ("name", "value"),
    [("cpu_cores", -1), ("memory_bytes", 1.5), ("pids", None), ("id", 7), ("workspace", None)],
)
def test_an_invalid_answer_names_the_host(fake_host, name, value):
    host = fake_host()
    job = {**vars(USE), name: value}
    host.expect(STATS, StatsRequest(), Reply(out=json.dumps({"ok": {"jobs": [job]}})))
    with pytest.raises(InvalidResponse) as caught:
        read_stats(host)
    assert caught.value.host == "tpp"
