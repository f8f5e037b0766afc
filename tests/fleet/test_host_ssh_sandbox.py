"""The host suite over real SSH, and what only SSH and sudo can get wrong."""

import contextlib
import json
import re
import shutil
import socket
import subprocess
import threading
import time

import pytest

from opstasks.core.command import Secret, cmd
from opstasks.core.errors import Lost, Refused, Unreachable
from opstasks.sandbox.delay_proxy import DelayProxy
from tests.host_suite import HostSuite
from tests.look import until
from tests.round_trips import least

pytestmark = pytest.mark.sandbox


@pytest.fixture
def host(connect, spec, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return connect(spec("sandbox-1", lock_dir="/tmp/suite"))


@pytest.fixture
def other(connect, spec):
    return connect(spec("sandbox-1", lock_dir="/tmp/suite"))


class TestSSH(HostSuite):
    """Everything, over SSH."""


# -- sudo ------------------------------------------------------------------------------------


def as_dev(connect, spec, password):
    asked = []

    def give(name):
        asked.append(name)
        return contextlib.nullcontext(password)

    host = connect(spec("sandbox-1", user="dev", sudo="ask"), passwords=give)
    return host, asked


def test_sudo_with_the_right_password_asks_once_for_each_account(connect, spec, sandbox):
    host, asked = as_dev(connect, spec, Secret(sandbox.sudo_password()))
    assert host.root.output(cmd("id", "-un")) == "root"
    assert host.root.output(cmd("id", "-un")) == "root"
    assert len(asked) == 1


def test_sudo_without_a_password_is_never_sent_one(connect, spec):
    def never(name):
        raise AssertionError("asked for a password")

    host = connect(spec("sandbox-1", sudo="ask"), passwords=never)
    assert host.root.output(cmd("id", "-un")) == "root"


def test_a_wrong_password_is_refused_once_and_nothing_runs(connect, spec, sandbox):
    host, asked = as_dev(connect, spec, Secret("wrong"))
    with pytest.raises(Refused, match="did not accept"):
        host.root.run(cmd("touch", "/tmp/never"))
    assert len(asked) == 1
    assert sandbox.exec_("sandbox-1", ["test", "-e", "/tmp/never"]).returncode == 1


def test_without_a_terminal_a_needed_password_is_refused_with_the_hint(connect, spec):
    host, _ = as_dev(connect, spec, None)
    with pytest.raises(Refused, match="OPSTASKS_SUDO_PASSWORD_FILE"):
        host.root.run(cmd("true"))


def test_nopasswd_mode_does_not_hang_where_a_password_is_needed(connect, spec):
    host = connect(spec("sandbox-1", user="dev", sudo="nopasswd"))
    with pytest.raises(Refused, match="may not become root"):
        host.root.run(cmd("true"))


def test_a_command_that_prints_the_prompt_gets_nothing(connect, spec, sandbox):
    password = sandbox.sudo_password()
    host, asked = as_dev(connect, spec, Secret(password))
    host.root.run(cmd("true"))
    # It learns the real prompt from the process list, prints it everywhere and reads.
    phish = (
        "prompt=$(ps -eo args | grep -o 'ops[0-9a-f]*%%password:' | head -1 | sed s/%%/%/);"
        ' test -n "$prompt"; for i in 1 2 3; do echo "$prompt"; echo "$prompt" >&2; done;'
        " read -r -t 2 caught; echo caught:$caught"
    )
    (result,) = host.root.batch([cmd("bash", "-c", phish)])
    assert "password" in result.out, "the phish did not find the prompt, so it proves nothing"
    assert result.out.endswith("caught:\n")
    assert len(asked) == 1


def test_the_password_is_in_no_process_list_and_no_output(connect, spec, sandbox):
    password = sandbox.sudo_password()
    host, _ = as_dev(connect, spec, Secret(password))
    out = host.root.output(cmd("sh", "-c", "cat /proc/*/cmdline /proc/*/environ 2>/dev/null; :"))
    assert "SSH_CONNECTION" in out, "nothing was read, so it proves nothing"
    assert password not in out


# -- host keys -------------------------------------------------------------------------------


@pytest.fixture
def other_key(tmp_path):
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key")], check=True
    )
    return " ".join((tmp_path / "key.pub").read_text().split()[:2])


def test_a_changed_pinned_key_is_refused(connect, spec, other_key):
    host = connect(spec("sandbox-1", host_keys=(other_key,)))
    with pytest.raises(Unreachable, match="CHANGED"):
        host.login.run(cmd("true"))


