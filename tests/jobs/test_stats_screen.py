"""The screens of `jobs.stats` and `host.stats`: units, golden files, any width."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from opstasks.core.clock import Clock
from opstasks.core.errors import Unreachable
from opstasks.core.result import FleetResult, HostResult
from opstasks.jobs.host_stats import DiskUse, DockerUse, HostUse, ProcessUse
from opstasks.jobs.stats import JobUse
from opstasks.jobs.stats_screen import JOB_COLUMNS, cores_text, host_screen, jobs_screen
from opstasks.jobs.words import bytes_text
from tests.screen_check import WIDTHS, check_fits, check_golden, check_whole, shown

CLOCK = Clock(datetime(2026, 11, 24, 2, 13, tzinfo=UTC).timestamp())
MIB, GIB = 1 << 20, 1 << 30
LONG = "a-workspace-with-a-name-of-many-words-which-somebody-chose"
PLACE = f"/{LONG[:50]}"
ODD = "e\u0301\u202e日本語\x1b[31m\nx"
JOB = JobUse("ovlotuxkh2gq7wua", "study-b", "extract", 0.5, 2, 156 * MIB, 256 * MIB, 0, 0, 0, 0, 3)
FREE = JobUse(
    "mhc4pv5zdjx6pubw", "test", "longer", 0, None, 11 * MIB, None, MIB, 2 * MIB, 1.5, 2048, 1
)
HOST = HostUse(
    (0.52, 0.4, 0.31),
    2,
    24 * GIB,
    3 * GIB,
    0,
    0,
    (
        DiskUse(("/home/opensafely", "/srv/high_privacy", "/"), 252 * GIB, 76 * GIB, 25, 4),
        DiskUse(("/var/lib/docker",), 100 * GIB, 8 * GIB, 92, 1),
    ),
    (ProcessUse(76, "dockerd", "root", 0.25, 84 * MIB), ProcessUse(636, "python3", "x", 0, MIB)),
    (DockerUse("Images", 4, 1_500_000_000, 0), DockerUse("Build Cache", 0, 0, 0)),
)


def result(**values):
    items = [HostResult(host.replace("_", "-"), "ok", value) for host, value in values.items()]
    return FleetResult(items)


@pytest.mark.parametrize("width", [60, 80, 140])
def test_jobs_stats_is_as_in_its_golden_file(width):
    lines = jobs_screen(lambda: CLOCK).lines(result(sandbox_1=(JOB, FREE), sandbox_2=()), width)
    check_golden(__file__, f"jobs-stats-{width}", lines)


@pytest.mark.parametrize("width", [60, 80, 140])
def test_host_stats_is_as_in_its_golden_file(width):
    found = result(sandbox_1=HOST)
    found.results.append(HostResult("tpp", "unreachable", error=Unreachable("no", host="tpp")))
    check_golden(
        __file__, f"host-stats-{width}", host_screen(lambda: CLOCK, width).lines(found, width)
    )


@pytest.mark.parametrize("width", WIDTHS)
def test_odd_and_long_texts_fit_into_any_window(width):
    job = JobUse("x" * 16, LONG, ODD * 3, 63.5, 64, GIB, GIB, 1 << 59, 1 << 59, 1e18, 1e18, 99999)
    screen = jobs_screen(lambda: CLOCK, whole_ids=True)
    lines = screen.lines(result(**{LONG: (job,)}), width)
    check_fits(lines, width)
    check_whole(lines, [LONG, "x" * 16, "63.50 of 64"])
    odd = HostUse(
        (999.25, 998.5, 997.0),
        256,
        1 << 50,
        1 << 49,
        1 << 40,
        1 << 39,
        (DiskUse((PLACE, "/b"), 1 << 59, 1 << 58, 51, 1),),
        (ProcessUse(1 << 31, ODD, "u" * 40, 128.25, 1 << 49),),
        None,
    )
    lines = host_screen(lambda: CLOCK, width).lines(result(**{LONG: odd}), width)
    check_fits(lines, width)
    check_whole(lines, [LONG, PLACE, "51%"])
    assert not any("\x1b" in line or "\u202e" in line for line in shown(lines))


def test_two_jobs_with_the_same_beginning_have_longer_ids():
    other = replace(JOB, id="ovlotuxxxxxxxxxx")
    rows = jobs_screen(lambda: CLOCK).table_rows(result(a=(JOB,), b=(other,)))
    assert [row[1] for row in rows] == ["ovlotuxk", "ovlotuxx"]


def test_every_number_has_its_unit():
    assert cores_text(0.5, 2) == "0.50 of 2"
    assert cores_text(0.004) == "0.00"
    assert {column.title for column in JOB_COLUMNS} >= {"CPU CORES", "MEMORY", "LIMIT"}
    assert bytes_text(GIB, 4 * GIB) == "1 GiB of 4 GiB"
    assert bytes_text(GIB) == "1 GiB"


def test_no_running_job_is_said_with_the_number_of_hosts():
    assert shown(jobs_screen(lambda: CLOCK).lines(result(a=(), b=()), 80)) == [
        "no job is running on 2 hosts"
    ]


def test_a_docker_that_is_slow_is_named():
    lines = shown(host_screen(lambda: CLOCK, 80).lines(result(a=replace(HOST, docker=None)), 80))
    assert "a  docker did not say in time how much room it uses" in lines


def test_ids_of_jobs_are_for_pipes():
    assert list(jobs_screen(lambda: CLOCK).ids((JOB, FREE))) == [JOB.id, FREE.id]
