"""What service.start, stop and restart show before and after."""

import json
from dataclasses import replace

import invoke
import pytest
from invoke.exceptions import Exit

from opstasks.cli.app import App
from opstasks.cli.context import Context
from opstasks.cli.options import RunOptions
from opstasks.core.errors import OpsError, Refused
from opstasks.core.state import HostState
from opstasks.fleet.fleet import Fleet
from opstasks.output.parts import text_of_line
from opstasks.primitives import systemd
from opstasks.service import plan, tasks
from opstasks.service.act import RunningJobs, ServiceFacts, ServiceResult
from tests.fake_host import FakeHost
from tests.screen_check import WIDTHS, check_screen

SHOWN = "LoadState=loaded\nActiveState={}\nSubState={}\nMainPID={}\nNRestarts=0\nUnitFileState={}\n"
UP = ServiceFacts(
    systemd.parse_show("jobrunner", SHOWN.format("active", "running", 5, "enabled")),
    RunningJobs(2),
    720.0,
)
DOWN = ServiceFacts(
    systemd.parse_show("jobrunner", SHOWN.format("inactive", "dead", 0, "disabled")),
    RunningJobs(0),
    10_900.0,
)
CRASHED = ServiceFacts(
    systemd.parse_show("jobrunner", SHOWN.format("activating", "auto-restart", 0, "enabled")),
    RunningJobs(0),
    52.0,
)
LOCKED = replace(UP, jobs=RunningJobs(None, "database is locked"))
FLEET = {"sandbox-1": UP, "sandbox-2": DOWN, "a-very-long-name.example.org": LOCKED}


def plans(verb, facts=None):
    found = FLEET if facts is None else facts
    return {host: plan.make_plan(verb, item, 5) for host, item in found.items()}


def texts(verb, facts, undo=""):
    return [text_of_line(line) for line in plan.lines(plans(verb, facts), 80, undo, wide=False)]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("verb", ["start", "stop", "restart"])
def test_the_plan_looks_like_its_drawing(verb, width):
    undo = f"inv -H sandbox {plan.UNDO[verb]}" if plan.UNDO[verb] else ""
    check_screen(__file__, verb, width, plan.lines(plans(verb), width, undo, wide=False))


@pytest.mark.parametrize(
    ("verb", "facts", "changes"),
    [
        ("start", UP, False),
        ("start", DOWN, True),
        ("start", CRASHED, True),
        ("stop", UP, True),
        ("stop", DOWN, False),
        ("stop", CRASHED, True),
        ("restart", UP, True),
        ("restart", DOWN, True),
    ],
)
def test_a_host_in_the_wanted_state_is_left_alone(verb, facts, changes):
    found = plan.make_plan(verb, facts, 5)
    assert found.changes == changes


def test_nothing_to_do_says_in_which_state_the_services_are():
    assert texts("start", {"a": UP, "b": UP}) == ["nothing to do on a, b: service up already"]
    assert texts("stop", {"a": DOWN}) == ["nothing to do on a: service stopped already"]


def test_a_stop_says_until_when():
    assert "stopped until service.start or the next boot" in texts("stop", {"a": UP})[2]
    by_hand = replace(UP, unit=replace(UP.unit, enabled="disabled"))
    assert texts("stop", {"a": by_hand})[2].endswith("stopped until service.start")


def test_drop_ins_of_the_unit_are_named():
    facts = replace(UP, unit=replace(UP.unit, drop_ins=("/run/a.conf",)))
    assert "a  the unit has drop-ins: /run/a.conf" in texts("restart", {"a": facts})


@pytest.mark.parametrize("verb", ["stop", "restart"])
def test_the_question_says_unknown_when_the_database_cannot_be_read(verb):
    found = plans(verb, {"tpp": LOCKED})
    question = f"{verb.capitalize()} job-runner on tpp (running jobs unknown on tpp)?"
    assert plan.question(verb, found) == question
    assert "tpp  running jobs: unknown (database is locked)" in texts(verb, {"tpp": LOCKED})
    assert (
        plan.question(verb, plans(verb, {"tpp": UP})) == f"{verb.capitalize()} job-runner on tpp?"
    )


