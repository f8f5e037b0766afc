"""A live host beside one that is silent: its result is shown while the silent one is awaited."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.look import until
from tests.shell.silent import SilentHost

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.sandbox, pytest.mark.hosts(1)]


@pytest.fixture
def silent():
    host = SilentHost()
    yield host
    host.end()


@pytest.fixture
def inv_beside(sandbox_dir, silent, tmp_path):
    """Start `inv -H all` on sandbox-1 and the silent host."""
    inventory = tmp_path / "hosts.yaml"
    text = (sandbox_dir / "hosts.yaml").read_text()
    entry = f"  silent: {{address: 127.0.0.1, port: {silent.port}, connect_timeout_s: 300}}\n"
    inventory.write_text(text.replace("\nhosts:\n", "\nhosts:\n" + entry))
    begun = []

    def start(*words):
        begun.append(
            subprocess.Popen(
                [str(Path(sys.executable).with_name("inv")), "-H", "all", *words],
                cwd=ROOT,
                env={
                    **os.environ,
                    "OPSTASKS_HOSTS": str(inventory),
                    "XDG_STATE_HOME": str(tmp_path / "state"),
                },
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        return begun[-1]

    yield start
    for process in begun:
        process.kill()
        process.communicate()


def line_with(process, text):
    """Read standard output up to a line with this text."""
    for line in process.stdout:
        if text in line:
            return line
    raise AssertionError(process.stderr.read())


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("run --user ops -- echo hello", "sandbox-1 | hello"),
        ("run --user ops -- 'echo hello; sleep 600'", "sandbox-1 | hello"),
        ("doctor --all", "sandbox-1"),
    ],
)
def test_the_live_host_is_shown_while_the_silent_one_is_awaited(inv_beside, silent, words, shown):
    head, quote, shell_text = words.partition("'")
    process = inv_beside(*head.split(), *([shell_text.rstrip("'")] if quote else []))
    line_with(process, shown)
    assert silent.called.is_set()
    assert silent.is_awaited


def test_the_silent_host_is_in_the_result_when_it_ends(inv_beside, silent):
    process = inv_beside("run", "--user", "ops", "--", "echo", "hello")
    line_with(process, "hello")
    silent.end()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 3
    assert out == ""
    assert err.count("(silent)") == 1
    assert err.endswith("1 no answer: silent\n")


def test_ctrl_c_keeps_what_was_shown_and_names_the_silent_host(inv_beside, observer):
    process = inv_beside("run", "--user", "ops", "--", "echo hello; sleep 4711")
    line_with(process, "hello")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "error  interrupted; " in err
    assert "no answer from silent, sandbox-1" in err
    assert err.count("error  ") == 1
    here = observer("sandbox-1")
    until(lambda: not here.process.filter(args="sleep 4711"), "the command still runs", 20)


def test_after_ctrl_c_the_hosts_without_an_answer_are_those_that_failed(inv_beside):
    process = inv_beside("run", "--user", "ops", "--", "echo", "hello")
    line_with(process, "hello")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert "no answer from silent\n" in err
    again = inv_beside("-H", "@failed,sandbox-1", "run", "--user", "ops", "--", "true")
    assert "@failed: 1 of 2 hosts in the last run of `run -- echo`" in again.stderr.readline()


def test_equal_output_is_folded(inv, sandbox_dir):
    done = inv("-H", "sandbox-1", "run", "--user", "ops", "--fold", "--", "printf", "a\\nb\\n")
    assert (done.returncode, done.stdout) == (0, "sandbox-1:\na\nb\n")
