"""Joining database and docker: disagreements, and orphan containers."""

import pytest

from opstasks.jobs.join import HostContainers
from opstasks.jobs.model import Container, Job
from opstasks.jobs.read import JobsAnswer

NOW = 1_800_000_000.0


def job(state="running", code="executing", updated_at=NOW - 3600, id="a"):
    return Job(id, "ws", "act", state, code, updated_at=updated_at)


def container(state="running", id="a", finished_at=0.0):
    return Container(f"os-job-{id}", "python:v1", state, finished_at=finished_at)


def joined(rows, boxes, also=(), problem="", volumes=()):
    docker = HostContainers(tuple(boxes), (*rows, *also), problem, volumes)
    return JobsAnswer(NOW, {}, {}, tuple(rows), docker=docker).joined(orphans=True)


@pytest.mark.parametrize(
    ("row", "boxes", "said"),
    [
        (job(), [container()], ""),
        (job(), [], "no container"),
        (job(code="preparing"), [], ""),
        (job(updated_at=NOW - 1), [], ""),
        (job(), [container("exited", finished_at=NOW - 60)], "container has exited"),
        (
            job(code="executed"),
            [container("exited", finished_at=NOW - 60)],
            "container has exited",
        ),
        (job(), [container("exited", finished_at=NOW - 1)], ""),
        (job("failed", "killed_by_admin"), [container()], "container still runs, job is failed"),
        (job("failed", "internal_error"), [container("exited")], ""),
        (job("pending", "created"), [], ""),
    ],
)
def test_a_disagreement_is_flagged_if_it_lasts(row, boxes, said):
    (found,) = joined([row], boxes)
    assert found.disagreement == said


def test_no_job_is_flagged_when_docker_does_not_answer():
    (found,) = joined([job()], [], problem="docker does not answer")
    assert found.disagreement == ""


def test_a_container_that_docker_cannot_describe_is_flagged_at_its_job():
    odd = Container("os-job-a", "", "unknown", problem="broken")
    (found,) = joined([job(updated_at=NOW)], [odd])
    assert found.disagreement == "its container cannot be described: broken"


def test_an_orphan_container_comes_last():
    first, orphan = joined([job()], [container(), container(id="zz")])
    assert (first.id, orphan.id, orphan.state) == ("a", "zz", "?")
    assert orphan.disagreement == "container without a job"


ENDS = [("failed", "killed_by_admin"), ("failed", "nonzero_exit"), ("succeeded", "succeeded")]


@pytest.mark.parametrize(("state", "code"), ENDS)
@pytest.mark.parametrize(
    ("box", "volumes", "left"),
    [
        ("running", ("a",), "container and volume"),
        ("exited", ("a",), "container and volume"),
        ("created", (), "container"),
        (None, ("a",), "volume"),
        (None, ("other",), ""),
    ],
)
def test_what_a_job_that_is_over_still_has_is_flagged(state, code, box, volumes, left):
    boxes = [container(box)] if box else []
    found = joined([job(state, code)], boxes, [job(id="other")], volumes=volumes)[0]
    assert found.left == left
    assert bool(found.disagreement) == bool(left)
    recent = joined([job(state, code, NOW - 1)], boxes, [job(id="other")], volumes=volumes)[0]
    assert (recent.left, recent.disagreement) == ("", "")


@pytest.mark.parametrize(
    ("state", "code"),
    [("failed", "internal_error"), ("running", "executing"), ("pending", "waiting_on_reboot")],
)
def test_a_job_that_needs_its_volume_is_not_flagged(state, code):
    (found,) = joined([job(state, code)], [container("running")], volumes=("a",))
    assert found.left == ""


def test_a_volume_without_a_job_is_an_orphan():
    first, volume, both = joined(
        [job()], [container(), container(id="both")], volumes=("a", "lost", "both")
    )
    found = {j.id: (j.left, j.disagreement, j.state) for j in (volume, both)}
    assert found == {
        "lost": ("volume", "volume without a job", "?"),
        "both": ("container and volume", "container and volume without a job", "?"),
    }
    assert first.disagreement == ""


def test_a_job_outside_the_selection_is_listed_only_if_flagged():
    over = job("succeeded", "succeeded", id="b")
    retry = job("failed", "internal_error", id="b")
    boxes = [container(), container("exited", id="b")]
    assert joined([job()], boxes, [retry], volumes=("b",))[1:] == ()
    (left,) = joined([job()], boxes, [over], volumes=("b",))[1:]
    assert left.disagreement == "container and volume still there, job is succeeded"
    (odd,) = joined([job()], [container(), container(id="b")], [over])[1:]
    assert odd.disagreement == "container still runs, job is succeeded"


def test_a_joined_job_has_the_limits_and_the_use_of_its_container():
    limits = {"cpu_limit_cores": 0.5, "memory_limit_bytes": 4096}
    box = Container("os-job-a", "reg/python:v2", "running", **limits, memory_bytes=1024)
    (found,) = joined([job()], [box])
    assert (found.image, found.container) == ("reg/python:v2", "running")
    assert {name: getattr(found, name) for name in limits} == limits
    assert found.memory_bytes == 1024


def test_a_joined_job_without_limits_has_none_and_not_zero():
    (found,) = joined([job()], [container()])
    assert (found.cpu_limit_cores, found.memory_limit_bytes, found.memory_bytes) == (None,) * 3
