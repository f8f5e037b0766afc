"""`shell` in a real terminal: what its exit code says, and what a person sees while it opens."""

import pytest

from tests.jobs import jobs_help

pytestmark = [pytest.mark.sandbox, pytest.mark.hosts(1)]
HERE = ("-H", "sandbox-1", "shell")


@pytest.fixture
def opened(managed, sandbox_dir):
    """A shell on the host, after its first prompt."""

    def start(*words):
        child = jobs_help.terminal(sandbox_dir, *HERE, *words)
        child.expect(r"\$ ")
        return child

    return start


@pytest.mark.parametrize("last", ["true", "false", "no-such-command", "(exit 7)"])
def test_exit_after_any_command_is_success(opened, last):
    child = opened()
    child.sendline(last)
    child.sendline("exit")
    shown, code = jobs_help.finished(child)
    assert code == 0, shown
    assert "error" not in shown


def test_a_shell_that_ends_with_a_code_is_success(opened):
    child = opened()
    child.sendline("exit 7")
    assert jobs_help.finished(child)[1] == 0


def test_a_dropped_connection_is_unreachable(opened):
    child = opened()
    child.send("\r~.")
    shown, code = jobs_help.finished(child)
    assert (code, "dropped at your request" in shown) == (3, True)


def test_a_connection_that_is_lost_is_unreachable(opened, managed):
    child = opened()
    child.sendline("echo $PPID-is-sudo")
    child.expect("-is-sudo")
    # The processes of sshd for the logins of ops, not the one that listens.
    managed.exec_("sandbox-1", ["pkill", "-KILL", "-f", "^sshd: ops"])
    shown, code = jobs_help.finished(child)
    assert (code, "connection lost" in shown) == (3, True), shown


def test_an_account_without_a_shell_is_refused(managed, sandbox_dir):
    child = jobs_help.terminal(sandbox_dir, *HERE, "--user", "www-data")
    shown, code = jobs_help.finished(child)
    assert code == 2, shown
    assert "no login shell that can start: /usr/sbin/nologin" in shown


def test_an_account_that_does_not_exist_does_not_blame_the_host(managed, sandbox_dir):
    child = jobs_help.terminal(sandbox_dir, *HERE, "--user", "nosuch")
    shown, code = jobs_help.finished(child)
    assert code == 2, shown
    assert "account nosuch does not exist there" in shown
    assert "manage" not in shown


def test_a_missing_key_file_is_named(managed, sandbox_dir, tmp_path):
    text = (sandbox_dir / "hosts.yaml").read_text()
    known = next(line for line in text.splitlines() if "identity_file:" in line)
    broken = text.replace(known.strip(), f'identity_file: "{tmp_path}/nokey"')
    (tmp_path / "hosts.yaml").write_text(broken)
    shown, code = jobs_help.finished(jobs_help.terminal(tmp_path, *HERE))
    assert code == 3
    assert f"cannot use the key {tmp_path}/nokey; it does not exist" in shown.replace("\r\n", " ")
    assert "VPN" not in shown
