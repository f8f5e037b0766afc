"""The host suite through a kept connection, and what can go wrong with one."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec
import pytest

from opstasks.core.command import Secret, cmd
from opstasks.core.errors import Lost, Refused, Unreachable
from opstasks.fleet import ssh_master
from opstasks.fleet.host import Host
from opstasks.fleet.openssh import OpenSSHTransport
from opstasks.fleet.openssh import connect as connect_to
from opstasks.fleet.ssh_master import kept
from opstasks.sandbox.delay_proxy import DelayProxy
from tests.host_suite import HostSuite
from tests.look import until

pytestmark = pytest.mark.sandbox


@pytest.fixture
def connect(connect_kept):
    return connect_kept


@pytest.fixture
def host(connect, keep, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return connect(keep(lock_dir="/tmp/suite"))


@pytest.fixture
def other(connect, keep):
    return connect(keep(lock_dir="/tmp/suite"))


class TestKeptConnection(HostSuite):
    """Everything, through OpenSSH."""


def connection_of(host):
    """The client's address and port, as the host sees them: the same for the same connection."""
    return host.login.output(cmd("printenv", "SSH_CONNECTION"))


# -- one connection for many runs --------------------------------------------------------------


def test_the_next_run_uses_the_same_connection_and_sudo_as_well(connect, keep):
    first, second = connect(keep()), connect(keep())
    before = connection_of(first)
    first.close()
    assert connection_of(second) == before
    assert second.root.output(cmd("id", "-un")) == "root"
    assert len(kept()) == 1


def test_other_settings_make_another_connection(connect, keep):
    first, second = connect(keep()), connect(keep(user="dev"))
    assert connection_of(first) != connection_of(second)
    assert second.login.output(cmd("id", "-un")) == "dev"
    assert second.transport.current_user() == "dev"
    assert len(kept()) == 2


def test_two_processes_at_once_make_one_connection(connect, keep, runtime):
    hosts = [connect(keep()) for _ in range(6)]
    found, errors = set(), []

    def ask(host):
        try:
            found.add(connection_of(host))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=ask, args=(host,)) for host in hosts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(found) == 1
    masters = [line for line in runtime.processes().values() if b"\0-M\0" in line]
    assert len(masters) == 1


def test_a_connection_that_nobody_uses_expires(connect, keep, runtime):
    host = connect(keep(keep_connection="1s"))
    host.login.run(cmd("true"))
    host.close()
    (master,) = kept()
    until(lambda: not master.accepts(), "it is still open", 10)
    until(lambda: not runtime.processes(), "a process is left", 5)
    assert kept() == []
    assert list(runtime.folder.glob("*.conf")) == []


def test_three_megabytes_arrive_and_nothing_is_left_open(connect, keep):
    host = connect(keep())
    host.login.run(cmd("true"))
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        again = connect(keep())
        data = []
        again.login.stream(cmd("head", "-c", 3 << 20, "/dev/urandom"), data.append)
        assert sum(map(len, data)) == 3 << 20
        assert len(again.login.run(cmd("head", "-c", 3 << 20, "/dev/zero")).out) == 3 << 20
        again.close()

    def children():
        text = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
        return [pid for pid in text.split() if b"ssh" in comm(pid)]

    def comm(pid):
        with contextlib.suppress(OSError):
            return Path(f"/proc/{pid}/comm").read_bytes()
        return b""

    host.close()
    until(lambda: not children(), f"processes are left: {children()}", 10)
    assert len(os.listdir("/proc/self/fd")) <= before


def giving(password):
    return lambda host: contextlib.nullcontext(Secret(password))


def test_the_sudo_password_is_in_no_command_line(connect, keep, sandbox, runtime):
    password = sandbox.sudo_password()
    host = connect(keep(user="dev", sudo="ask"), passwords=giving(password))
    assert host.root.output(cmd("id", "-un")) == "root"
    lines = runtime.processes()
    assert any(b"sudo" in line for line in lines.values()), "nothing was read"
    for line in lines.values():
        assert password.encode() not in line
    for path in runtime.path.rglob("*"):
        assert not path.is_file() or password not in path.read_text("utf-8", "replace")


def test_a_wrong_password_is_refused_and_the_connection_stays(connect, keep):
    host = connect(keep(user="dev", sudo="ask"), passwords=giving("wrong"))
    with pytest.raises(Refused, match="did not accept"):
        host.root.run(cmd("true"))
    assert host.login.test(cmd("true"))
    assert len(kept()) == 1


# -- connections that the host makes -----------------------------------------------------------


