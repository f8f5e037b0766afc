"""How a program on a host reads the memory that a container uses."""

import os

import pytest

from opstasks.jobs.onhost.job_memory import used_bytes

VERSION_1 = "9:name=systemd:/docker/x\n4:cpu,memory:/docker/x\n0::/docker/x\n"
VERSION_2 = "0::/system.slice/docker-x.scope\n"


def group(folder, used, stat, *, files):
    """A control group with a use and statistics."""
    folder.mkdir(parents=True)
    (folder / files).write_text(f"{used}\n")
    (folder / "memory.stat").write_text(stat)


@pytest.fixture
def machine(tmp_path):
    (tmp_path / "proc" / "7").mkdir(parents=True)
    return tmp_path


def read(machine, listed):
    (machine / "proc" / "7" / "cgroup").write_text(listed)
    return used_bytes(7, proc=str(machine / "proc"), cgroups=str(machine / "cgroups"))


def test_memory_of_version_1_is_read_without_cache_that_can_be_freed(machine):
    folder = machine / "cgroups" / "memory" / "docker" / "x"
    group(folder, 1000, "cache 5\ntotal_inactive_file 400\n", files="memory.usage_in_bytes")
    assert read(machine, VERSION_1) == 600


def test_memory_of_version_2_is_read_without_cache_that_can_be_freed(machine):
    folder = machine / "cgroups" / "system.slice" / "docker-x.scope"
    group(folder, 1000, "anon 5\ninactive_file 300\n", files="memory.current")
    assert read(machine, VERSION_2) == 700


@pytest.mark.parametrize("listed", ["", "nonsense", VERSION_1, VERSION_2, "5:cpu:/x\n", "1:2\n"])
def test_memory_that_cannot_be_read_is_unknown(machine, listed):
    assert read(machine, listed) is None


@pytest.mark.parametrize("used", ["", "max", "-5 x"])
def test_a_use_that_is_no_number_is_unknown(machine, used):
    folder = machine / "cgroups" / "system.slice" / "docker-x.scope"
    group(folder, used, "inactive_file 300\n", files="memory.current")
    assert read(machine, VERSION_2) is None


def test_a_process_that_has_ended_is_unknown():
    assert used_bytes(2**31 - 1) is None


def test_more_cache_than_use_is_0(machine):
    folder = machine / "cgroups" / "system.slice" / "docker-x.scope"
    group(folder, 100, "inactive_file 300\n", files="memory.current")
    assert read(machine, VERSION_2) == 0


def test_the_memory_of_this_process_can_be_read_or_is_unknown():
    found = used_bytes(os.getpid())
    assert found is None or found >= 0
