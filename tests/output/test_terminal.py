"""Progress, questions and results in a real terminal; hosts answer when the test says so."""

import subprocess
import sys

import pexpect
import pytest

from tests.output.terminals import Window

PROGRAM = [sys.executable, "-m", "tests.output.slow_fleet"]


@pytest.fixture
def window(tmp_path):
    opened = []

    def make(columns=80, rows=24):
        opened.append(Window(columns, rows, tmp_path))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


@pytest.fixture
def answers(tmp_path):
    """Let a host answer: `answers("a", "up")`."""
    folder = tmp_path / "answers"
    folder.mkdir()

    def answer(name, text):
        (folder / "new").write_text(text)
        (folder / "new").rename(folder / name)

    answer.folder = folder
    return answer


@pytest.mark.parametrize("columns", [60, 80])
def test_rows_of_live_hosts_are_shown_while_a_dead_one_is_awaited(window, answers, columns):
    shown = window(columns)
    shown.run([*PROGRAM, "read", answers.folder, "a", "b", "tpp"])
    shown.wait_for("0 of 3 hosts answered, waiting for a, b, tpp")
    answers("a", "up")
    text = shown.wait_for("a     up", "1 of 3 hosts answered, waiting for b, tpp")
    assert "tpp " not in text.partition("answered")[0]
    answers("b", "up")
    shown.wait_for("b     up", "waiting for tpp")
    answers("tpp", "dead")
    text = shown.wait_for("the end")
    assert "waiting" not in text
    assert text.count("HOST") == text.count("a     up") == text.count("tpp   no answer") == 1
    assert [line for line in shown.lines() if line][:2] == [
        "2 of 3 answered",
        next(line for line in shown.lines() if line.startswith("HOST")),
    ]
    assert "error  no answer (tpp)\nnext:  is the host up?\nthe end" in text


def test_the_result_replaces_the_progress_after_the_window_was_resized(window, answers):
    shown = window(100)
    shown.run([*PROGRAM, "read", answers.folder, "a", "b", "tpp"])
    answers("a", "up")
    shown.wait_for("a     up", "1 of 3 hosts answered")
    for columns in (60, 40, 90):
        shown.resize(columns, 24)
        shown.wait_for("1 of 3 hosts answered")
    answers("b", "up")
    answers("tpp", "up")
    text = shown.wait_for("the end")
    assert "answered, waiting" not in text
    assert text.count("HOST") == 1
    assert text.count("some words") == 3 * text.count("some words", 0, text.index("\nb "))


def test_more_rows_than_the_window_has_are_counted(window, answers):
    shown = window(80, 8)
    names = [f"h{number:02}" for number in range(20)]
    shown.run([*PROGRAM, "read", answers.folder, *names])
    for name in names[:-1]:
        answers(name, "up")
    shown.wait_for("h00", "more lines", "19 of 20 hosts answered")
    answers(names[-1], "up")
    assert "more lines" not in shown.wait_for("the end")


def test_ctrl_c_while_waiting_leaves_a_clean_terminal(window, answers):
    shown = window()
    before = shown.settings()
    shown.run([*PROGRAM, "read", answers.folder, "a", "tpp"])
    answers("a", "up")
    shown.wait_for("waiting for tpp")
    shown.press("C-c")
    text = shown.wait_for("the end")
    assert "waiting for" not in text
    assert "error  interrupted; nothing was changed; no answer from tpp" in text
    assert shown.settings() == before


def test_a_password_question_is_not_overwritten_while_hosts_are_awaited(window, answers):
    shown = window()
    shown.run([*PROGRAM, "ask", answers.folder, "a", "asks", "tpp"])
    text = shown.wait_for("sudo password for asks:")
    assert shown.lines()[-1].strip() == "sudo password for asks:"
    answers("a", "up")
    # Nothing is drawn while the person types.
    with pytest.raises(AssertionError, match="did not appear"):
        brief_wait(shown, "1 of 3")
    shown.type("secret\n")
    shown.wait_for("waiting for tpp")
    answers("tpp", "up")
    text = shown.wait_for("the end")
    assert "asks  got 6" in text and "secret" not in text and "waiting" not in text


def brief_wait(shown, text):
    """Wait for a text that must not come, for a second."""
    from tests.output import terminals

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(terminals, "LONGEST_S", 1)
        shown.wait_for(text)


@pytest.mark.parametrize("columns", [60, 80])
def test_steps_of_a_change_become_one_paragraph_and_a_watch_counts(window, answers, columns):
    shown = window(columns)
    shown.run([*PROGRAM, "change", answers.folder, "a", "b"])
    shown.wait_for("[1/2] a  stopped now")
    answers("a.stopped", "")
    shown.wait_for("[1/2] a  stopped ", "snapshot now")
    answers("a.snapshot", "")
    shown.wait_for("  snapshot ", "watching  ", "of 15 s")
    answers("a", "")
    shown.wait_for("[1/2] a  DONE  v2", "[2/2] b")
    for name in ("b.stopped", "b.snapshot", "b"):
        answers(name, "")
    lines = [line for line in shown.wait_for("the end").split("\n") if line.strip()]
    assert [line[:14] for line in lines[:5]] == [
        "[1/2] a  stopp",
        "[1/2] a  DONE ",
        "[2/2] b  stopp",
        "[2/2] b  DONE ",
        "2 hosts change",
    ]
    assert "stopped" in lines[0] and "watched" in lines[0]
    assert lines[4].endswith("Undo: undo a,b")


def test_a_dumb_terminal_gets_no_escape_codes(answers):
    for name in ("a", "b"):
        answers(name, "up")
    child = pexpect.spawn(
        PROGRAM[0], [*PROGRAM[1:], "read", str(answers.folder), "a", "b"], env={"TERM": "dumb"},
        encoding="utf-8", timeout=60,
    )  # fmt: skip
    child.expect("the end")
    assert "\x1b" not in child.before and "b     up" in child.before
    assert child.before.rstrip().endswith("2 of 2 answered")
    child.close(force=True)


@pytest.mark.parametrize("mode", ["read", "change"])
def test_a_pipe_gets_one_line_per_row_and_no_escape_codes(answers, mode):
    for name in ("a", "a.stopped", "a.snapshot"):
        answers(name, "up")
    argv = [*PROGRAM, mode, str(answers.folder), "a"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
    assert "\x1b" not in done.stdout + done.stderr
    assert "waiting" not in done.stderr
    if mode == "read":
        header, row, _ = done.stdout.splitlines()
        assert header.split() == ["HOST", "STATE", "TEXT", "MORE"]
        assert row.endswith("x" * 30)
        assert done.stderr == ""


def test_colours_can_be_wanted_in_a_pipe_and_forbidden_in_a_terminal(answers):
    answers("a", "up")
    argv = [*PROGRAM, "read", str(answers.folder), "a"]
    for env, has in (({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False)):
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True, env=env)
        assert ("\x1b[32mup" in done.stdout) == has
