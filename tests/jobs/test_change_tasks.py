"""`jobs.kill` and `jobs.retry` as they are typed: plan, question, change, end."""

import json

import pytest

from opstasks.cli import questions
from opstasks.jobs import kill as jobs_kill
from opstasks.jobs import retry as jobs_retry
from opstasks.jobs import tasks
from opstasks.jobs.find import FIND, FindAnswer, FoundJob
from opstasks.jobs.kill import KilledJob, KillResult
from opstasks.jobs.model import Container, Job
from opstasks.jobs.retry import RetryFacts, RetryResult
from opstasks.primitives.systemd import UnitState
from tests.fake_host import ANY

ID = "abcdefghij234567"
STEPS = "mark as killed, stop container, save log, remove container, remove volume"


@pytest.fixture
def asked(monkeypatch):
    """A person at a terminal who says yes, and the questions."""
    seen = []
    monkeypatch.setattr(questions, "is_interactive", lambda: True)
    monkeypatch.setattr(questions, "agrees_to", lambda question: seen.append(question) or True)
    return seen


def holds(host, state, code, box):
    """What the host answers when the job is looked for."""
    job = Job(ID, "ws", "act", state, code, created_at=1, started_at=2)
    container = Container(f"os-job-{ID}", "i", box) if box else None
    volume = ("volume", f"os-volume-{ID}") if box else None
    found = FoundJob(job, {}, container, volume)
    host.expect(FIND, ANY, FindAnswer(62.0, {ID: (found,)}))


@pytest.fixture
def killed(monkeypatch):
    """What was asked of the host to kill."""
    seen = []

    def apply(host, shown, *, cleanup):
        seen.append((dict(shown), cleanup))
        job = KilledJob("failed", "killed_by_admin", "killed")
        return KillResult(True, dict.fromkeys(shown, job))

    monkeypatch.setattr(jobs_kill, "apply", apply)
    return seen


PLAN = [
    "1 job to kill",
    "HOST  JOB               WORKSPACE / ACTION  STATE      FOR",
    f"tpp   {ID}  ws / act            executing   1m",
    f"steps: {STEPS}",
]


def test_kill_shows_the_plan_before_the_question_and_the_state_after_it(
    run_task, host, asked, killed
):
    holds(host, "running", "executing", "running")
    code, out, _ = run_task(tasks.kill, job=[ID])
    assert (code, asked) == (0, ["Kill 1 job on tpp?"])
    assert killed == [({ID: tuple(STEPS.split(", "))}, True)]
    lines = out.splitlines()
    assert lines[:4] == PLAN
    assert lines[4].startswith("This cannot be undone")
    assert lines[5].startswith(f"[1/1] tpp  DONE  {ID} failed (killed_by_admin)")
    assert lines[6].startswith("Killed on 1 host in ")
    assert len(lines) == 7


def test_a_dry_kill_shows_the_same_plan_and_nothing_else(run_task, host, killed):
    holds(host, "running", "executing", "running")
    code, out, _ = run_task(tasks.kill, job=[ID], options={"dry": True})
    assert (code, out.splitlines(), killed) == (0, PLAN, [])


def test_a_kill_without_a_terminal_needs_yes(run_task, host, killed):
    holds(host, "running", "executing", "running")
    code, _, err = run_task(tasks.kill, job=[ID])
    assert (code, killed) == (2, [])
    assert "--yes" in err


def test_a_kill_that_keeps_the_container_says_how_to_remove_it(run_task, host, killed):
    holds(host, "running", "executing", "running")
    _, out, _ = run_task(tasks.kill, job=[ID], cleanup=False, options={"yes": True})
    assert out.splitlines()[-1] == f"remove later:  inv -H tpp jobs.kill {ID}"


def test_a_kill_with_nothing_to_do_asks_nothing(run_task, host, asked, killed):
    holds(host, "succeeded", "succeeded", "")
    code, out, _ = run_task(tasks.kill, job=[ID])
    assert (code, asked, killed) == (0, [], [])
    assert out.splitlines()[0] == "nothing to do"


@pytest.mark.parametrize("options", [{}, {"dry": True}])
def test_a_kill_as_json_is_one_document(run_task, host, killed, options):
    holds(host, "running", "executing", "running")
    code, out, _ = run_task(tasks.kill, job=[ID], options={"yes": True, "json": True, **options})
    value = json.loads(out)["hosts"]["tpp"]["value"]
    assert code == 0
    if options:
        assert value == {"jobs": {ID: STEPS.split(", ")}}
    else:
        assert value["jobs"][ID] == {
            "state": "failed",
            "status_code": "killed_by_admin",
            "outcome": "killed",
        }


@pytest.mark.parametrize(
    ("state", "is_over", "last"),
    [
        ("succeeded", True, "Retried 1 job in "),
        ("running", False, f"next:  inv -H tpp jobs.show {ID}"),
    ],
)
def test_a_retry_shows_plan_question_and_end(
    run_task, host, asked, monkeypatch, state, is_over, last
):
    holds(host, "failed", "internal_error", "exited")
    unit = UnitState("jobrunner", "loaded", "inactive", "dead")
    monkeypatch.setattr(jobs_retry, "inspect", lambda host, match: RetryFacts(unit))
    done = RetryResult(True, ID, state, "executing", is_over)
    monkeypatch.setattr(jobs_retry, "apply", lambda host, id, *, wait_s: done)
    code, out, _ = run_task(tasks.retry, job=ID)
    assert (code, asked) == (0, [f"Retry {ID} on tpp?"])
    lines = out.splitlines()
    assert "failed: internal_error" in lines[1]
    assert lines[2] == f"steps: retry, from volume os-volume-{ID}"
    assert "the job will not continue yet" in lines[3]
    assert lines[4].startswith(f"[1/1] tpp  DONE  {ID} ")
    assert lines[-1].startswith(last)
