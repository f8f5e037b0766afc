"""Containers of jobs, and orphan containers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.maintenance.onhost import containers, problems
from tests.maintenance.onhost_help import add_job

IDS = st.text("abcdefghijklmnopqrstuvwxyz234567", min_size=16, max_size=16)


@given(IDS, IDS)
def test_only_containers_and_volumes_of_the_job_belong_to_it(id, other):
    for name in (f"os-job-{id}", f"os-volume-{id}", f"os-volume-{id}-manager"):
        assert containers.belongs_to(name, [id])
        assert containers.belongs_to(name, [other]) == (id == other)
    for name in (id, f"os-job-{id}x", f"xos-job-{id}", f"os-job-{id}-manager-2", ""):
        assert not containers.belongs_to(name, [id])


def test_orphan_containers_are_named_with_their_hints(site, database, docker, monkeypatch):
    monkeypatch.setattr(problems, "required", lambda *a, **k: "")
    add_job(database, "a", "running", "executing")
    add_job(database, "b", "failed", "internal_error")
    add_job(database, "c", "pending", "waiting_on_reboot")
    docker["running"] = ["os-job-a"]
    assert problems.docker_problem(site) == ""
    docker["running"] = ["os-job-a", "os-job-b", "os-job-c", "os-job-z"]
    text = problems.docker_problem(site)
    assert "os-job-b, os-job-c, os-job-z" in text
    assert "os-job-a" not in text
    assert "`jobs.kill --no-cleanup b`" in text, "its volume is needed for a retry"
    assert "`run -- docker rm --force os-job-c`" in text, "its job is to live on"
    assert "`run -- docker rm --force os-job-z`" in text


def test_an_orphan_that_may_soon_end_is_waited_for(site, database, docker, monkeypatch):
    """A kill marks the job first; a new job has its container before its row in the database."""
    monkeypatch.setattr(containers, "ORPHAN_S", 60)
    slept = []

    def sleep(seconds):
        slept.append(seconds)
        if len(slept) == 2:
            docker["running"] = ["os-job-new"]

    monkeypatch.setattr(containers.time, "sleep", sleep)
    docker["running"] = ["os-job-killed"]
    assert containers.lasting_orphans(site) == []
    assert slept == [containers.CHECK_EVERY_S] * 2


@pytest.mark.parametrize(("listed", "names"), [("b a\n", ["a", "b"]), ("", [])])
def test_containers_and_volumes_are_read_from_docker(site, commands, listed, names, monkeypatch):
    monkeypatch.setattr(containers, "account", lambda site: {})
    commands("docker", f"printf '{listed}'")
    assert containers.docker_names(site) == names
