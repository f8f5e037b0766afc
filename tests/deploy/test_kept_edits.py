"""Every message of a release names all edits by hand that it has kept, wherever it fails."""

import json
import os
import sqlite3
from pathlib import Path

import msgspec
import pytest

from opstasks.core.errors import CommandFailed, VerifyFailed
from opstasks.core.result import Result
from opstasks.deploy import apply, told
from opstasks.deploy.apply import WentBack
from opstasks.deploy.onhost import kept_edits, move, steps
from opstasks.deploy.onhost.snapshots import clear_leftovers
from opstasks.deploy.release import ReleaseSpec
from opstasks.onhost.protocol import HostFailure, answer_to
from opstasks.output.parts import text_of_line
from tests.deploy.deploy_help import database, git
from tests.deploy.test_onhost_meanwhile import UP, Unit
from tests.deploy.test_onhost_move import committed
from tests.fake_host import FakeHost


class HostHere(FakeHost):
    """A host whose programs run in this process; those of `killed` do their work, and no more."""

    killed = ()

    def answer(self, command, user):
        answer = done(command.request.step, command.request.spec)
        if command.request.step in self.killed:
            return Result(command.line(), 137, "", "")
        return Result(command.line(), 0, json.dumps(answer), "")

    def take_lock(self, text):
        return Result("", 0, "", "")


def done(step, spec):
    """What the program for one step prints."""
    spec = json.loads(json.dumps(msgspec.to_builtins(spec)))
    umask = os.umask(0o022)
    try:
        return answer_to(steps.main, {"step": step, "spec": spec})
    finally:
        os.umask(umask)  # a host's program sets its own


@pytest.fixture
def tpp():
    return HostHere("tpp")


@pytest.fixture
def spec(release, tmp_path, monkeypatch):
    """A release that overwrites a file of a person, which git ignores, in each checkout.

    While the service is watched, a person edits another one.
    """
    database(tmp_path / "db.sqlite", [("a", "running", "x")])
    for name in ("lib", "code"):
        path = tmp_path / name
        (path / ".gitignore").write_text("*.env\n")
        (path / "stays").write_text("1\n")
        release[f"from_{name}"] = committed(path)
        (path / "local.env").write_text("theirs\n")
        release[f"to_{name}"] = committed(path)
        git("checkout", "-q", "--detach", release[f"from_{name}"], cwd=path)
        (path / "local.env").write_text("by hand\n")
    unit = Unit(monkeypatch, UP)
    watch = unit.watch

    def edit_and_watch(spec, known):
        for name in ("lib", "code"):
            (tmp_path / name / "stays").write_text("by hand\n")
        return watch()

    monkeypatch.setattr(steps, "start_and_watch", edit_and_watch)
    return ReleaseSpec(**release, watch_s=0)


def patches(spec):
    folder = Path(spec.state_dir, "kept")
    return sorted(map(str, folder.iterdir())) if folder.exists() else []


def seen(error):
    """What a person sees of an error."""
    lines = map(text_of_line, told.back_lines(error, "1s", 0))
    return "\n".join(lines) if isinstance(error, WentBack) else f"{error.message}\n{error.tail}"


def breaks(monkeypatch, module, name, error, at=1):
    """Let a function fail in one call, after it has worked."""
    real, calls = getattr(module, name), []

    def broken(*args, **options):
        found = real(*args, **options)
        calls.append(name)
        if len(calls) == at:
            raise error
        return found

    monkeypatch.setattr(module, name, broken)


# What fails, in which call, and how many patches are kept until the release is back.
FORWARD = {
    "lib": (move, "move", 1, 1),
    "code": (move, "move", 2, 2),
    "migrate": (steps, "migrate", 1, 2),
    "switch": (steps, "step_answer", 2, 2),
    "serve": (steps, "start_and_watch", 1, 4),
    "finish": (steps, "check_jobs", 1, 4),
}
ERRORS = {
    "failure": HostFailure("it broke", "last words"),
    "full disk": OSError(28, "No space left on device"),
    "database": sqlite3.OperationalError("disk I/O error"),
}


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("step", FORWARD)
def test_a_release_that_went_back_names_all_that_it_kept(spec, tpp, monkeypatch, step, error):
    module, name, at, count = FORWARD[step]
    breaks(monkeypatch, module, name, ERRORS[error], at)
    with pytest.raises(WentBack) as caught:
        apply._release(tpp, spec)
    assert len(patches(spec)) == count
    text = seen(caught.value)
    assert [text.count(f"{patch}") for patch in patches(spec)] == [1] * count
    assert all(patch in caught.value.message for patch in patches(spec))


