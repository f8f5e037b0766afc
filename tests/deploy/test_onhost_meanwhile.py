"""The host's side of a release: what people do to the service and to the records meanwhile."""

import shutil
import sqlite3

import pytest

from opstasks.deploy.onhost import fit, refusals, seen, service, steps
from opstasks.deploy.onhost.checkout import head
from opstasks.deploy.onhost.record import read_record, record_path, snapshot_path, write_record
from opstasks.deploy.onhost.service import Watched
from opstasks.onhost import unit_control
from opstasks.onhost.protocol import HostFailure, HostRefusal
from opstasks.onhost.unit_state import is_down, start_problem
from tests.deploy.deploy_help import MIGRATED, database, git, ids, record
from tests.deploy.test_onhost_steps import do

UP = {
    "ActiveState": "active",
    "SubState": "running",
    "ActiveEnterTimestamp": "Fri 2026-11-27 02:14:07 UTC",
}
DOWN = {"ActiveState": "inactive"}
DIED = {"ActiveState": "failed"}
NOTE = "jobrunner was started at 02:14:07 UTC (by root, or by a boot) after the release began"


class Unit:
    """The service's unit, and what was done to it."""

    def __init__(self, monkeypatch, state):
        self.state, self.done, self.is_masked = state, [], False
        for module in (steps, service):
            monkeypatch.setattr(module, "settled_state", lambda spec: self.state)
        for module in (steps, seen, refusals):
            monkeypatch.setattr(module, "unit_state", lambda spec: self.state)
        monkeypatch.setattr(steps, "stop", lambda spec: self.do("stop", DOWN))
        monkeypatch.setattr(steps, "start_and_watch", lambda spec, known: self.watch())
        for module in (steps, refusals):
            monkeypatch.setattr(module, "refuse_unstartable", self.refuse_unstartable)
        monkeypatch.setattr(steps, "migrate", lambda spec: None)

    def refuse_unstartable(self, unit):
        if self.is_masked:
            raise HostRefusal(start_problem(unit, "masked"))

    def do(self, verb, state):
        self.state = state
        self.done.append(verb)

    def watch(self):
        self.do("watch", UP)
        return Watched([], [])


@pytest.fixture
def stopped(monkeypatch, release, tmp_path):
    """The unit of a service that is stopped before the release."""
    database(tmp_path / "db.sqlite", [("a", "running", "x")])
    return Unit(monkeypatch, DOWN)


@pytest.fixture
def serving(monkeypatch, release, tmp_path):
    database(tmp_path / "db.sqlite", [("a", "running", "x")])
    return Unit(monkeypatch, UP)


# -- the service -----------------------------------------------------------------------------


def test_a_service_that_stays_stopped_is_not_started(release, stopped):
    answers = [do(step, release) for step in ("begin", "switch", "serve", "finish")]
    assert "watch" not in stopped.done
    assert not any(answer.get("notes") for answer in answers)
    assert [answer["serves"] for answer in answers[:3]] == [False] * 3


@pytest.mark.parametrize("before", ["switch", "serve"])
@pytest.mark.parametrize("state", [UP, DIED], ids=["up", "died"])
def test_a_service_that_somebody_starts_is_started_again_and_watched(
    release, stopped, before, state
):
    names = ["begin", "switch", "serve", "finish"]
    answers = {}
    for name in names:
        if name == before:
            stopped.state = {**UP, **state}
        answers[name] = do(name, release)
    assert stopped.done[-1] == "watch"
    assert answers["switch"]["serves"] is (before == "switch")
    assert [NOTE in note for note in answers[before]["notes"]] == [True]
    assert answers["finish"]["now"]["service"] == "up"


def test_a_service_that_somebody_starts_is_up_after_going_back(release, stopped):
    do("begin", release)
    do("switch", release)
    stopped.state = UP
    answer = do("roll_back", {**release, "reason": "x"})
    assert stopped.done[-2:] == ["stop", "watch"]
    assert [NOTE in note for note in answer["notes"]] == [True]
    assert read_record(release)["was_active"] is True


def test_a_service_that_somebody_starts_before_its_stop_is_left_alone(release, stopped):
    record(release, release["id"], outcome="", step="begun", was_active=False)
    stopped.state = UP
    assert do("roll_back", {**release, "reason": "x"})["notes"] == []
    assert stopped.done == []