# -- the tasks -------------------------------------------------------------------------------


@pytest.fixture
def run(monkeypatch, capsys):
    """Run a verb on two hosts; its exit code and what it printed."""

    def start(verb, facts, **options):
        monkeypatch.setattr(Context, "fleet", Fleet([FakeHost(name) for name in facts]))
        after = "stopped" if verb == "stop" else "up"

        def work(host):
            now = HostState(service=after)
            return ServiceResult(True, facts[host.name].unit.state, after, RunningJobs(2), (), now)

        def inspect(host):
            if isinstance(facts[host.name], OpsError):
                raise facts[host.name]
            return facts[host.name]

        ctx = Context(invoke.Config(), App(RunOptions(**options)))
        code = 0
        try:
            tasks._roll(ctx, verb, inspect, work, 5)
        except Exit as ended:
            code = ended.code
        return code, capsys.readouterr().out

    return start


def test_a_start_shows_its_plan_and_does_not_ask(run):
    code, out = run("start", {"a": DOWN, "b": UP}, hosts=("a", "b"))
    assert code == 0
    assert "a     stopped 3h1m" in out
    assert "[1/1] a  DONE  service up  " in out
    assert out.splitlines()[-1].endswith("Undo: inv -H a service.stop")


@pytest.mark.parametrize("verb", ["stop", "restart"])
def test_a_stop_and_a_restart_ask(run, verb):
    with pytest.raises(Refused, match=rf"{verb.capitalize()} job-runner on a\?") as caught:
        run(verb, {"a": UP})
    assert caught.value.hint == "add --yes to agree"


def test_a_stop_says_what_is_going_on_and_how_to_undo_it(run):
    code, out = run("stop", {"a": UP}, yes=True, hosts=("a",))
    assert code == 0
    assert "DONE  service stopped, 2 jobs go on  " in out
    assert out.splitlines()[-1].endswith("Undo: inv -H a service.start")


def test_a_restart_has_no_undo(run):
    assert "Undo" not in run("restart", {"a": UP}, yes=True)[1]


@pytest.mark.parametrize("verb", ["start", "stop", "restart"])
def test_a_dry_run_shows_the_same_plan_and_changes_nothing(run, verb):
    facts = {"a": DOWN if verb == "start" else UP}
    dry = run(verb, facts, dry=True, hosts=("a",))[1]
    whole = run(verb, facts, yes=True, hosts=("a",))[1]
    assert whole.startswith(dry)
    assert "DONE" not in dry


@pytest.mark.parametrize("options", [{}, {"dry": True}])
def test_a_host_that_refuses_is_shown_before_anybody_is_asked(run, options):
    no = Refused("the code needs database version 1", host="a", hint="inv -H a deploy")
    code, out = run("restart", {"a": no}, hosts=("a",), **options)
    assert code == 2
    assert "Restart" not in out


def test_nothing_to_do_needs_no_yes(run):
    assert run("stop", {"a": DOWN}) == (0, "nothing to do on a: service stopped already\n")


def test_documents_have_states_and_numbers(run):
    dry = json.loads(run("stop", {"a": UP}, dry=True, json=True)[1])["hosts"]["a"]["value"]
    assert (dry["verb"], dry["changes"], dry["service"]) == ("stop", True, "up")
    assert (dry["service_for_s"], dry["jobs"]["count"]) == (720.0, 2)
    facts = {"a": UP, "b": DOWN}
    done = json.loads(run("stop", facts, yes=True, json=True)[1])["hosts"]
    assert [done[name]["outcome"] for name in "ab"] == ["changed", "ok"]
    assert (done["a"]["value"]["before"], done["a"]["value"]["after"]) == ("up", "stopped")
    assert done["b"]["value"]["changed"] is False
