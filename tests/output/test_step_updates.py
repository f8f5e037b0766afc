"""A step whose text changes while it runs: shown in place, never as one more line."""

from opstasks.core.events import StepReached, StepUpdated
from opstasks.output.console import Console
from opstasks.output.parts import text_of_line
from opstasks.output.progress import Progress


def lines(found):
    return [text_of_line(line) for line in found]


def test_a_new_text_replaces_the_old_one_and_keeps_the_time():
    progress = Progress()
    progress.step(StepReached("tpp", "pull x", brief="pulled"), 0.0, 80)
    progress.update(StepUpdated("tpp", "pull x: 1 of 2 layers", "pulled (5 MiB)"))
    assert lines(progress.lines(3.0, 80, 20)) == ["tpp  pull x: 1 of 2 layers  3.0s"]
    assert lines(progress.end("tpp", 4.0, 80)) == ["tpp  pulled (5 MiB) 4.0s"]


def test_an_update_without_a_step_is_nothing():
    progress = Progress()
    progress.update(StepUpdated("tpp", "late"))
    assert progress.is_idle


def test_a_pipe_gets_no_updates(capsys):
    console = Console()
    console.observe(StepReached("tpp", "pull x"))
    console.observe(StepUpdated("tpp", "pull x: 1 of 2 layers"))
    assert capsys.readouterr().err == "tpp  pull x\n"