@pytest.fixture
def unpinned(spec, tmp_path):
    """A host without pins, whose ssh_config names one known_hosts file."""
    config, known = tmp_path / "ssh_config", tmp_path / "known_hosts"
    config.write_text(f"UserKnownHostsFile {known}\nGlobalKnownHostsFile none\n")

    def make(**over):
        return spec("sandbox-1", host_keys=(), ssh_config=str(config), **over)

    return make


def test_an_unknown_host_is_refused(connect, unpinned):
    with pytest.raises(Unreachable, match="not known"):
        connect(unpinned()).login.run(cmd("true"))


@pytest.mark.parametrize("hashed", [False, True])
def test_a_key_in_known_hosts_is_accepted_plain_or_hashed(
    connect, spec, unpinned, tmp_path, hashed
):
    known = tmp_path / "known_hosts"
    found = spec("sandbox-1")
    known.write_text(f"{found.address} {found.host_keys[0]}\n")
    if hashed:
        subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(known)], check=True)
        assert found.address not in known.read_text()
    assert connect(unpinned()).login.test(cmd("true"))


def test_a_conflicting_known_host_is_refused(connect, spec, unpinned, tmp_path, other_key):
    known = tmp_path / "known_hosts"
    known.write_text(f"{spec('sandbox-1').address} {other_key}\n")
    with pytest.raises(Unreachable, match="CHANGED"):
        connect(unpinned()).login.run(cmd("true"))


def test_known_hosts_with_odd_lines_works_and_a_revoked_key_is_refused(
    connect, spec, unpinned, tmp_path, other_key
):
    found = spec("sandbox-1")
    known = tmp_path / "known_hosts"
    good = f"{found.address} {found.host_keys[0]}"
    known.write_text(
        f"@cert-authority * {other_key}\nx ssh-rsa AAA\n{found.address} {other_key}\n{good}\n"
    )
    assert connect(unpinned()).login.test(cmd("true"))
    known.write_text(f"{good}\n@revoked * {found.host_keys[0]}\n")
    with pytest.raises(Unreachable, match="REVOKED"):
        connect(unpinned()).login.run(cmd("true"))


def test_accept_new_learns_a_key_and_refuses_another_one_later(
    connect, spec, unpinned, tmp_path, other_key
):
    found, known = spec("sandbox-1"), tmp_path / "known_hosts"
    assert connect(unpinned(host_key_checking="accept-new")).login.test(cmd("true"))
    assert found.host_keys[0].split()[1] in known.read_text()
    known.write_text(f"{found.address} {other_key}\n")
    with pytest.raises(Unreachable, match="CHANGED"):
        connect(unpinned(host_key_checking="accept-new")).login.run(cmd("true"))


# -- the network -----------------------------------------------------------------------------


def test_a_closed_port_and_a_wrong_address_are_unreachable(connect, spec):
    with pytest.raises(Unreachable, match="refused"):
        connect(spec("sandbox-1", port=1)).login.run(cmd("true"))
    with pytest.raises(Unreachable, match="no address"):
        connect(spec("sandbox-1", address="no.such.host.invalid")).login.run(cmd("true"))


def test_a_private_key_that_the_host_does_not_know_is_refused(connect, spec, tmp_path):
    key = tmp_path / "stranger"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    with pytest.raises(Unreachable, match="did not accept our key"):
        connect(spec("sandbox-1", identity_file=str(key))).login.run(cmd("true"))


def through(proxy, found):
    """The same host, reached through a proxy on this machine."""
    import msgspec

    return msgspec.structs.replace(found, address="127.0.0.1", port=proxy.port)


@pytest.fixture
def proxied(connect, spec):
    """A host that was reached through a proxy, and the proxy."""
    found = spec("sandbox-1")
    with DelayProxy((found.address, 22)) as proxy:
        host = connect(through(proxy, found))
        host.login.run(cmd("true"))
        yield host, proxy


def test_a_connection_cut_while_reading_is_unreachable_and_the_next_try_works(proxied):
    host, proxy = proxied
    proxy.cut()
    with pytest.raises(Unreachable, match="lost"):
        host.login.run(cmd("true"))
    assert host.login.output(cmd("echo", "again")) == "again"


