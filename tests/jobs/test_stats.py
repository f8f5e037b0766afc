"""What is used: two samples as one line, and the host's own files."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.core.errors import Refused
from opstasks.core.formats import size_text
from opstasks.jobs import stats
from opstasks.jobs.onhost import host_stats as remote_host
from opstasks.jobs.onhost import stats as remote_stats
from opstasks.onhost.engine import EngineError
from opstasks.output import screen

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


class Engine:
    def __init__(self, answer):
        self.answer = answer

    def first(self, count, *path, **query):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer[:count]


def test_memory_is_counted_as_docker_itself_does_and_io_over_all_devices():
    found = remote_stats.sample(RAW)
    assert (found["memory"], found["read"], found["written"], found["pids"]) == (700, 15, 7, 3)
    newer = {"usage": 1000, "limit": 4000, "stats": {"inactive_file": 400}}
    assert remote_stats.sample({**RAW, "memory_stats": newer})["memory"] == 600


def test_a_container_that_ended_meanwhile_is_left_out():
    ended = {**RAW, "memory_stats": {}}
    assert len(remote_stats.measure(Engine([RAW, ended]), "os-job-a")) == 1
    gone = EngineError("no such container", 404)
    assert remote_stats.measure(Engine(gone), "os-job-a") == []
    with pytest.raises(EngineError):
        remote_stats.measure(Engine(EngineError("docker does not answer")), "os-job-a")


def test_dockers_time_is_read_to_the_nanosecond():
    later = "2026-11-24T19:00:15.750000000Z"
    assert remote_stats.moment(later) - remote_stats.moment(RAW["read"]) == pytest.approx(1.25)
    assert remote_stats.moment("2026-11-24T19:00:15Z") > remote_stats.moment(RAW["read"])


def test_two_samples_make_a_rate():
    first = {"at": 10.0, "cpu_ns": 0, "read": 0, "written": 100}
    last = {
        "at": 12.0,
        "cpu_ns": 1_000_000_000,
        "read": 50,
        "written": 300,
        "memory": 1,
        "memory_limit": 2,
        "pids": 1,
    }
    found = remote_stats.difference("os-job-abc", first, last)
    assert (found["id"], found["cpu"], found["read_s"], found["written_s"]) == ("abc", 0.5, 25, 100)


def test_meminfo():
    text = "MemTotal: 100 kB\nMemAvailable: 40 kB\nSwapTotal: 10 kB\nSwapFree: 4 kB\n"
    assert remote_host.memory(text) == {
        "memory": 102400,
        "memory_used": 61440,
        "swap": 10240,
        "swap_used": 6144,
    }


@given(st.text(min_size=1, max_size=15))
def test_a_process_may_be_called_anything(name):
    fields = ["S", *map(str, range(50))]
    found = remote_host.parse_stat(f"42 ({name}) {' '.join(fields)}")
    assert found == (name, fields)


def test_the_busiest_processes_come_first():
    first = {1: (0.0, 10, "idle", 0), 2: (0.0, 5, "busy", 0)}
    last = {1: (0.0, 10, "idle", 0), 2: (1.0, 5, "busy", 0), 3: (9.0, 1, "new", 0)}
    found = remote_host.top(first, last, 1.0, 2)
    assert [row["name"] for row in found] == ["busy", "idle"]
    assert found[0]["cpu"] == 1.0


def test_one_disk_is_named_once_and_what_is_not_there_not_at_all():
    found = remote_host.disks(["/", "/etc", "/nowhere"])
    assert [place for disk in found for place in disk["places"]] == ["/", "/etc"]


def test_docker_that_took_too_long_leaves_the_rest():
    found = {
        "load": [1, 2, 3],
        "cpus": 2,
        "memory": 10,
        "memory_used": 5,
        "swap": 0,
        "swap_used": 0,
        "disks": [{"places": ["/"], "size": 100, "free": 25, "inodes_percent": 1}],
        "processes": [],
    }
    use = stats.parse_host(found, "")
    assert (use.docker, use.disks[0].percent) == ((), 75)
    row = {"Type": "Images", "TotalCount": "4", "Size": "1GB", "Reclaimable": "0B"}
    assert stats.parse_host(found, json.dumps(row)).docker[0].kind == "Images"


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (268435456, "256 MiB"), (128 << 30, "128 GiB")],
)
def test_sizes_for_people(count, text):
    assert size_text(count) == text


@given(st.text(), st.integers(1, 200), st.integers(2, 60))
def test_a_drawn_table_never_leaves_the_screen(text, columns, rows):
    drawn = screen.clip(text, columns, rows).split("\r\n")
    assert len(drawn) <= rows
    assert all(
        len(line) <= columns + len(screen.END_OF_LINE) for line in drawn if "more" not in line
    )


@pytest.mark.parametrize("every", [0.0, -1.0, 0.1, 3601.0, float("nan"), float("inf")])
def test_a_table_is_drawn_neither_all_the_time_nor_hardly_ever(every):
    with pytest.raises(Refused, match="--every"):
        screen.watch(lambda: "", every, as_json=False)