def test_a_second_try_that_fails_names_what_the_first_one_kept(spec, tpp, monkeypatch):
    real, tries = move.keep, []

    def keep(path, *rest, **options):
        tries.append(path)
        if len(tries) == 2:
            raise OSError(28, "No space left on device")
        found = real(path, *rest, **options)
        Path(path, "stays").write_text("by hand\n")
        Path(path, ".git", "index.lock").write_text("")
        return found

    monkeypatch.setattr(move, "keep", keep)
    done("begin", spec)
    answer = done("switch", spec)
    assert "no space left" in answer["failed"]["reason"]
    assert answer["failed"]["cause"] == "full"
    assert patches(spec)
    assert all(patch in answer["failed"]["detail"] for patch in patches(spec))


@pytest.mark.parametrize("step", ["begin", "switch", "serve"])
def test_a_step_that_was_killed_loses_no_name(spec, tpp, step):
    tpp.killed = (step,)
    with pytest.raises(WentBack) as caught:
        apply._release(tpp, spec)
    assert bool(patches(spec)) is (step != "begin")
    assert all(patch in seen(caught.value) for patch in patches(spec))


BACK = {
    "restore_database": (steps, "restore_database", 1),
    "the start": (steps, "start_and_watch", 2),
    "the end": (steps, "ended_answer", 1),
}


@pytest.mark.parametrize("place", [*BACK, "killed"])
def test_a_failure_to_go_back_names_all_that_was_kept(spec, tpp, monkeypatch, place):
    breaks(monkeypatch, steps, "check_jobs", HostFailure("jobs were lost"))
    if place == "killed":
        tpp.killed = ("roll_back",)
    else:
        breaks(monkeypatch, *BACK[place][:2], OSError(5, "Input/output error"), BACK[place][2])
    with pytest.raises(CommandFailed) as caught:
        apply._release(tpp, spec)
    assert len(patches(spec)) == 4
    assert [caught.value.tail.count(patch) for patch in patches(spec)] == [1] * 4


@pytest.mark.parametrize("back", [True, False], ids=["back", "finish"])
def test_a_resumed_release_names_what_was_kept_before(spec, tpp, back):
    for step in ("begin", "switch", "serve"):
        done(step, spec)
    result = apply._go_back(tpp, spec) if back else apply._release(tpp, spec)
    notes = result.kept if back else result.notes
    assert patches(spec)
    assert all(any(patch in note for note in notes) for patch in patches(spec))


def test_a_release_whose_record_cannot_be_closed_names_what_it_kept(spec, tpp, monkeypatch):
    monkeypatch.setattr(steps, "close", lambda spec: {"problem": "its record ...", "cause": "full"})
    with pytest.raises(VerifyFailed) as caught:
        apply._release(tpp, spec)
    assert len(patches(spec)) == 2
    assert all(patch in caught.value.tail for patch in patches(spec))


def test_a_release_that_kept_nothing_says_nothing(release):
    other = {**release, "id": release["id"] + "d"}
    for name in (f"{other['id']}-code.patch", f"{release['id']}-code-staged.patch"):
        path = kept_edits.kept_folder(release) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("diff --git a/x b/x\n")
    assert kept_edits.kept_texts(release) == []
    assert len(kept_edits.kept_texts(other)) == 1


def test_a_patch_of_root_is_named_without_a_count(release, monkeypatch):
    def closed(*args):
        raise PermissionError(13, "Permission denied")

    path = kept_edits.patch_path(release, "lib")
    path.parent.mkdir(parents=True)
    path.write_text("")
    monkeypatch.setattr(Path, "open", closed)
    (text,) = kept_edits.kept_texts(release)
    assert text == f"changed by hand in {release['lib']}: kept in {path}"


LEFT = [
    f"{dot}20240101T000000-abcdef-{name}{more}.patch.new"
    for dot in ("", ".")
    for name in ("lib", "code")
    for more in ("", "-2", "-staged", "-12-staged")
]
PEOPLES = ["mine.patch.new", "20240101T000000-abcdef-code.patch", "x-code.patch.new", "a.new"]


def test_parts_of_patches_that_a_killed_process_left_are_removed(release):
    folder = kept_edits.kept_folder(release)
    folder.mkdir(parents=True)
    for name in (*LEFT, *PEOPLES):
        (folder / name).write_text("")
    clear_leftovers(release)
    assert sorted(path.name for path in folder.iterdir()) == sorted(PEOPLES)


@pytest.mark.parametrize("name", ["lib", "code"])
def test_the_name_of_a_part_of_a_patch_is_known(release, tmp_path, monkeypatch, name):
    """The process is killed while it writes: what it leaves is what is removed later."""
    spec = {**release, "id": "20240101T000000-abcdef"}
    patch = kept_edits.patch_path(spec, name)
    patch.parent.mkdir(parents=True)
    monkeypatch.setattr(Path, "unlink", lambda *args, **options: None)
    monkeypatch.setattr(Path, "replace", lambda *args: None)
    kept_edits.save(release[name], patch, None)
    (left,) = patch.parent.iterdir()
    monkeypatch.undo()
    kept_edits.clear_partial(spec)
    assert not left.exists()