def test_a_change_never_continues_over_a_second_connection(proxied):
    host, proxy = proxied
    with host.changing():
        proxy.cut()
        with pytest.raises(Lost):
            host.login.run(cmd("true"))
        # The lock went with that connection: its next holder must not be disturbed.
        with pytest.raises(Lost):
            host.login.run(cmd("true"))
        # A second connection would stay; the proxy forgets the first a moment after its end.
        until(lambda: proxy.connections() == 0, "a connection is open", 5)
    assert host.login.output(cmd("echo", "again")) == "again"


def test_ten_commands_in_a_row_cost_ten_round_trips_and_a_batch_costs_one(proxied):
    host, proxy = proxied

    def in_a_row():
        for _ in range(10):
            host.login.run(cmd("true"))

    assert least(proxy, in_a_row) == 10
    assert least(proxy, lambda: host.login.batch([cmd("echo", n) for n in range(10)])) == 1


@pytest.mark.parametrize("sudo", ["ask", "nopasswd"])
def test_run_costs_three_round_trips_after_the_login(connect, spec, monkeypatch, tmp_path, sudo):
    """One opens the channel, one starts the shell (sshd accepts input only then), one runs."""
    from opstasks.shell.run import make_command, run

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    found = spec("sandbox-1", sudo=sudo)
    counts = []
    for _ in range(3):  # the least counts, as in `least`: each needs a connection of its own
        with DelayProxy((found.address, 22), 20) as proxy:
            host = connect(through(proxy, found))
            assert host.transport.is_alive()
            time.sleep(0.3)  # what sshd says after the login
            proxy.reset()
            assert run(host, "root", make_command(["id", "-un"], 60)).out == "root\n"
            counts.append(proxy.round_trips())
    assert min(counts) == 3


@pytest.mark.parametrize(
    ("last", "detail"), [("exit 9", "exit code 9"), ("yes", "exit code 141")], ids=["quiet", "loud"]
)
def test_the_host_records_the_end_of_a_run_whose_client_is_gone(
    connect, spec, observer, monkeypatch, tmp_path, last, detail
):
    """In its journal, with the real account, when it has ended; 141: its output has no reader."""
    from opstasks.shell.run import make_command, run

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    found, seen = spec("sandbox-1"), observer("sandbox-1")
    command = make_command([f"touch /tmp/begun; sleep 2; {last}"], 60)

    def end():
        words = "journalctl -t opstasks -o cat --no-pager -n 1 _UID=0"
        entry = json.loads(seen.run(words).stdout)
        return entry["phase"] == "end" and entry

    def cut(proxy):
        until(lambda: seen.file("/tmp/begun").exists, "it did not start", 30)
        proxy.cut()

    with DelayProxy((found.address, 22)) as proxy:
        host = connect(through(proxy, found))
        host.root.run(cmd("rm", "-f", "/tmp/begun"))
        cutting = threading.Thread(target=cut, args=(proxy,))
        cutting.start()
        with pytest.raises(Lost):
            run(host, "root", command)
        cutting.join()
    entry = until(end, "the end is missing", 30)
    assert (entry["task"], entry["outcome"], entry["detail"]) == ("run", "failed", detail)


def test_a_long_line_is_recorded_whole(connect, spec, observer):
    from opstasks.fleet import audit

    entry = audit.start("sandbox-1", "long", {"words": "é" * 4000, "more": "x" * 60_000})
    host = connect(spec("sandbox-1"))
    host.login.session.evaluate(audit.journal_text(entry))
    words = "journalctl -t opstasks -o cat --no-pager -n 1"
    assert observer("sandbox-1").run(words).stdout.rstrip("\n") == audit.line(entry)


def test_a_silent_network_frees_the_lock_after_a_minute(connect, spec, tmp_path):
    from opstasks.fleet import lock
    from opstasks.fleet.change import change

    found = spec("sandbox-1", lock_dir="/tmp/silent")
    looker = connect(found)
    with DelayProxy((found.address, 22)) as proxy:
        host = connect(through(proxy, found))
        with change(host.login, "silent"):
            proxy.freeze()
            started = time.monotonic()
            while lock.parse_owner(looker.login.output(lock.holder(found))):
                assert time.monotonic() - started < 80, "the lock is still held"
                time.sleep(1)
            proxy.cut()


