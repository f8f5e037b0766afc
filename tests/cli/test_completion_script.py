"""`completion SHELL` prints one script, and Invoke's own flag for it still works."""

import json
import sys
from pathlib import Path

import pexpect
import pytest

from opstasks.completion.scripts import USE, script

OPSTASKS = str(Path(sys.executable).with_name("opstasks"))


@pytest.fixture
def fleet(tmp_path):
    (tmp_path / "hosts.yaml").write_text("hosts: {tpp: {address: 192.0.2.1}}")
    return tmp_path / "hosts.yaml"


@pytest.mark.parametrize("shell", USE)
@pytest.mark.parametrize("name", ["inv", "opstasks"])
def test_the_script_is_printed_as_it_is(program, shell, name):
    done = program("completion", shell, name=name)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == script(shell)
    assert "inv invoke opstasks" in done.stdout


def test_the_script_is_a_document_with_json(program):
    document = json.loads(program("completion", "zsh", "--json").stdout)
    assert document["script"] == script("zsh")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["completion", "tcsh"], "completion: SHELL must be bash, zsh or fish, not 'tcsh'"),
        (["completion", "../bash"], "completion: SHELL must be bash, zsh or fish, not '../bash'"),
        (["completion", "bash", "-H", "tpp"], "completion does not take -H"),
    ],
)
def test_another_shell_and_a_host_are_refused(program, words, told):
    done = program(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr


def test_on_a_terminal_it_also_says_how_to_use_the_script(fleet):
    child = pexpect.spawn(OPSTASKS, ["completion", "fish"], encoding="utf-8", timeout=30)
    child.expect_exact(f"to use it: {USE['fish']}")
    child.close()


def test_a_broken_inventory_does_not_stop_the_start_of_a_shell(program, fleet):
    fleet.write_text("hosts: [")
    assert program("completion", "bash").returncode == 0


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_invokes_own_script_is_still_printed(program, shell):
    done = program("--print-completion-script", shell)
    assert done.returncode == 0
    assert "_complete_invoke" in done.stdout


def test_the_scripts_are_plain_text_without_tabs():
    for shell in USE:
        text = script(shell)
        assert text.isascii()
        assert "\t" not in text
        assert text.endswith("\n")