def test_the_host_makes_a_connection_for_us(host, runtime):
    wire = host.transport.dial("127.0.0.1", 22, 5)
    with contextlib.closing(wire):
        assert wire.gettimeout() == 5
        assert wire.recv(100).startswith(b"SSH-2.0-")
        wire.sendall(b"SSH-2.0-test\r\n")
        assert wire.recv(1)


def test_a_closed_port_behind_the_host_is_unreachable(host):
    with pytest.raises(Unreachable, match="no answer from that address"):
        host.transport.dial("127.0.0.1", 1, 5)
    assert host.login.test(cmd("true"))


def test_a_host_that_forbids_forwarding_is_refused(connect, keep, sandbox):
    options = "no-port-forwarding"
    keys = "/home/ops/.ssh/authorized_keys"
    sandbox.must("sandbox-1", ["cp", "-a", keys, "/root/keys"])
    try:
        sandbox.must("sandbox-1", ["sed", "-i", f"s/^ssh-/{options} ssh-/", keys])
        with pytest.raises(Refused, match="does not forward"):
            connect(keep()).transport.dial("127.0.0.1", 22, 5)
    finally:
        sandbox.must("sandbox-1", ["cp", "-a", "/root/keys", keys])


# -- host keys ---------------------------------------------------------------------------------


@pytest.fixture
def other_key(tmp_path):
    made = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "other")]
    subprocess.run(made, check=True)
    return " ".join((tmp_path / "other.pub").read_text().split()[:2])


@pytest.fixture
def plain(keep, tmp_path):
    """A host without pins, and the known_hosts file that ssh_config names."""
    config, known = tmp_path / "config", tmp_path / "known"

    def make(text, more="", name="sandbox-1", **over):
        known.write_text(text)
        config.write_text(
            f"Host *\n UserKnownHostsFile {known}\n StrictHostKeyChecking no\n{more}\n"
        )
        return keep(name, host_keys=(), ssh_config=str(config), **over)

    return make


def test_a_changed_pinned_key_is_refused(connect, keep, other_key):
    with pytest.raises(Unreachable, match="CHANGED"):
        connect(keep(host_keys=(other_key,))).login.run(cmd("true"))
    assert kept() == []


def test_one_right_pin_of_several_is_enough(connect, keep, spec, other_key):
    keys = (other_key, spec("sandbox-1").host_keys[0])
    assert connect(keep(host_keys=keys)).login.test(cmd("true"))


def test_a_kept_connection_is_not_used_after_the_pins_have_changed(connect, keep, other_key):
    assert connect(keep()).login.test(cmd("true"))
    with pytest.raises(Unreachable, match="CHANGED"):
        connect(keep(host_keys=(other_key,))).login.run(cmd("true"))


def test_an_unknown_host_is_refused_whatever_ssh_config_says(connect, plain):
    with pytest.raises(Unreachable, match="not known"):
        connect(plain("")).login.run(cmd("true"))


def test_a_known_host_is_accepted_and_another_key_is_refused(connect, plain, spec, other_key):
    found = spec("sandbox-1")
    good = f"{found.address} {found.host_keys[0]}\n"
    assert connect(plain(good)).login.test(cmd("true"))
    with pytest.raises(Unreachable, match="CHANGED"):
        connect(plain(f"{found.address} {other_key}\n", user="dev")).login.run(cmd("true"))


def test_a_revoked_key_is_refused_with_and_without_pins(connect, plain, spec, tmp_path):
    found = spec("sandbox-1")
    good = f"{found.address} {found.host_keys[0]}\n"
    assert connect(plain(good)).login.test(cmd("true"))
    marked = plain(f"{good}@revoked * {found.host_keys[0]}\n")
    pinned = msgspec.structs.replace(marked, host_keys=found.host_keys)
    for each in (marked, pinned):
        with pytest.raises(Unreachable, match="REVOKED"):
            connect(each).login.run(cmd("true"))
    (tmp_path / "revoked").write_text(found.host_keys[0] + "\n")
    listed = plain(good, f" RevokedHostKeys {tmp_path}/revoked")
    for each in (listed, msgspec.structs.replace(listed, host_keys=found.host_keys)):
        with pytest.raises(Unreachable, match="REVOKED"):
            connect(each).login.run(cmd("true"))


def test_accept_new_learns_a_key(connect, plain, spec, tmp_path):
    assert connect(plain("", host_key_checking="accept-new")).login.test(cmd("true"))
    assert spec("sandbox-1").host_keys[0].split()[1] in (tmp_path / "known").read_text()


# -- gateways ----------------------------------------------------------------------------------


