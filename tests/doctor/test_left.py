"""doctor names what ended jobs and interrupted tasks left, and how to remove or finish it."""

import json

import pytest

from opstasks.core.result import Result
from opstasks.doctor import left
from opstasks.fleet.inventory import HostSpec

SPEC = HostSpec(name="tpp")
NOW = 1_800_000_000.0
ID = "abcdefghijklmnop"


def job(state="failed", code="killed_by_admin", updated_at=NOW - 60):
    return {
        "id": ID,
        "workspace": "w",
        "action": "a",
        "state": state,
        "status_code": code,
        "updated_at": updated_at,
    }


def judged(jobs=(), containers=(), volumes=(), untold="", problem=""):
    docker = {
        "containers": [
            {"name": f"os-job-{id}", "image": "i", "state": "exited"} for id in containers
        ],
        "volumes": list(volumes),
        "jobs": list(jobs),
        "problem": problem,
    }
    told = {"now": NOW, "flags": {}, "counts": {}, "jobs": [], "docker": docker}
    found = {
        "jobs": Result("x", 0, json.dumps({"ok": told}), ""),
        "untold": Result("ls", 0, untold, ""),
    }
    return list(left.judge(SPEC, found))


@pytest.mark.parametrize(
    ("containers", "volumes", "what"),
    [([ID], [ID], "container and volume"), ([], [ID], "volume"), ([ID], [], "container")],
)
def test_an_incomplete_kill_is_named_with_the_task_that_completes_it(containers, volumes, what):
    (finding,) = judged([job()], containers, volumes)
    assert (finding.name, finding.good) == (f"job {ID}", False)
    assert finding.text == f"{what} still there, job is failed (killed_by_admin)"
    assert finding.hint == f"inv -H tpp jobs.kill {ID}"


@pytest.mark.parametrize(
    "jobs",
    [[job("running", "executing")], [job(code="internal_error")], [job(updated_at=NOW - 1)]],
)
def test_a_job_that_needs_its_volume_is_not_a_finding(jobs):
    (finding,) = judged(jobs, [ID], [ID])
    assert (finding.good, finding.text) == (True, "left nothing behind")


def test_a_volume_without_a_job_is_named_with_the_commands_that_remove_it():
    (finding,) = judged(volumes=[ID])
    assert finding.text == "volume without a job"
    assert finding.hint == (
        f"look at it, then: inv -H tpp run -- sh -c 'docker rm -f os-job-{ID}"
        f" os-volume-{ID}-manager; docker volume rm os-volume-{ID}'"
    )


def test_a_name_that_is_no_id_does_not_get_into_a_hint():
    (finding,) = judged(volumes=["$(reboot)"])
    assert "reboot" not in finding.hint


def test_a_retry_that_the_job_server_was_not_told_of_is_named():
    finding, _ = judged(untold=f"{ID}\n$(reboot)\n")
    assert (finding.name, finding.hint) == (f"job {ID}", f"inv -H tpp jobs.retry {ID}")
    assert "job-server was not told" in finding.text


def test_without_an_answer_of_docker_nothing_is_said_about_containers():
    (finding,) = judged([job()], problem="docker does not answer")
    assert (finding.good, finding.text) == (True, "not known: docker does not answer")