def test_ssh_config_reaches_a_host_through_another(connect, spec, tmp_path):
    first, second = spec("sandbox-1"), spec("sandbox-2")
    config, known = tmp_path / "config", tmp_path / "known_hosts"
    config.write_text(
        f"UserKnownHostsFile {known}\n"
        f"Host inner\n  HostName {second.address}\n  User ops\n"
        f"  IdentityFile {second.identity_file}\n  ProxyJump outer\n"
        f"Host outer\n  HostName {first.address}\n  User ops\n"
        f"  IdentityFile {first.identity_file}\n"
    )
    known.write_text(
        f"{first.address} {first.host_keys[0]}\n{second.address} {second.host_keys[0]}\n"
    )
    shutil.copy(second.identity_file, tmp_path / "key")
    plain = spec(
        "sandbox-2",
        address="inner",
        user="",
        identity_file="",
        host_keys=(),
        ssh_config=str(config),
    )
    assert connect(plain).login.output(cmd("hostname")) == "sandbox-2"


def test_a_gateway_of_the_inventory(spec):
    from opstasks.fleet.host import Host
    from opstasks.fleet.ssh import SSHTransport

    def connections():
        return {thread for thread in threading.enumerate() if type(thread).__name__ == "Wire"}

    before = connections()
    host = Host(spec("sandbox-2"), connect=lambda s: SSHTransport(s, spec("sandbox-1")))
    try:
        assert host.login.output(cmd("hostname")) == "sandbox-2"
        assert spec("sandbox-1").address in host.login.output(cmd("printenv", "SSH_CONNECTION"))
        assert len(connections() - before) == 2
    finally:
        host.close()
    until(lambda: connections() <= before, "a connection is left", 10)


def test_a_connection_over_a_dead_network_is_dropped(connect, spec):
    host = connect(spec("sandbox-1"))
    wire = host.transport.connection.transport.sock
    assert wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 90_000


# -- hosts that were never set up ------------------------------------------------------------

ON_BARE = [
    "config.show",
    "config.check",
    "config.set MAX_WORKERS=2 --yes",
    "deploy --yes",
    "deploy.pending",
    "deploy.rollback --yes",
    "images.ls",
    "images.update ehrql:v1 --yes",
    "jobs.kill abc --yes",
    "jobs.logs abc",
    "jobs.ls",
    "jobs.ls --all --json",
    "jobs.queries",
    "jobs.retry abc --yes",
    "jobs.show abc",
    "jobs.stats",
    "logs --job abc",
    "outputs.ls study",
    "pause --yes",
    "status",
]
# These tasks work on a host that has an account and nothing else.
TELLS = ("status",)


def bare_says(inv, line):
    done = inv("-H", "sandbox-2", *line.split())
    assert "Traceback" not in done.stdout + done.stderr
    lines = done.stderr.splitlines()
    starts = [number for number, text in enumerate(lines) if text.startswith("error  ")]
    following = [text for text in lines if text.startswith("next:  ")]
    return done, [f"{lines[at]}\n{text}" for at, text in zip(starts, following, strict=True)]


@pytest.mark.parametrize("line", ON_BARE)
def test_on_a_bare_host_the_error_names_manage(inv, line):
    done, errors = bare_says(inv, line)
    assert done.returncode == 2
    assert errors == [
        "error  account opensafely does not exist: the host is not set up yet (sandbox-2)\n"
        "next:  inv -H sandbox-2 manage"
    ]
    assert "no job" not in done.stdout


def test_history_and_doctor_work_on_a_bare_host(inv):
    done, errors = bare_says(inv, "doctor")
    assert (done.returncode, errors) == (1, [])
    assert "inv -H sandbox-2 manage" in done.stdout
    assert bare_says(inv, "history")[0].returncode in (0, 2)


@pytest.fixture(scope="module")
def account(sandbox):
    """The service account, without any of its files."""
    sandbox.must("sandbox-2", ["useradd", "--create-home", "--shell=/bin/bash", "opensafely"])
    yield
    remove = ["userdel", "--remove", "opensafely"]  # its last shell may still be ending
    until(lambda: sandbox.exec_("sandbox-2", remove).returncode == 0, "it is in use", 20)


@pytest.mark.parametrize("line", [line for line in ON_BARE if line not in TELLS])
def test_a_host_with_only_the_account_gets_one_error_and_a_hint(inv, account, line):
    done, errors = bare_says(inv, line)
    assert done.returncode in (1, 2), done.stdout
    assert len(errors) == 1, done.stderr
    assert "(sandbox-2)" in errors[0]
    assert re.search(r"next:  inv -H sandbox-2 (manage|doctor|deploy.releases)$", errors[0])
