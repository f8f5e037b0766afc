"""What killing and retrying come to, and what is refused."""

import pytest

from opstasks.core.errors import Refused
from opstasks.fleet.inventory import HostSpec
from opstasks.jobs import change as jobs_change
from opstasks.jobs.model import Job, Match
from opstasks.primitives.docker import Container

VOLUME = ("volume", "os-volume-abc")


def match(state="running", code="executing", box="running", volume=VOLUME, id="abc", **more):
    container = Container(f"os-job-{id}", "i", box) if box else None
    return Match("h", Job(id, "ws", "act", state, code, **more), container, volume=volume)


def steps(found, cleanup=True):
    return jobs_change.plan_kill(found, cleanup=cleanup).steps


def test_a_running_job_is_stopped_and_removed():
    assert steps(match()) == (
        "mark as killed",
        "stop container",
        "save log",
        "remove container",
        "remove volume",
    )
    assert steps(match(), cleanup=False) == ("mark as killed", "stop container", "save log")


def test_a_waiting_job_is_only_marked():
    assert steps(match("pending", "created", "", ())) == ("mark as killed",)


def test_what_is_over_and_clean_needs_nothing():
    assert steps(match("succeeded", "succeeded", "", ())) == ()
    assert steps(match("failed", "killed_by_admin", "exited"), cleanup=False) == ()


def test_what_an_earlier_kill_kept_is_removed_later():
    assert steps(match("failed", "killed_by_admin", "exited")) == (
        "save log",
        "remove container",
        "remove volume",
    )


@pytest.mark.parametrize(
    ("now", "cleanup", "word"),
    [
        (match("failed", "killed_by_admin", "", ()), True, ""),
        (match("failed", "killed_by_admin", "exited"), False, ""),
        (match("succeeded", "succeeded", "", ()), True, ""),
        (match("failed", "killed_by_admin", "exited"), True, "container and volume"),
        (match("failed", "killed_by_admin"), False, "still runs"),
        (match("failed", "killed_by_admin", "paused"), False, "still runs"),
        (match("failed", "killed_by_admin", "exited", ()), False, "was to be kept"),
    ],
)
def test_what_a_kill_left_undone_is_seen(now, cleanup, word):
    said = jobs_change._left(now, match(), cleanup=cleanup)
    assert word in said if word else said == ""


@pytest.mark.parametrize("id", ["a%c", "a_c", "", "a b", "-rf", "$(x)", "é", "a;b"])
def test_an_id_that_job_runner_would_read_as_a_pattern_is_refused(id):
    with pytest.raises(Refused):
        jobs_change.check_id(match(id=id))


def test_an_id_that_is_part_of_another_is_refused():
    alike = Match("h", Job("abc", "w", "a", "running"), row={"alike": 1})
    with pytest.raises(Refused):
        jobs_change.check_id(alike)
    jobs_change.check_id(Match("h", Job("abc", "w", "a", "running"), row={"alike": 0}))


@pytest.mark.parametrize(
    ("found", "word"),
    [
        (match("succeeded", "succeeded", ""), "only internal errors"),
        (match("running", "executing"), "only internal errors"),
        (match("failed", "internal_error", ""), "no container"),
        (match("failed", "internal_error", "running"), "still runs"),
        (match("failed", "internal_error", "exited", ()), "no volume"),
    ],
)
def test_what_cannot_be_retried_is_refused_with_the_reason(found, word):
    with pytest.raises(Refused, match=word):
        jobs_change._check_state(found)


def test_what_can_be_retried():
    jobs_change._check_state(match("failed", "internal_error", "exited"))
    # Retried before, but the job-server was not told: again is right.
    jobs_change._check_state(match(box="exited", status_message=jobs_change.RETRIED))


def test_job_runner_is_given_ids_as_arguments_and_one_empty_line():
    command = jobs_change.job_runner(HostSpec(name="h"), "-m", "x", "$(id)", answer="")
    assert command.args[-1] == "$(id)"
    assert command.args[4:6] == (
        "/home/opensafely/config/load-env",
        "/home/opensafely/jobrunner/code",
    )
    assert command.stdin == "\n"


# -- naming a job to look into ---------------------------------------------------------------


def test_a_job_of_which_nothing_is_left_is_not_said_to_be_unknown():
    from opstasks.jobs import finding

    over, running = match("failed", "nonzero_exit", box="", volume=()), match()
    assert finding._contained("abc", [over, running]) == [running]
    assert finding._contained("abc", []) == []
    with pytest.raises(Refused, match="has no container or volume") as refused:
        finding._contained("abc", [over])
    assert refused.value.hint == f"jobs.logs {over.job.id}"


def test_a_job_that_came_to_life_after_the_question_is_not_killed():
    over = jobs_change.plan_kill(match("failed", "internal_error"), cleanup=False)
    now = jobs_change.plan_kill(match(), cleanup=False)
    with pytest.raises(Refused, match=r"is running .* again: you were not asked"):
        jobs_change._check_shown(now, over.steps)
    jobs_change._check_shown(now, now.steps)
    begun = jobs_change.plan_kill(match(), cleanup=True)
    # A job that was pending when it was shown has a container by now: that is no surprise.
    jobs_change._check_shown(begun, ("mark as killed",))


def test_nothing_of_a_job_that_is_over_is_removed_unless_it_was_shown():
    over = jobs_change.plan_kill(match("failed", "nonzero_exit", "exited"), cleanup=True)
    with pytest.raises(Refused, match="save log, remove container as well") as refused:
        jobs_change._check_shown(over, ("remove volume",))
    assert "nothing was changed" in refused.value.hint
    jobs_change._check_shown(over, over.steps)
    jobs_change._check_shown(over, (*over.steps, "mark as killed"))
