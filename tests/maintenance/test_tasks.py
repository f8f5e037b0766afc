"""The tasks of maintenance: what is asked, what is shown, and what is left alone."""

import json
from dataclasses import replace

import invoke
import pytest
from invoke.exceptions import Exit

from opstasks.cli import questions
from opstasks.cli.app import App
from opstasks.cli.context import Context
from opstasks.cli.options import RunOptions
from opstasks.core.clock import Clock
from opstasks.core.errors import OpsError, Refused
from opstasks.core.result import FleetResult, HostResult
from opstasks.core.state import HostState
from opstasks.fleet import audit
from opstasks.fleet.fleet import Fleet
from opstasks.maintenance import flags, pause_tasks, scheduled_tasks, tasks
from opstasks.maintenance.cancel import CANCEL, CancelRequest, CancelResult
from opstasks.maintenance.checklist import Checklist, ChecklistLine
from opstasks.maintenance.onhost.records import UNPAUSE
from opstasks.maintenance.pause import PAUSE, UNPAUSE_PROGRAM, PauseAnswer, UnpauseAnswer
from opstasks.maintenance.prepare import PrepareResult
from opstasks.maintenance.records import READ
from opstasks.maintenance.site import site_for
from tests.fake_host import ANY
from tests.maintenance.client_help import BY_BOB, NOW, UP, make_item, make_maintenance

PREPARE = make_item(due_at=NOW + 3600, due_there="2027-01-15 09:00:00 UTC", who="ann@laptop")
END = make_item(id="end-0b7711", kind=UNPAUSE, due_at=NOW + 60, who="ann@laptop")
BY_ANN = replace(BY_BOB, who="ann@laptop", why="upgrade", since_at=NOW)
PAUSED = replace(BY_BOB, why="upgrade", since_at=NOW - 60, until_at=NOW + 60)


