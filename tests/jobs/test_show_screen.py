"""The screen of `jobs.show`, and the values that `--json` shows."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.jobs.details import details
from opstasks.jobs.model import Container, Job, LogFile, Match
from opstasks.jobs.show import JobEvent, Timeline, events
from opstasks.jobs.show_screen import lines
from opstasks.output.documents import plain
from tests.jobs import recorded
from tests.jobs.recorded import CLOCK, MINUTE, NOW
from tests.screen_check import WIDTHS, check_fits, check_golden, check_whole, shown

FOLDER = "/srv/high_privacy/logs/2026-11/os-job-zvwxyabcdefg2345"
ROW = {
    "job_request_id": "65ffff2701",
    "run_command": "python:v1 python analysis/fail.py --output output/a_file_with_a_long_name.csv",
    "repo_url": "https://github.com/opensafely/sandbox-study",
    "commit": "dda0fe07717470b5b5e5b0e14bb61db54001999c",
    "database_name": "default",
    "outputs": '{"output/a.csv": "moderately_sensitive", "output/b.csv": "highly_sensitive"}',
    "wait_for_job_ids": '["ovlotuqhnfcjxr2q"]',
}
FAILED = Job(
    "zvwxyabcdefg2345",
    "study-b",
    "describe",
    "failed",
    "nonzero_exit",
    created_at=NOW - 20 * MINUTE,
    started_at=NOW - 19 * MINUTE,
    completed_at=NOW - 4 * MINUTE,
    updated_at=NOW - 4 * MINUTE,
    status_message="Job exited with an error",
)
FILES = (
    LogFile(f"{FOLDER}/logs.txt", 395),
    LogFile(f"{FOLDER}/metadata.json", 6840),
)
PRINTED = ("reading 12 files", "the cohort is empty", "x" * 300)
ENDED = Match("sandbox-1", FAILED, logs=FILES, row=ROW, now=NOW, recorded_exit_code=137)
BOX = Container(
    f"os-job-{recorded.EXTRACT.id}",
    f"{recorded.REGISTRY}/ehrql:v1",
    "running",
    "sha256:6eee26ea5dc7ca43c526a09088292147df7b7361",
    pid=7,
    started_at=NOW - 12 * MINUTE,
    cpu_limit_cores=2,
    memory_limit_bytes=4 << 30,
    memory_bytes=2_620_000_000,
)
RUNS = Match(
    "sandbox-1",
    recorded.EXTRACT,
    BOX,
    ("volume", f"os-volume-{recorded.EXTRACT.id}"),
    row=ROW,
    now=NOW,
)


def screen(match, width, printed=(), missing=""):
    timeline = Timeline(events(match), missing)
    found = details(match, timeline)
    return lines(found, match.host, match.now, CLOCK, printed=printed, width=width)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(("name", "match"), [("failed", ENDED), ("running", RUNS)])
def test_the_screen_of_a_job_is_as_recorded(width, name, match):
    found = screen(match, width, PRINTED)
    check_fits(found, width)
    check_whole(
        found, [match.job.id, ROW["commit"], ROW["repo_url"], *([FOLDER] if match.logs else [])]
    )
    check_golden(__file__, f"jobs.show-{name}-{width}", found)


def test_the_first_line_is_the_state_with_the_exit_code():
    first = shown(screen(ENDED, 80))[0]
    assert first == "failed: nonzero_exit, exit code 137 (SIGKILL)"
    killed = replace(BOX, state="exited", exit_code=137, oom_killed=True, finished_at=NOW)
    first = shown(screen(replace(ENDED, container=killed), 80))[0]
    assert first == "failed: nonzero_exit, exit code 137 (SIGKILL, out of memory)"
    assert shown(screen(RUNS, 80))[0] == "executing"


def commands(match):
    text = shown(screen(match, 0))
    return [line.partition("inv ")[2] for line in text if "inv " in line]


def test_the_next_commands_fit_the_state_of_the_job():
    id = FAILED.id
    assert commands(ENDED) == [f"-H sandbox-1 jobs.logs {id}", f"-H sandbox-1 logs --job {id}"]
    id = recorded.EXTRACT.id
    assert commands(RUNS) == [
        f"-H sandbox-1 {task} {id}" for task in ("jobs.logs", "jobs.follow", "jobs.kill")
    ]
    broken = replace(FAILED, status_code="internal_error")
    kept = Match("h", broken, replace(BOX, state="exited"), ("volume", "v"), now=NOW)
    assert f"-H h jobs.retry {FAILED.id}" in commands(kept)
    waits = Match("h", recorded.WAITING, now=NOW)
    assert commands(waits) == [f"-H h jobs.kill {recorded.WAITING.id}"]


def test_a_disagreement_is_shown_with_its_command():
    left = Match("h", recorded.LEFT, replace(BOX, state="exited"), ("volume", "v"), now=NOW)
    text = shown(screen(left, 80))
    assert "! container and volume still there, job is failed" in text
    assert commands(left)[0] == f"-H h jobs.kill {recorded.LEFT.id}"


def test_what_is_missing_is_said():
    silent = replace(ENDED, docker_problem="docker does not answer")
    text = "\n".join(shown(screen(silent, 80, missing="the journal took more than 20 s")))
    assert "! cannot read the containers: docker does not answer" in text
    assert "! the service's lines are missing: the journal took more than 20 s" in text


@pytest.mark.parametrize("width", WIDTHS)
def test_hostile_values_stay_within_the_window(width):
    odd = "a\nb\x1b[2J " + "日本語" * 60
    job = replace(FAILED, workspace=odd, action=odd, status_message=odd, status_code=odd)
    row = dict.fromkeys((*ROW, "unmatched_outputs", "requires_outputs_from", "cancelled"), odd)
    match = Match("h", job, replace(BOX, name=odd, image=odd), ("bind", odd), row=row, now=NOW)
    found = screen(match, width, [odd])
    check_fits(found, width)
    assert not any("\x1b" in line for line in shown(found))


def test_a_history_shows_the_time_between_events_and_now():
    text = shown(screen(RUNS, 80))
    history = text[text.index("07:43:57  created") :]
    assert history[1:6] == [
        "          |  3s",
        "07:44:00  started",
        "07:44:00  container started",
        "07:44:00  executing  Executing job on the backend",
        "          |  12m",
    ]


# -- values ----------------------------------------------------------------------------------


def test_the_document_has_typed_values_and_times_in_utc():
    found = json.loads(json.dumps(details(ENDED, Timeline(())), default=plain))
    assert (found["exit_code"], found["container"], found["volume"]) == (137, None, None)
    assert found["job"]["completed_at"] == "2026-11-26T07:52:00.000+00:00"
    assert found["outputs"]["output/a.csv"] == "moderately_sensitive"
    assert found["waits_for"] == ["ovlotuqhnfcjxr2q"]
    assert found["logs"][0]["size_bytes"] == 395


def test_an_event_has_its_time_in_the_document():
    found = details(ENDED, Timeline((JobEvent(NOW, "created"),)))
    (event,) = json.loads(json.dumps(found, default=plain))["timeline"]
    assert event == {"happened_at": "2026-11-26T07:56:00.000+00:00", "name": "created", "text": ""}


@given(
    st.dictionaries(
        st.sampled_from(
            ["outputs", "wait_for_job_ids", "requires_outputs_from", "cancelled", "commit"]
        ),
        st.none()
        | st.integers()
        | st.floats()
        | st.text()
        | st.lists(st.text())
        | st.recursive(st.text(), lambda more: st.dictionaries(st.text(), more)).map(json.dumps),
    )
)
def test_a_row_may_have_values_of_any_type(row):
    match = Match("h", FAILED, row=row, now=NOW)
    assert screen(match, 60)
    json.dumps(details(match, Timeline(())), default=plain)


@pytest.mark.parametrize(
    ("container", "recorded_code", "expected"),
    [
        (None, 3, 3),
        (None, None, None),
        (replace(BOX, state="exited", exit_code=0, finished_at=NOW), 3, 0),
        (BOX, None, None),
    ],
)
def test_the_exit_code_is_that_of_the_container_or_of_its_record(
    container, recorded_code, expected
):
    job = RUNS.job if container is BOX else FAILED
    found = Match("h", job, container, recorded_exit_code=recorded_code)
    assert found.exit_code == expected