def test_a_resumed_release_starts_a_service_that_a_boot_has_started(release, stopped):
    do("begin", release)
    stopped.state = UP
    answer = do("begin", release)
    assert (answer["serves"], len(answer["notes"])) == (True, 1)
    do("switch", release)
    assert do("serve", release)["notes"] == []
    assert stopped.done[-1] == "watch"


def test_a_service_that_somebody_starts_at_the_end_is_named(release, stopped):
    for step in ("begin", "switch", "serve"):
        do(step, release)
    stopped.state = UP
    (note,) = do("finish", release)["notes"]
    assert note.endswith("at the end; it was not watched")


def test_a_service_that_somebody_starts_at_the_end_must_stay_up(release, stopped):
    for step in ("begin", "switch", "serve"):
        do(step, release)
    stopped.state = DIED
    with pytest.raises(HostFailure, match="did not stay up"):
        do("finish", release)


def test_a_restart_by_hand_when_a_release_begins_leaves_the_service_wanted(
    release, tmp_path, monkeypatch
):
    database(tmp_path / "db.sqlite", [("a", "running", "x")])
    Unit(monkeypatch, DOWN)
    states = iter([{"ActiveState": "deactivating"}, {"ActiveState": "inactive", "Job": "7"}, UP])
    monkeypatch.setattr(unit_control, "read", lambda unit, properties: next(states))
    monkeypatch.setattr(unit_control.time, "sleep", lambda s: None)
    monkeypatch.setattr(steps, "settled_state", lambda spec: unit_control.settled(spec["unit"]))
    assert do("begin", release)["serves"] is True


def test_no_release_begins_while_a_stop_by_hand_does_not_end(release, serving):
    serving.state = {"ActiveState": "deactivating"}
    with pytest.raises(HostRefusal, match="is being stopped or restarted"):
        do("begin", release)
    assert (serving.done, read_record(release)) == ([], {})


# -- the records -----------------------------------------------------------------------------

LOSSES = {
    "removed": lambda spec: record_path(spec).unlink(),
    "folder removed": lambda spec: shutil.rmtree(record_path(spec).parent),
    "emptied": lambda spec: record_path(spec).write_text(""),
    "partial": lambda spec: record_path(spec).write_text('{"step": "moving"}'),
    "odd": lambda spec: record_path(spec).write_text('{"was_active": 7, "containers": null}'),
}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("after", ["begin", "switch", "serve"])
def test_a_release_ends_well_although_its_record_is_lost(release, serving, loss, after):
    for step in ("begin", "switch", "serve", "finish"):
        answer = do(step, release)
        if step == after:
            LOSSES[loss](release)
    assert answer["now"] == {
        **{f"{name}": release[f"to_{name}"] for name in ("code", "lib")},
        **{"service": "up", "database_version": 1, "unfinished": ""},
    }
    found = read_record(release)
    assert (found["outcome"], found["from_version"], found["who"]) == ("deployed", 1, "a@b")
    assert found["started"] > 0


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("after", ["begin", "switch", "serve"])
def test_a_release_is_undone_although_its_record_is_lost(release, serving, tmp_path, loss, after):
    for step in ("begin", "switch", "serve"):
        do(step, release)
        if step == "switch":
            with sqlite3.connect(tmp_path / "db.sqlite") as connection:
                connection.executescript(MIGRATED)
        if step == after:
            break
    LOSSES[loss](release)
    answer = do("roll_back", {**release, "reason": "it crashed"})
    assert answer["now"] == {
        **{f"{name}": release[f"from_{name}"] for name in ("code", "lib")},
        **{"service": "up", "database_version": 1, "unfinished": ""},
    }
    assert ids(tmp_path / "db.sqlite") == ["a"]
    assert "nothing had been changed" not in answer["how"]


def test_nothing_is_said_to_be_unchanged_when_code_has_moved(release, serving):
    do("begin", release)
    do("switch", release)
    record_path(release).unlink()
    snapshot_path(release).unlink()
    with pytest.raises(HostRefusal, match="is at v2, and its record and its snapshot were removed"):
        do("roll_back", {**release, "reason": "x"})
    assert head(release["code"]) == release["to_code"]


def test_going_back_from_a_release_that_never_began_changes_nothing(release, serving):
    answer = do("roll_back", {**release, "reason": "x"})
    assert answer["how"] == "nothing had been changed"
    assert serving.done == []


BAD_RECORDS = ["", '{"step": "moved"}']