@pytest.fixture(autouse=True)
def _who(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(audit, "new_run_id", lambda: "r1")
    monkeypatch.setattr(audit, "who", lambda: "ann@laptop")
    monkeypatch.setattr(Context, "clock", property(lambda self: Clock(NOW)))


@pytest.fixture
def asked(monkeypatch):
    """A person at a terminal who says yes, and the questions."""
    seen = []
    monkeypatch.setattr(questions, "is_interactive", lambda: True)
    monkeypatch.setattr(questions, "agrees_to", lambda question: seen.append(question) or True)
    return seen


@pytest.fixture
def host(fake_host):
    return fake_host()


@pytest.fixture
def run(host, capsys):
    """Run a task for the host; returns exit code, standard output and error."""

    def start(task, *, others=(), options=None, **args):
        app = App(RunOptions(hosts=("tpp",), **(options or {})))
        app._fleet = Fleet(
            [host, *others],
            keep_going=app.options.keep_going,
            observer=app.console.observe,
        )
        code = 0
        try:
            task.body(Context(invoke.Config(), app), **args)
        except Exit as end:
            code = end.code
        except OpsError as error:
            app.console.error(error)
            code = error.exit_code
        return code, *capsys.readouterr()

    return start


def holds(host, *items, **words):
    """What the host says when it is read."""
    host.expect(READ, ANY, make_maintenance(*items, units=UP, **words))


# -- pause, unpause --------------------------------------------------------------------------


def test_a_pause_shows_plan_state_and_undo_and_asks_nothing(host, run):
    holds(host)
    host.expect_lock("pause")
    host.expect(PAUSE, ANY, PauseAnswer(True, BY_ANN, HostState(paused=True)))
    code, out, _ = run(pause_tasks.pause, reason="upgrade", for_="")
    plan, _, row, *ended = out.splitlines()
    assert (code, plan) == (0, "1 host: hold new jobs back; running jobs go on  08:00 UTC")
    assert "not paused" in row
    assert "paused until someone unpauses: upgrade" in ended[0]
    assert ended[-1].endswith("Undo: inv -H tpp unpause")


@pytest.mark.parametrize("options", [{}, {"json": True}])
@pytest.mark.parametrize("task", [pause_tasks.pause, pause_tasks.unpause])
def test_the_pause_of_somebody_else_is_not_ended_without_a_person(host, run, task, options):
    holds(host, pause=PAUSED)
    args = {"replace": True} if task is pause_tasks.pause else {}
    code, _, err = run(task, options=options, **args)
    assert code == 2
    assert "bob on tpp?" in err


def test_the_question_comes_after_the_plan_that_says_whose_it_is(host, run, asked):
    holds(host, pause=PAUSED)
    host.expect_lock("unpause")
    host.expect(UNPAUSE_PROGRAM, ANY, UnpauseAnswer(True, HostState(paused=False)))
    code, out, _ = run(pause_tasks.unpause)
    assert (code, asked) == (0, ["End the pause of bob on tpp?"])
    assert "paused by bob since 07:59, until 08:01: upgrade" in out.splitlines()[2]
    assert "Undo" not in out, "the pause would have another name"


def test_ones_own_pause_ends_without_a_question(host, run):
    holds(host, pause=BY_ANN)
    host.expect_lock("unpause")
    host.expect(UNPAUSE_PROGRAM, ANY, UnpauseAnswer(True, HostState(paused=False)))
    code, out, _ = run(pause_tasks.unpause)
    assert code == 0
    assert out.splitlines()[-1].endswith("Undo: inv -H tpp pause --reason upgrade")


@pytest.mark.parametrize(
    ("task", "found", "args"),
    [
        (pause_tasks.pause, {}, {"reason": "x"}),
        (pause_tasks.pause, {"pause": PAUSED}, {"replace": True}),
        (pause_tasks.unpause, {"pause": PAUSED}, {}),
    ],
)
def test_a_dry_run_prints_the_plan_and_changes_nothing(host, run, task, found, args):
    holds(host, **found)
    code, out, err = run(task, options={"dry": True}, **args)
    assert (code, err) == (0, "")
    assert len(out.splitlines()) == 3, "a headline, a header and the host"


# -- scheduled -------------------------------------------------------------------------------


def test_ids_alone_are_printed_for_a_pipe(host, run):
    holds(host, PREPARE, make_item(id="over", outcome="done"))
    assert run(scheduled_tasks.show, options={"ids_only": True})[:2] == (0, "one\n")


def expect_cancel(host, item):
    request = CancelRequest(site_for(host.spec), item.id, "r1", "ann@laptop", "")
    done = replace(item, outcome="cancelled", reason="cancelled by ann@laptop")
    host.expect(CANCEL, request, CancelResult(True, done), user="root")


def test_a_cancel_asks_after_the_plan(host, run, asked):
    holds(host, PREPARE)
    expect_cancel(host, PREPARE)
    code, out, _ = run(scheduled_tasks.cancel)
    assert (code, asked) == (0, ["Cancel this on tpp?"])
    assert "preparation for a reboot, 09:00 in 1h, by ann@laptop (id one)" in out
    assert out.splitlines()[-1].endswith("prepare-reboot --at '2027-01-15 09:00'")


def test_a_cancel_without_a_terminal_needs_yes(host, run):
    holds(host, PREPARE)
    assert run(scheduled_tasks.cancel)[0] == 2
    holds(host, PREPARE)
    expect_cancel(host, PREPARE)
    assert run(scheduled_tasks.cancel, options={"yes": True})[0] == 0


@pytest.mark.parametrize("options", [{}, {"yes": True}, {"yes": True, "dry": True}])
def test_the_end_of_a_pause_is_never_cancelled_unless_it_is_named(host, run, options):
    holds(host, END, pause=replace(BY_ANN, id=END.id))
    code, _, err = run(scheduled_tasks.cancel, options=options)
    assert code == 2
    assert "only the end of a pause is scheduled" in err
    assert "  | inv -H tpp unpause   # end the pause now" in err
    assert "  | inv -H tpp scheduled.cancel 0b7711   # end of a pause, 08:01 in 1m" in err


def test_the_end_of_a_pause_is_cancelled_by_its_id(host, run):
    holds(host, END, PREPARE, pause=replace(BY_ANN, id=END.id))
    expect_cancel(host, END)
    code, out, _ = run(scheduled_tasks.cancel, options={"yes": True}, id="0b7")
    assert code == 0
    assert "afterwards: stays paused until someone unpauses" in out


@pytest.mark.parametrize("options", [{}, {"yes": True}, {"dry": True}, {"json": True}])
def test_several_are_listed_as_commands_where_nobody_can_choose(host, run, options):
    holds(host, END, PREPARE, pause=replace(BY_ANN, id=END.id))
    code, _, err = run(scheduled_tasks.cancel, options=options)
    assert code == 2
    for id in ("one", "0b7711"):
        assert f"  | inv -H tpp scheduled.cancel {id}   # " in err


def test_a_person_chooses_among_several(host, run, asked, monkeypatch):
    monkeypatch.setattr(questions, "number_of", lambda question, lines: 1)
    holds(host, END, PREPARE, pause=replace(BY_ANN, id=END.id))
    expect_cancel(host, PREPARE)
    assert run(scheduled_tasks.cancel)[0] == 0


def test_keep_going_passes_over_a_host_with_several(host, run, fake_host):
    other = fake_host("emis")
    holds(host, END, PREPARE, pause=replace(BY_ANN, id=END.id))
    holds(other, PREPARE)
    expect_cancel(other, PREPARE)
    options = {"yes": True, "keep_going": True}
    code, out, err = run(scheduled_tasks.cancel, others=[other], options=options)
    assert code == 1, "one refused, one changed"
    assert "2 are scheduled (tpp)" in err
    assert "emis  DONE" in out


def test_an_id_is_cancelled_where_it_is_found(host, run, fake_host):
    other = fake_host("emis")
    holds(host)
    holds(other, PREPARE)
    expect_cancel(other, PREPARE)
    code, out, _ = run(scheduled_tasks.cancel, others=[other], options={"yes": True}, id="one")
    assert code == 0
    assert "[1/1] emis  DONE" in out


def test_nothing_to_cancel_says_what_was_looked_for(host, run):
    holds(host)
    assert run(scheduled_tasks.cancel)[:2] == (0, "nothing is scheduled on 1 host\n")
    holds(host)
    code, _, err = run(scheduled_tasks.cancel, id="nosuch")
    assert code == 2
    assert "no scheduled work has the id 'nosuch'" in err
    assert "inv -H tpp scheduled --all" in err
    holds(host, make_item(outcome="ready"))
    assert run(scheduled_tasks.cancel, id="one")[:2] == (
        0,
        "tpp  prepare one is over already: ready\n",
    )


# -- prepare-reboot, after-reboot ------------------------------------------------------------


def test_a_checklist_with_a_bad_line_fails_its_host():
    good, bad = ChecklistLine("docker", True, "up"), ChecklistLine("pause", False, "paused", "x")
    result = FleetResult(
        [
            HostResult("a", "ok", Checklist((good,))),
            HostResult("b", "ok", Checklist((good, bad))),
            HostResult("c", "refused", error=Refused("no")),
        ]
    )
    judged = {item.host: item for item in tasks._judged(result, lambda value: value)}
    assert [judged[name].outcome for name in "abc"] == ["ok", "failed", "refused"]
    assert judged["b"].error.message == "pause: paused"
    assert judged["b"].error.hint == "x"
    assert judged["b"].error.is_shown, "the checklist shows it"
    assert tasks._list_of(PrepareResult(True, "scheduled")) is None


@pytest.mark.parametrize(
    ("delay", "at", "drain", "flag"),
    [
        ("soon", "", "", "--delay: "),
        ("-5m", "", "", "--delay: "),
        ("", "25:00", "", "--at: "),
        ("", "", "0", "--drain: "),
        ("8d", "", "", "--delay 8d"),
    ],
)
def test_invalid_times_are_refused_with_the_flag(delay, at, drain, flag):
    with pytest.raises(Refused) as caught:
        tasks._times(delay, at, drain, yes=False)
    assert flag in caught.value.message


@pytest.mark.parametrize("flag", ["delay", "drain", "for", "wait", "boot-wait"])
@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("2m", 120), ("1h30m", 5400), ("2d", 172800)]
)
def test_all_spans_take_the_same_forms(flag, text, seconds):
    assert flags.span_s(flag, text) == seconds
    assert flags.ahead_s(flag, text, yes=False) == seconds
    assert flags.ahead_s(flag, "", yes=False) == 0


def test_a_document_has_moments_in_one_form(host, run):
    holds(host, PREPARE)
    options = {"json": True, "yes": True}
    code, out, _ = run(scheduled_tasks.show, options=options)
    (row,) = json.loads(out)["hosts"]["tpp"]["value"]["items"]
    assert (code, row["due_at"]) == (0, "2027-01-15T09:00:00.000+00:00")
    assert (row["ended_at"], row["is_past"]) == (None, False)
