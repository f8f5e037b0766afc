"""`host.stats`: the host's own files, docker's disk use, and invalid answers."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.core.errors import InvalidResponse
from opstasks.core.formats import size_text
from opstasks.jobs.host_stats import (
    HOST_STATS,
    INTERVAL_S,
    DiskUse,
    DockerUse,
    HostStatsRequest,
    HostUse,
    ProcessUse,
    docker_df,
    parse_docker_df,
    read_host_stats,
)
from opstasks.jobs.onhost import host_stats as stats_there
from tests.fake_host import Reply

USE = HostUse(
    (0.5, 1.0, 1.5),
    2,
    4 << 20,
    1 << 20,
    0,
    0,
    (DiskUse(("/", "/home"), 100, 25, 75, 1),),
    (ProcessUse(7, "dockerd", "root", 0.25, 1024),),
)
IMAGES = {"Type": "Images", "TotalCount": "4", "Size": "1.5GB", "Reclaimable": "1.2kB (89%)"}


# -- on the host -----------------------------------------------------------------------------


def test_meminfo_is_read_in_bytes():
    text = "MemTotal: 100 kB\nMemAvailable: 40 kB\nSwapTotal: 10 kB\nSwapFree: 4 kB\n"
    assert stats_there.memory(text) == {
        "memory_bytes": 102400,
        "memory_used_bytes": 61440,
        "swap_bytes": 10240,
        "swap_used_bytes": 6144,
    }


def test_more_free_than_there_is_counts_as_nothing_used():
    text = "MemTotal: 1 kB\nMemAvailable: 2 kB\nSwapTotal: 1 kB\nSwapFree: 2 kB\n"
    found = stats_there.memory(text)
    assert (found["memory_used_bytes"], found["swap_used_bytes"]) == (0, 0)


def test_a_file_system_without_a_size_does_not_hide_the_host(fake_host, monkeypatch):
    huge = SimpleNamespace(
        f_blocks=1 << 51,
        f_bfree=1 << 51,
        f_bavail=1 << 51,
        f_frsize=4096,
        f_files=0,
        f_ffree=0,
        f_favail=0,
    )
    monkeypatch.setattr(stats_there.os, "statvfs", lambda place: huge)
    host = fake_host()
    host.expect(HOST_STATS, asked(host), answer(disks=stats_there.disks(["/"])))
    host.expect(docker_df(), Reply(1))
    assert read_host_stats(host, 5).disks[0].places == ("/",)


@given(st.text(min_size=1, max_size=15))
def test_a_process_may_have_any_name(name):
    fields = ["S", *map(str, range(50))]
    found = stats_there.parse_stat(f"42 ({name}) {' '.join(fields)}")
    assert found == (name, fields)


def test_the_busiest_processes_come_first():
    first = {1: (0.0, 10, "idle", 0), 2: (0.0, 5, "busy", 0)}
    last = {1: (0.0, 10, "idle", 0), 2: (1.0, 5, "busy", 0), 3: (9.0, 1, "new", 0)}
    found = stats_there.top(first, last, 1.0, 2)
    assert [row["name"] for row in found] == ["busy", "idle"]
    assert (found[0]["cpu_cores"], found[0]["user"]) == (1.0, "root")


def test_disks_are_listed_once_and_missing_folders_are_left_out():
    found = stats_there.disks(["/", "/etc", "/nowhere"])
    assert [place for disk in found for place in disk["places"]] == ["/", "/etc"]


# -- from a host -----------------------------------------------------------------------------


def asked(host, top=5):
    spec = host.spec
    places = (spec.home, spec.high_privacy, spec.medium_privacy, "/var/lib/docker", "/")
    return HostStatsRequest(INTERVAL_S, places, top)


def test_a_host_is_measured_in_one_round_trip(fake_host):
    host = fake_host()
    host.expect(HOST_STATS, asked(host), USE, user="opensafely")
    host.expect(docker_df(), json.dumps(IMAGES))
    use = read_host_stats(host, 5)
    assert use == replace(USE, docker=(DockerUse("Images", 4, 1_500_000_000, 1200),))
    assert use.disks[0].used_percent == 75


def test_host_stats_are_shown_without_docker_when_it_times_out(fake_host):
    host = fake_host()
    host.expect(HOST_STATS, asked(host), USE)
    host.expect(docker_df(), Reply(124, json.dumps(IMAGES)))
    use = read_host_stats(host, 5)
    assert use == USE
    assert use.docker is None


@given(
    st.lists(
        st.sampled_from([json.dumps(IMAGES), "{}", "{", '{"Type": null}', "[]", "nonsense"])
        | st.text()
    )
)
def test_invalid_output_of_docker_df_is_left_out(lines):
    for use in parse_docker_df("\n".join(lines)) or ():
        assert use.kind == "Images"


def test_output_of_docker_df_that_is_not_text_is_left_out():
    assert parse_docker_df(json.dumps(IMAGES).replace("1.5GB", "\udcff")) is None


@pytest.mark.parametrize("size", ["", "GB", "1.5 XB", "-1B", "nan", "1e9B", "9" * 99 + "B"])
def test_a_size_of_docker_that_is_no_size_is_left_out(size):
    assert parse_docker_df(json.dumps({**IMAGES, "Size": size})) is None


def answer(**over):
    document = json.loads(
        json.dumps(
            {
                **vars(USE),
                "disks": [vars(disk) for disk in USE.disks],
                "processes": [vars(process) for process in USE.processes],
                "docker": None,
            }
        )
    )
    return Reply(out=json.dumps({"ok": {**document, **over}}))


@pytest.mark.parametrize(
    "over",
    [
        {"load": [1, 2]},
        {"load": None},
        {"cpus": -1},
        {"memory_bytes": "4 GB"},
        {"disks": [{**vars(USE.disks[0]), "places": "/"}]},
        {"disks": [{**vars(USE.disks[0]), "size_bytes": -1}]},
        {"disks": [{**vars(USE.disks[0]), "used_percent": "4 %"}]},
        {"processes": [{"pid": 1, "name": None, "user": "", "cpu_cores": 0, "memory_bytes": 0}]},
    ],
)
def test_an_invalid_answer_names_the_host(fake_host, over):
    host = fake_host()
    host.expect(HOST_STATS, asked(host), answer(**over))
    host.expect(docker_df(), "")
    with pytest.raises(InvalidResponse) as caught:
        read_host_stats(host, 5)
    assert caught.value.host == "tpp"


# -- shown -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (268435456, "256 MiB"), (128 << 30, "128 GiB")],
)
def test_sizes_are_shown_in_binary_units(count, text):
    assert size_text(count) == text