@pytest.mark.parametrize("text", BAD_RECORDS)
@pytest.mark.parametrize("step", ["begin", "restart"])
def test_nothing_begins_beside_a_record_that_cannot_be_read(release, serving, text, step):
    place = record_path({**release, "id": "other"})
    place.parent.mkdir(parents=True)
    place.write_text(text)
    with pytest.raises(HostRefusal, match="the record of release other cannot be read"):
        do(step, release)
    assert serving.done == []


def test_a_record_that_cannot_be_read_does_not_undo_a_good_release(release, serving):
    for step in ("begin", "switch", "serve"):
        do(step, release)
    record_path({**release, "id": "other"}).write_text("{}")
    now = do("finish", release)["now"]
    assert now["code"] == release["to_code"]
    # It may be of an unfinished release.
    assert "unfinished" not in now


# -- folders ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["releases", "snapshots", "kept"])
def test_no_service_is_stopped_for_a_release_that_cannot_write(release, serving, tmp_path, name):
    (tmp_path / "opstasks").mkdir()
    (tmp_path / "opstasks" / name).write_text("")
    with pytest.raises(HostRefusal, match=f"cannot write to .*/{name}: it is not a folder"):
        do("begin", release)
    assert (serving.done, read_record(release)) == ([], {})


def test_no_service_is_stopped_for_a_resumed_release_that_cannot_write(release, serving):
    do("begin", release)
    shutil.rmtree(snapshot_path(release).parent)
    snapshot_path(release).parent.write_text("")
    serving.state, serving.done = UP, []
    with pytest.raises(HostRefusal, match=r"cannot write to .*/snapshots: it is not a folder"):
        do("begin", release)
    assert serving.done == []


# -- a unit that systemd would not start -----------------------------------------------------


@pytest.mark.parametrize("step", ["begin", "roll_back"])
@pytest.mark.parametrize("reached", ["begun", "stopped", "moving", "moved", "starting"])
@pytest.mark.parametrize("state", [UP, {"ActiveState": "activating"}, DOWN, DIED])
def test_a_resumed_release_stops_no_service_that_would_not_start_again(
    release, serving, step, reached, state
):
    do("begin", release)
    write_record(release, step=reached)
    before = read_record(release)
    serving.state, serving.done, serving.is_masked = state, [], True
    if is_down(state) or (step, reached) == ("roll_back", "begun"):
        do(step, {**release, "reason": "x"})
        assert state != UP or serving.done == []
        return
    with pytest.raises(HostRefusal, match="jobrunner is masked: systemd would not start it again"):
        do(step, {**release, "reason": "x"})
    assert (serving.done, read_record(release)) == ([], before)


# -- a restart -------------------------------------------------------------------------------


@pytest.fixture
def fits(monkeypatch):
    """Versions of code and database; the test may change them."""
    found = {"code": 1, "database": 1}
    monkeypatch.setattr(refusals, "code_version", lambda path: found["code"])
    return found


def test_a_restart_stops_starts_and_watches(release, serving, fits):
    answer = do("restart", release)
    assert serving.done == ["stop", "watch"]
    assert answer["now"]["service"] == "up"


def moved(spec):
    git("checkout", "-q", "--detach", spec["to_code"], cwd=spec["code"])


def edited(spec):
    with open(f"{spec['lib']}/notes.txt", "w") as file:
        file.write("by hand")


STALE = {
    "moved": (moved, "was moved to .* after the plan was shown"),
    "edited": (edited, "was changed by hand .notes.txt., after the plan was shown"),
    "unfinished": (lambda spec: record(spec, "r2", outcome=""), "release r2 is unfinished"),
    "no checkout": (lambda spec: shutil.rmtree(spec["code"]), "cannot read .*/code"),
}


@pytest.mark.parametrize("change", STALE)
def test_a_restart_is_refused_when_the_host_is_not_as_the_plan_showed(
    release, serving, fits, change
):
    make, text = STALE[change]
    make(release)
    with pytest.raises(HostRefusal, match=text):
        do("restart", release)
    assert serving.done == []


def test_a_restart_is_refused_when_code_and_database_do_not_fit(release, serving, fits):
    fits["code"] = 3
    with pytest.raises(HostRefusal, match="the code needs database version 3"):
        do("restart", release)
    assert serving.done == []
    assert fit.misfit(None, 1) == fit.misfit(1, None) == ""
