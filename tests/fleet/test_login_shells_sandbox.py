"""Every usual login shell, with start-up files that print, end, hang or read, over real SSH."""

import shlex
import time

import pytest

from opstasks.core.command import cmd
from opstasks.core.errors import NoShell
from opstasks.fleet import session
from opstasks.shell.run import make_command, run

pytestmark = [pytest.mark.sandbox, pytest.mark.hosts(1)]

# The file that a shell reads when sshd gives it a command. dash reads none; sshd runs its own.
START_UP = {
    "dash": ".ssh/rc",
    "bash": ".bashrc",
    "zsh": ".zshenv",
    "fish": ".config/fish/config.fish",
    "tcsh": ".tcshrc",
}
NOISE = "sh -c 'echo welcome; echo oops >&2; printf \"\\0\\1\\377\\0ready:ops\"; echo sudo: no >&2'"
WAITING = "sh -c 'echo waiting for the file server; sleep {}'"
HANG_S = 4


@pytest.fixture(scope="module")
def host_shells(sandbox):
    """Accounts sh-dash, sh-bash, ... with rights to become everyone without a password."""
    script = f"""
    set -e
    apt-get -qq install -y zsh fish tcsh >/dev/null
    useradd --create-home --shell=/bin/bash opensafely || :
    for shell in {" ".join(START_UP)}; do
      useradd --create-home --shell="$(command -v $shell)" "sh-$shell"
      install -d -o "sh-$shell" -m 700 "/home/sh-$shell/.ssh"
      install -o "sh-$shell" -m 600 /home/ops/.ssh/authorized_keys "/home/sh-$shell/.ssh/"
      echo "sh-$shell ALL=(ALL) NOPASSWD: ALL" >>/etc/sudoers.d/shells
    done
    useradd --create-home --shell=/usr/sbin/nologin sh-nologin
    install -d -o sh-nologin -m 700 /home/sh-nologin/.ssh
    install -o sh-nologin -m 600 /home/ops/.ssh/authorized_keys /home/sh-nologin/.ssh/
    """
    sandbox.must("sandbox-1", ["bash", "-c", script])
    return sandbox


@pytest.fixture
def login(host_shells, connect, spec, tmp_path, monkeypatch):
    """Connect to an account whose start-up file has this text."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    def make(shell, text="", sudo="nopasswd"):
        user = f"sh-{shell}"
        path = f"/home/{user}/{START_UP[shell]}"
        write = f"mkdir -p $(dirname {path}); printf '%s\\n' {shlex.quote(text)} >{path}"
        host_shells.must("sandbox-1", ["runuser", "-u", user, "--", "sh", "-c", write])
        return connect(spec("sandbox-1", user=user, sudo=sudo))

    return make


@pytest.mark.parametrize("text", ["", NOISE], ids=["quiet", "noisy"])
@pytest.mark.parametrize("shell", START_UP)
def test_a_command_runs_as_every_account(login, shell, text):
    for sudo in ("nopasswd", "ask"):
        host = login(shell, text, sudo)
        for user in (f"sh-{shell}", "opensafely", "root"):
            (result,) = host.shell(user).batch([cmd("id", "-un")])
            assert (result.code, result.out, result.err) == (0, f"{user}\n", ""), sudo
        result = run(host, "root", make_command(["bash", "-c", "echo 'a\\b!'; exit 3"], 60))
        assert (result.code, result.out) == (3, "a\\b!\n")


@pytest.mark.parametrize("shell", [name for name in START_UP if name != "dash"])
def test_a_start_up_file_that_ends_the_shell_is_an_error_with_its_words(login, shell):
    words = "sh -c 'echo This account has moved >&2; exit 1'"
    # fish and tcsh go on after an `exit` in their start-up files.
    host = login(shell, f"exec {words}" if shell in ("fish", "tcsh") else f"{words}\nexit 1")
    for user in ("", "root"):
        with pytest.raises(NoShell, match="no shell on the host: This account has moved"):
            host.shell(user).run(cmd("true").changing())


@pytest.mark.parametrize("shell", START_UP)
def test_a_start_up_file_that_hangs_is_an_error_and_nothing_runs_later(
    login, host_shells, monkeypatch, shell
):
    monkeypatch.setattr(session, "START_S", 2.0)
    host, canary = login(shell, WAITING.format(HANG_S)), f"/tmp/canary-{shell}"
    ended = time.monotonic() + HANG_S + 1
    for user in ("", "root"):
        with pytest.raises(NoShell) as error:
            host.shell(user).run(cmd("touch", canary).changing())
        assert error.value.message == "no shell within 2 s; it said: waiting for the file server"
    time.sleep(max(0.0, ended + 2 - time.monotonic()))
    assert host_shells.exec_("sandbox-1", ["test", "-e", canary]).returncode == 1


@pytest.mark.parametrize("shell", [name for name in START_UP if name != "dash"])
def test_a_start_up_file_that_reads_the_input_is_an_error_and_nothing_runs(
    login, host_shells, shell
):
    host, canary = login(shell, "sh -c 'read -r answer'"), f"/tmp/read-{shell}"
    with pytest.raises(NoShell, match="reads standard input"):
        host.login.run(cmd("touch", canary).changing())
    assert host_shells.exec_("sandbox-1", ["test", "-e", canary]).returncode == 1


def test_an_account_without_a_shell_says_so(host_shells, connect, spec):
    host = connect(spec("sandbox-1", user="sh-nologin"))
    with pytest.raises(NoShell, match=r"no shell on the host: This account is currently not"):
        host.login.run(cmd("true").changing())
