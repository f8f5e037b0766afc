"""A terminal through a kept connection: keys, sizes, sudo's question, exit codes, lost networks."""

import os
import signal
import sys
from pathlib import Path

import pytest

from opstasks.fleet.ssh_master import kept
from tests.look import until

pexpect = pytest.importorskip("pexpect")
pytestmark = [pytest.mark.sandbox, pytest.mark.hosts(1)]


@pytest.fixture
def shell(runtime, sandbox_dir, tmp_path):
    """`inv shell` as root in a terminal of 30 rows and 91 columns."""
    opened = []

    def start(*words, user="ops", sudo="nopasswd"):
        inventory = runtime.inventory(sandbox_dir)
        text = inventory.read_text().replace("user: ops", f"user: {user}")
        inventory.write_text(text.replace("sudo: nopasswd", f"sudo: {sudo}"))
        state = {"XDG_STATE_HOME": str(tmp_path), "TERM": "xterm-256color"}
        opened.append(
            pexpect.spawn(
                str(Path(sys.executable).with_name("inv")),
                ["--inventory", str(inventory), "-H", "sandbox-1", *words],
                env={**os.environ, **state},
                encoding="utf-8",
                dimensions=(30, 91),
                timeout=40,
            )
        )
        return opened[-1]

    yield start
    for child in opened:
        child.close(force=True)


def at_prompt(child):
    child.expect_exact("# ")
    return child


def test_keys_sizes_signals_and_the_exit_code(shell, runtime):
    child = at_prompt(shell("shell", "--user", "root"))
    child.sendline("id -un; stty size; echo $TERM; tty | cut -c1-8")
    child.expect("root\r\n30 91\r\nxterm-256color\r\n/dev/pts")
    at_prompt(child)
    child.setwinsize(20, 77)
    child.sendline("sleep 0.5; stty size")
    child.expect("20 77\r\n")
    at_prompt(child)
    child.sendline("sleep 60; echo not-$((1 + 1))")
    child.sendintr()
    at_prompt(child)
    child.sendline("echo still-$((40 + 2)); exit 7")
    child.expect("still-42")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 7
    assert "not-2" not in child.before
    assert len(kept()) == 1
    until(lambda: len(runtime.processes()) == 1, "a shell is left", 5)


def test_sudo_is_answered_before_the_program_starts_and_not_shown(shell, sandbox):
    password = sandbox.sudo_password()
    child = shell("shell", "--user", "root", user="dev", sudo="ask")
    child.expect("(?i)password.*: ")
    child.logfile_read = log = Log()
    child.sendline(password)
    at_prompt(child)
    child.sendline("id -un; exit")
    child.expect("root")
    child.expect(pexpect.EOF)
    assert password not in log.text
    assert ":password" not in log.text


class Log:
    """What the terminal showed."""

    text = ""

    def write(self, text):
        self.text += text

    def flush(self):
        pass


def test_the_escape_drops_it_and_a_lost_connection_is_reported(shell, runtime):
    child = at_prompt(shell("shell", "--user", "root"))
    child.send("\r~.")
    child.expect("dropped at your request")
    child.expect(pexpect.EOF)
    child = at_prompt(shell("shell", "--user", "root"))
    (master,) = kept()
    os.kill(runtime.pid(master), signal.SIGKILL)
    child.expect("connection lost")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 3
