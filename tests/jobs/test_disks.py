"""How full a disk is: one number, that of df, in every task."""

import os
import subprocess
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.doctor.onhost import inspect as doctor_there
from opstasks.fleet.inventory import HostSpec
from opstasks.jobs import disks
from opstasks.jobs.onhost import host_stats as stats_there
from opstasks.onhost import disk_use

COUNTS = st.integers(0, 1 << 60)


def test_status_host_stats_and_doctor_say_what_df_says():
    command = ["df", "--output=pcent,target", "/"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    ((place, percent),) = disks.parse_use(done.stdout).items()
    assert place == "/"
    # Other programs write to the disk meanwhile.
    assert stats_there.disks(["/"])[0]["used_percent"] == pytest.approx(percent, abs=1)
    assert doctor_there.disk("/")["used_percent"] == pytest.approx(percent, abs=1)


def test_blocks_that_are_kept_for_root_are_neither_used_nor_free():
    found = SimpleNamespace(f_blocks=1000, f_bfree=900, f_bavail=300, f_files=0, f_ffree=0)
    found.f_favail = 0
    assert disk_use.used_percent(found) == 25
    assert disk_use.inodes_percent(found) == 0


@given(COUNTS, COUNTS)
def test_a_share_is_between_0_and_100_and_is_rounded_up(used, free):
    found = disk_use.share_percent(used, free)
    assert 0 <= found <= 100
    assert (found == 0) == (used == 0)
    assert free or found == (100 if used else 0)


def test_a_file_system_that_reports_more_free_than_there_is_counts_as_empty():
    assert disk_use.share_percent(-5, 100) == 0


def test_invalid_lines_of_df_are_left_out():
    text = "Use% Mounted on\n 25% /\n-% /proc\n 91% /srv/a b\nnonsense\n"
    assert disks.parse_use(text) == {"/": 25, "/srv/a b": 91}


def test_the_fullest_disk_is_the_one_that_counts():
    assert disks.fullest({"/": 25, "/srv": 91, "/var": 30}) == ("/srv", 91)
    assert disks.fullest({}) is None


def test_the_folders_of_jobs_and_of_docker_are_looked_at():
    spec = HostSpec(name="tpp")
    assert {spec.high_privacy, spec.medium_privacy, spec.home} < set(disks.places(spec))
    assert os.path.dirname(disks.DOCKER_ROOT) == "/var/lib"