def test_a_gateway_is_checked_with_its_own_pins(connect, keep, spec, other_key):
    behind = keep("sandbox-2", gateway="sandbox-1")
    host = connect(behind, spec("sandbox-1"))
    assert host.login.output(cmd("hostname")) == "sandbox-2"
    assert connection_of(host).startswith(spec("sandbox-1").address)
    with pytest.raises(Unreachable, match=f"host key of {spec('sandbox-1').address} has CHANGED"):
        connect(behind, spec("sandbox-1", host_keys=(other_key,))).login.run(cmd("true"))


def test_the_pins_of_a_gateway_are_not_those_of_the_host(connect, keep, spec):
    behind = keep("sandbox-2", gateway="sandbox-1", host_keys=spec("sandbox-1").host_keys)
    with pytest.raises(Unreachable, match="CHANGED"):
        connect(behind, spec("sandbox-1")).login.run(cmd("true"))


def test_a_jump_host_is_checked_even_if_ssh_config_checks_nothing(connect, plain, spec):
    first, second = spec("sandbox-1"), spec("sandbox-2")
    jump = f"Host {second.address}\n ProxyJump ops@{first.address}"
    more = f" IdentityFile {first.identity_file}\n{jump}"
    known = f"{second.address} {second.host_keys[0]}\n"
    with pytest.raises(Unreachable, match=f"host key of {first.address} is not known"):
        connect(plain(known, more, "sandbox-2")).login.run(cmd("true"))
    both = f"{known}{first.address} {first.host_keys[0]}\n"
    host = connect(plain(both, more, "sandbox-2"))
    assert connection_of(host).startswith(first.address)


# -- logins that fail --------------------------------------------------------------------------


def test_a_closed_port_a_wrong_name_and_a_wrong_key_are_unreachable(
    connect, keep, other_key, tmp_path, runtime
):
    with pytest.raises(Unreachable, match=r"cannot connect to .*:1: connection refused"):
        connect(keep(port=1)).login.run(cmd("true"))
    with pytest.raises(Unreachable, match=r"no address for 'no\.such"):
        connect(keep(address="no.such.host.invalid")).login.run(cmd("true"))
    (tmp_path / "config").write_text("IdentitiesOnly yes\n")
    stranger = {"identity_file": str(tmp_path / "other"), "ssh_config": str(tmp_path / "config")}
    with pytest.raises(Unreachable, match="did not accept our key") as caught:
        connect(keep(**stranger)).login.run(cmd("true"))
    assert f"(offered: {tmp_path}/other)" in caught.value.message
    assert runtime.processes() == {}


def test_a_network_that_does_not_answer_ends_with_the_time_limit(connect, keep, spec):
    found = spec("sandbox-1")
    with DelayProxy((found.address, 22)) as proxy:
        proxy.freeze()
        silent = keep(address="127.0.0.1", port=proxy.port, connect_timeout_s=1)
        with pytest.raises(Unreachable, match="no greeting"):
            connect(silent).login.run(cmd("true"))


# -- connections that die ----------------------------------------------------------------------


@pytest.fixture
def proxied(connect, keep, spec):
    """A host that was reached through a proxy, the proxy, and the host's settings."""
    found = spec("sandbox-1")
    with DelayProxy((found.address, 22)) as proxy:
        through = keep(address="127.0.0.1", port=proxy.port, connect_timeout_s=2)
        host = connect(through)
        host.login.run(cmd("true"))
        yield host, proxy, through


def test_a_master_that_was_killed_is_replaced(connect, proxied, runtime):
    host, _, through = proxied
    host.close()
    (master,) = kept()
    runtime.kill(master)
    assert connect(through).login.test(cmd("true"))
    assert [each.socket for each in kept()] != [master.socket]


def test_a_master_that_dies_while_we_wait_is_a_lost_connection(proxied):
    host, proxy, _ = proxied
    threading.Timer(0.5, proxy.cut).start()
    with pytest.raises(Unreachable, match="lost"):
        host.login.run(cmd("sleep", 20))
    assert host.login.output(cmd("echo", "again")) == "again"


def test_a_change_never_continues_over_a_second_connection(connect, proxied, runtime):
    host, _, through = proxied
    with host.changing():
        (master,) = kept()
        runtime.kill(master)
        with pytest.raises(Lost):
            host.login.run(cmd("true"))
        # Another run makes a new one at once; the change must not get into it.
        assert connect(through).login.test(cmd("true"))
        for _ in range(2):
            with pytest.raises(Lost):
                host.login.run(cmd("true"))
    assert host.login.output(cmd("echo", "again")) == "again"


def long_unused(monkeypatch):
    monkeypatch.setattr("opstasks.fleet.openssh.FRESH_S", 0)


