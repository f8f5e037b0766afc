"""`jobs.ls` and `jobs.show` as they are typed."""

import json
from dataclasses import replace

import pytest

from opstasks.jobs import tasks
from opstasks.jobs.find import FIND, FindAnswer, FoundJob
from opstasks.jobs.join import HostContainers
from opstasks.jobs.read import READ, JobsAnswer
from opstasks.primitives import journal
from tests.fake_host import ANY
from tests.jobs import recorded

JOBS = (recorded.LONGER, recorded.EXTRACT)


def lists(host, *jobs, problem="", **more):
    """What the host answers when its jobs are listed."""
    docker = HostContainers(problem=problem)
    host.expect(READ, ANY, JobsAnswer(recorded.NOW, {}, {}, jobs, docker=docker, **more))


def test_ls_in_a_pipe_has_whole_ids_one_line_for_each_job(run_task, host):
    lists(host, *JOBS)
    code, out, err = run_task(tasks.ls)
    lines = out.splitlines()
    assert (code, lines[0].split()[:2]) == (0, ["HOST", "JOB"])
    assert [line.split()[1] for line in lines[1:]] == [job.id for job in JOBS]
    assert err.startswith("! tpp ")


def test_ls_with_q_prints_only_ids_and_all_of_them(run_task, host):
    lists(host, *JOBS)
    code, out, _ = run_task(tasks.ls, options={"ids_only": True})
    assert (code, out.splitlines()) == (0, [job.id for job in JOBS])


def test_an_empty_list_says_what_was_looked_for_and_what_ended(run_task, host):
    lists(host, ended_day={"failed": 2, "succeeded": 3})
    code, out, err = run_task(tasks.ls)
    said = "no job is running or pending on 1 host; 5 ended in 24 h: jobs.ls --all\n"
    assert (code, out, err) == (0, "", said)


def test_a_list_without_docker_ends_with_exit_code_1_and_the_next_command(run_task, host):
    lists(host, *JOBS, problem="docker does not answer")
    code, _, err = run_task(tasks.ls)
    assert code == 1
    assert "! tpp: cannot read the containers: docker does not answer" in err
    assert "next:  inv -H tpp doctor" in err


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ({"state": "runing"}, "--state"),
        ({"since": "soon"}, "--since"),
        ({"workspace": "a\nb"}, "--workspace"),
        ({"watch": True}, "--watch"),
    ],
)
def test_a_wrong_value_is_refused_with_its_flag(run_task, flags, named):
    code, out, err = run_task(tasks.ls, **flags)
    assert (code, out) == (2, "")
    assert err.startswith(f"error  {named}")


def finds(host, job, **more):
    found = FoundJob(job, {}, **more)
    host.expect(FIND, ANY, FindAnswer(recorded.NOW, {job.id: (found,)}))
    host.expect(journal.RECORDS, ANY, journal.JournalAnswer(()))


OVER = replace(recorded.OLD, completed_at=recorded.NOW - 60)


def test_show_begins_with_the_state_and_the_exit_code(run_task, host):
    finds(host, OVER, exit_code=137)
    code, out, _ = run_task(tasks.show, job=OVER.id)
    assert code == 0
    assert out.startswith("failed: internal_error, exit code 137 (SIGKILL)\n")


def test_show_as_json_has_one_host_with_typed_values(run_task, host):
    finds(host, OVER, exit_code=137)
    _, out, _ = run_task(tasks.show, job=OVER.id, options={"json": True})
    document = json.loads(out)
    assert (document["version"], document["exit_code"]) == (1, 0)
    value = document["hosts"]["tpp"]["value"]
    assert (value["exit_code"], value["job"]["id"]) == (137, OVER.id)
    assert value["job"]["completed_at"] == "2026-11-26T07:55:00.000+00:00"


def test_show_with_q_prints_the_whole_id(run_task, host):
    finds(host, OVER)
    _, out, _ = run_task(tasks.show, job=OVER.id, options={"ids_only": True})
    assert out == f"{OVER.id}\n"


def test_several_matches_in_a_pipe_are_answered_with_the_commands_to_type(run_task, host):
    typed = ("-H", "all", "jobs.show", "study", "--json")
    older = replace(recorded.EXTRACT, id="aaaabbbbccccdddd", created_at=1)
    found = tuple(FoundJob(job, {}) for job in (older, recorded.EXTRACT))
    host.expect(FIND, ANY, FindAnswer(recorded.NOW, {"study": found}))
    code, _, err = run_task(tasks.show, job="study", typed=typed, places=[3])
    assert code == 2
    assert err.splitlines() == [
        "error  2 jobs match 'study'; newest first.",
        f"  | inv -H all jobs.show {recorded.EXTRACT.id} --json",
        "  | inv -H all jobs.show aaaabbbbccccdddd --json",
        "next:  type one of these",
    ]