def test_a_dead_network_is_noticed_before_the_first_command(connect, proxied, monkeypatch):
    host, proxy, through = proxied
    host.close()
    proxy.freeze()
    (old,) = kept()
    long_unused(monkeypatch)
    again = connect(through)
    threading.Timer(3, proxy.thaw).start()  # the old connection is given up before that
    assert again.login.test(cmd("true"))
    assert (set(each.socket for each in kept()) - {old.socket}) != set()


def test_a_stopped_master_is_replaced_and_left_alone(connect, proxied, monkeypatch, runtime):
    host, _, through = proxied
    host.close()
    (old,) = kept()
    long_unused(monkeypatch)
    os.kill(pid := runtime.pid(old), signal.SIGSTOP)
    try:
        assert connect(through).login.test(cmd("true"))
    finally:
        os.kill(pid, signal.SIGCONT)
    assert old.accepts()


def test_a_host_that_opens_no_more_shells_says_so(connect, keep):
    """By default, sshd allows ten (MaxSessions); they may belong to several runs."""
    first = connect(keep())
    sessions = [first.open_session("") for _ in range(10)]
    for session in sessions:
        session.batch([cmd("true")])
    with pytest.raises(Unreachable, match="refused"):
        connect(keep()).login.run(cmd("true"))
    for session in sessions:
        session.close()
    assert connect(keep()).login.test(cmd("true"))


def test_checking_the_login_makes_a_new_connection(connect_kept, keep):
    """With this, `manage` checks that it has not locked everybody out."""
    host = connect_kept(keep())
    host.login.run(cmd("true"))
    made = []
    real = host._connect
    host._connect = lambda spec: made.append(real(spec)) or made[-1]
    host.prove("root")
    assert not any(isinstance(transport, OpenSSHTransport) for transport in made)
    assert len(made) == 1


def test_a_network_that_dies_during_a_command_is_noticed(proxied):
    host, proxy, _ = proxied
    proxy.freeze()
    started = time.monotonic()
    with pytest.raises(Unreachable, match="lost"):
        host.login.run(cmd("true").within(200))
    assert time.monotonic() - started < 100


def test_ctrl_c_does_not_reach_the_connection(sandbox_dir, runtime):
    """A signal to the whole process group, as a terminal sends it."""
    program = str(Path(sys.executable).with_name("inv"))
    inventory = runtime.inventory(sandbox_dir)
    line = [program, "--inventory", str(inventory), "-H", "sandbox-1"]
    run = subprocess.Popen(
        [*line, "run", "--user", "ops", "--", "sleep", "30"],
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    until(lambda: any(b"-T" in line for line in runtime.processes().values()), "no shell", 30)
    (master,) = kept()
    pid = runtime.pid(master)
    time.sleep(0.5)
    os.killpg(run.pid, signal.SIGINT)
    _, said = run.communicate(timeout=30)
    assert "Traceback" not in said
    assert runtime.pid(master) == pid
    # No -W or -T process stays for long.
    until(lambda: len(runtime.processes()) == 1, "a shell is left", 10)


# -- the folder, the person's own connections, and `hosts` ------------------------------------


def test_a_folder_of_someone_else_is_refused_with_a_hint(connect, keep, runtime):
    runtime.folder.mkdir(mode=0o755)
    with pytest.raises(Refused, match="only you may enter"):
        connect(keep()).login.run(cmd("true"))
    runtime.folder.chmod(0o700)


def test_the_persons_own_connection_is_used_and_never_closed(spec, tmp_path, runtime):
    found = spec("sandbox-1")
    socket = runtime.path / "own"
    config = tmp_path / "config"
    config.write_text(
        f"Host *\n ControlMaster auto\n ControlPath {socket}\n IdentityFile {found.identity_file}\n"
        f" UserKnownHostsFile {tmp_path}/known\n"
    )
    (tmp_path / "known").write_text(f"{found.address} {found.host_keys[0]}\n")
    mine = spec(
        "sandbox-1", ssh_config=str(config), host_keys=(), identity_file="", keep_connection=""
    )
    first = connect_to(mine)
    assert not isinstance(first, OpenSSHTransport)
    first.close()
    subprocess.run(
        ["ssh", "-F", str(config), "-M", "-N", "-f", f"ops@{found.address}"],
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    check = ["ssh", "-S", str(socket), "-O", "check", "x"]
    try:
        for _ in range(2):
            host = Host(mine, connect=connect_to)
            assert host.login.output(cmd("id", "-un")) == "ops"
            assert isinstance(host.transport, OpenSSHTransport)
            host.close()
        assert ssh_master.kept() == []
        assert subprocess.run(check, capture_output=True, check=False).returncode == 0
    finally:
        subprocess.run([*check[:-2], "exit", "x"], capture_output=True, check=False)
