"""Servers that misbehave: every wait ends with a reason, and endless data is not kept."""

import os
import signal
import socket
import struct
import subprocess
import threading
import time

import paramiko
import pytest
from paramiko.common import (
    AUTH_FAILED,
    AUTH_PARTIALLY_SUCCESSFUL,
    AUTH_SUCCESSFUL,
    cMSG_USERAUTH_BANNER,
)

from opstasks.core.errors import Refused, Unreachable
from opstasks.fleet import agent as agents
from opstasks.fleet import fabric_connection, key_login, link, login, ssh, wire
from opstasks.fleet.agent import HostProof
from opstasks.fleet.inventory import HostSpec
from opstasks.fleet.key_files import public_key
from opstasks.fleet.proxy import Proxy
from opstasks.fleet.ssh import SSHTransport
from opstasks.fleet.ssh_config import Destination, settings_for
from tests.fleet.hostile import GREETING, HOST_KEY, Closed, Door, Listener, serve
from tests.look import until

PIN = f"{HOST_KEY.get_name()} {HOST_KEY.get_base64()}"


@pytest.fixture
def listen():
    """Start servers; they end with the test."""
    made = []

    def start(behave):
        made.append(Listener(behave))
        return made[-1]

    yield start
    for server in made:
        server.close()


@pytest.fixture
def spec(tmp_path, monkeypatch):
    """A host for a port, with a key of its own."""
    monkeypatch.setattr(ssh.random, "uniform", lambda *_: 0.0)
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key")], check=True
    )

    def make(port, text="IdentityAgent none\n", limit_s=10.0):
        config = tmp_path / "config"
        config.write_text(f"IdentitiesOnly yes\nIdentityFile {tmp_path}/key\n{text}")
        return HostSpec(
            name="h",
            address="127.0.0.1",
            port=port,
            user="me",
            ssh_config=str(config),
            host_keys=(PIN,),
            connect_timeout_s=limit_s,
        )

    return make


def refused(spec):
    with pytest.raises(Unreachable) as caught:
        SSHTransport(spec).close()
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 1000
    return caught.value


# -- before the greeting -----------------------------------------------------------------------


def test_words_before_the_greeting_are_shown(listen, spec):
    server = listen(lambda sock: sock.sendall(b"Not allowed at this time\r\n"))
    error = refused(spec(server.port))
    assert error.message.endswith("closed the connection: Not allowed at this time")
    assert server.connections == 1  # it said why: another try is of no use


@pytest.mark.parametrize("words", [b"", b"Exceeded MaxStartups\r\n"])
def test_a_server_that_is_too_busy_is_tried_again(listen, spec, words):
    server = listen(lambda sock: sock.sendall(words))
    assert "closed the connection" in refused(spec(server.port)).message
    assert server.connections == ssh.CONNECT_TRIES


def test_a_server_that_closes_after_its_greeting_is_not_tried_again(listen, spec):
    server = listen(lambda sock: sock.sendall(GREETING))
    assert "closed the connection" in refused(spec(server.port)).message
    assert server.connections == 1


def endless(sock, data):
    while True:
        sock.sendall(data)


@pytest.mark.parametrize("data", [b"x" * 4096, b"line\r\n" * 1000, b"\xff\n" * 1000])
def test_endless_text_before_the_greeting_is_not_read_to_its_end(listen, spec, data):
    server = listen(lambda sock: endless(sock, data))
    assert "text without end" in refused(spec(server.port, limit_s=60)).message


def trickle(sock, data):
    for byte in data:
        sock.sendall(bytes([byte]))
        time.sleep(0.2)


@pytest.mark.parametrize("data", [b"x" * 1000, b"\n" * 1000])
def test_a_trickle_of_bytes_ends_with_the_time_limit(listen, spec, data):
    server = listen(lambda sock: trickle(sock, data))
    assert "no greeting from" in refused(spec(server.port, limit_s=1)).message


def test_another_protocol_is_named(listen, spec):
    server = listen(lambda sock: sock.sendall(b"SSH-1.5-old\r\n" + b"x" * 100))
    assert "Incompatible version: SSH-1.5-old" in refused(spec(server.port)).message


# -- the key exchange --------------------------------------------------------------------------


def test_a_key_exchange_that_never_ends_has_a_time_limit(listen, spec):
    server = listen(lambda sock: (sock.sendall(GREETING), time.sleep(30)))
    assert "no key exchange from" in refused(spec(server.port, limit_s=1)).message


def test_a_packet_that_openssh_would_refuse_is_not_waited_for(listen, spec):
    server = listen(
        lambda sock: endless(sock, GREETING + struct.pack(">I", 0x7FFFFFF4) + b"x" * 4000)
    )
    assert "too long" in refused(spec(server.port)).message


class SignsWithSHA1(paramiko.RSAKey):
    """Negotiates rsa-sha2-512, and signs with ssh-rsa."""

    def sign_ssh_data(self, data, algorithm=None):
        message = paramiko.Message(super().sign_ssh_data(data, algorithm).asbytes())
        message.get_string()
        weak = paramiko.Message()
        weak.add_string("ssh-rsa")
        weak.add_string(message.get_string())
        return weak


def test_a_signature_of_another_algorithm_is_refused(listen, spec, monkeypatch):
    monkeypatch.setattr(paramiko.RSAKey, "verify_ssh_sig", lambda *_: True)
    server = listen(serve(Door(), SignsWithSHA1(key=HOST_KEY.key)))
    assert "is not the rsa-sha2-512 key" in refused(spec(server.port)).message


def test_a_host_key_that_changes_in_the_session_ends_it(listen, spec):
    door = Door()
    server = listen(serve(door))
    transport = SSHTransport(spec(server.port))
    door.transport.server_key_dict = {}
    door.transport.add_server_key(paramiko.RSAKey.generate(2048))
    door.transport._send_kex_init()
    until(lambda: not transport.is_alive(), "the session goes on", 20)
    assert "CHANGED in the middle" in transport.lost_because()
    transport.close()


def test_a_key_exchange_in_the_session_with_the_same_key_is_fine(listen, spec):
    door = Door()
    server = listen(serve(door))
    transport = SSHTransport(spec(server.port))
    door.transport.renegotiate_keys()
    assert transport.is_alive()
    assert transport._links[-1].wire.agreed_on_strict_kex
    transport.close()


def test_host_certificates_are_not_requested(listen, spec):
    server = listen(serve(Door()))
    transport = SSHTransport(spec(server.port))
    assert not [name for name in transport._links[-1].wire.preferred_keys if "cert" in name]
    transport.close()


# -- the login ---------------------------------------------------------------------------------


def reset(sock):
    """Close with a reset, as the system does when data was not read."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class Resets(Closed):
    """Resets the connection when it is offered a key."""

    def check_auth_publickey(self, username, key):
        reset(self.transport.sock)
        return AUTH_FAILED


def test_a_reset_during_the_login_is_not_tried_again(listen, spec):
    server = listen(serve(Resets()))
    error = refused(spec(server.port))
    assert "closed the connection during the login" in error.message
    assert server.connections == 1


class Silent(Closed):
    """Never answers to a login."""

    def check_auth_publickey(self, username, key):
        super().check_auth_publickey(username, key)
        time.sleep(20)
        return AUTH_FAILED


def test_a_login_without_an_answer_ends_with_the_first_key(listen, spec, monkeypatch, tmp_path):
    monkeypatch.setattr(link, "AUTH_TIMEOUT_S", 1)
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "two")], check=True
    )
    door = Silent()
    server = listen(serve(door))
    found = refused(spec(server.port, f"IdentityAgent none\nIdentityFile {tmp_path}/two\n"))
    assert "no answer to the login from" in found.message
    assert len(door.offered) == 1
    assert server.connections == 1


def test_all_keys_together_have_a_time_limit(listen, spec, monkeypatch):
    monkeypatch.setattr(key_login, "LOGIN_TIMEOUT_S", -1)
    server = listen(serve(Closed()))
    assert "no answer to the login from" in refused(spec(server.port)).message


def test_a_connection_that_ends_before_the_login_is_noticed_for_rsa_keys(listen, spec, tmp_path):
    (tmp_path / "rsa").write_text("")
    HOST_KEY.write_private_key_file(str(tmp_path / "rsa"))
    os.chmod(tmp_path / "rsa", 0o600)

    def made(sock):
        transport = paramiko.Transport(sock)
        transport._handler_table = {
            **transport._handler_table,
            paramiko.common.MSG_SERVICE_REQUEST: lambda _: reset(transport.sock),
        }
        return transport

    server = listen(serve(Door(), made=made))
    text = f"IdentityAgent none\nIdentityFile {tmp_path}/rsa\n"
    config = spec(server.port, text)
    (tmp_path / "key").unlink()
    (tmp_path / "key.pub").unlink()
    started = threading.Event()
    error = []

    def run():
        started.set()
        error.append(refused(config))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(15)
    assert error, "it waits for an answer on a connection that was closed"


class Talks(Closed):
    """Sends a great deal of text before it refuses."""

    def check_auth_publickey(self, username, key):
        message = paramiko.Message()
        message.add_byte(cMSG_USERAUTH_BANNER)
        message.add_string(b"\x1b[2Jcall\n" + b"x" * 20_000)
        message.add_string("en")
        for _ in range(50):
            self.transport._send_message(message)
        return AUTH_FAILED


def test_endless_banners_are_not_kept(listen, spec, monkeypatch):
    kept = []
    real = wire.Wire.close

    def close(self):
        kept.append(sum(map(len, self.banners)))
        real(self)

    monkeypatch.setattr(wire.Wire, "close", close)
    server = listen(serve(Talks()))
    assert "did not accept our key" in refused(spec(server.port)).message
    assert max(kept) <= 4096


class WantsTwo(Door):
    """AuthenticationMethods publickey,publickey."""

    def check_auth_publickey(self, username, key):
        self.offered.append(key.asbytes())
        return AUTH_SUCCESSFUL if len(set(self.offered)) == 2 else AUTH_PARTIALLY_SUCCESSFUL


def test_a_host_that_wants_two_keys_gets_two(listen, spec, tmp_path):
    paramiko.ECDSAKey.generate().write_private_key_file(str(tmp_path / "two"))
    server = listen(serve(WantsTwo()))
    text = f"IdentityAgent none\nIdentityFile {tmp_path}/two\n"
    transport = SSHTransport(spec(server.port, text))
    assert transport.is_alive()
    transport.close()


def test_fabrics_own_files_change_nothing(listen, spec, tmp_path, monkeypatch):
    (tmp_path / ".fabric.yaml").write_text(f"gateway: touch {tmp_path}/ran\nforward_agent: true\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    fabric_connection._config.cache_clear()
    server = listen(serve(Door()))
    transport = SSHTransport(spec(server.port))
    assert not transport.connection.gateway
    assert not transport.connection.forward_agent
    transport.close()
    fabric_connection._config.cache_clear()


# -- after the login ---------------------------------------------------------------------------


class NoCommands(Door):
    """Lets people in, and runs nothing."""

    def check_channel_exec_request(self, channel, command):
        return False


def test_a_refused_command_is_noticed_at_once(listen, spec):
    server = listen(serve(NoCommands()))
    transport = SSHTransport(spec(server.port))
    process = transport.start("true")
    assert process.read(20) == (b"", b"", True)
    transport.close()


class NoChannels(Door):
    """Never answers to a request for a channel."""

    def check_channel_request(self, kind, chanid):
        time.sleep(20)
        return super().check_channel_request(kind, chanid)


def test_a_channel_that_is_never_opened_has_a_time_limit(listen, spec):
    server = listen(serve(NoChannels()))
    transport = SSHTransport(spec(server.port, limit_s=2))
    with pytest.raises(Unreachable, match="opens no session"):
        transport.start("true")
    transport.close()


def test_words_of_a_server_never_fill_the_screen(listen, spec, monkeypatch):
    def fail(*_, **__):
        raise paramiko.ChannelException(2, "no\n" * 5000)

    server = listen(serve(Door()))
    transport = SSHTransport(spec(server.port))
    monkeypatch.setattr(wire.Wire, "open_channel", fail)
    for attempt in (lambda: transport.start("true"), lambda: transport.dial("a", 1, 1)):
        with pytest.raises(Unreachable) as caught:
            attempt()
        assert "\n" not in caught.value.message
        assert len(caught.value.message) < 300
    transport.close()


@pytest.fixture(params=[signal.SIG_DFL, signal.SIG_IGN], ids=["usual", "nohup"])
def hangup(request):
    """What SIGHUP does to the programs that are started: under `nohup`, nothing."""
    before = signal.signal(signal.SIGHUP, request.param)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("where", ["identities", "trusted_keys"])
def test_ctrl_c_while_connecting_leaves_nothing(listen, spec, monkeypatch, hangup, where):
    def interrupt(*_):
        raise KeyboardInterrupt

    door = Door()
    server = listen(serve(door))
    monkeypatch.setattr(login if where == "identities" else link, where, interrupt)
    proxies = []

    class Seen(Proxy):
        def __init__(self, command):
            super().__init__(command)
            proxies.append(self)

    monkeypatch.setattr(link, "Proxy", Seen)
    relay = f"exec 3<>/dev/tcp/127.0.0.1/{server.port}; cat <&3 & cat >&3"
    config = spec(server.port, f"IdentityAgent none\nProxyCommand bash -c '{relay}'\n")
    with pytest.raises(KeyboardInterrupt):
        SSHTransport(config)
    until(lambda: not door.transport or not door.transport.is_active(), "it stays open", 20)
    until(lambda: not [t for t in threading.enumerate() if isinstance(t, wire.Wire)], "left", 20)
    assert [proxy._process.returncode is None for proxy in proxies] == [False]


# -- the agent ---------------------------------------------------------------------------------


@pytest.fixture
def agent(tmp_path):
    """An agent that behaves as a function says; returns the line for ssh_config."""

    def start(behave):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(tmp_path / "agent"))
        listener.listen(16)

        def serve():
            while True:
                try:
                    sock, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=behave, args=(sock,), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        return f"IdentityAgent {tmp_path}/agent\n"

    return start


def strings(*words):
    return b"".join(struct.pack(">I", len(word)) + word for word in words)


def lists(path, comment, then):
    """An agent that has the key of a file, with a comment."""

    def behave(sock):
        blob = public_key(path).blob
        answer = b"\x0c" + struct.pack(">I", 1) + strings(blob, comment)
        sock.recv(10_000)
        sock.sendall(strings(b"\x05"))  # it need not know which host asks
        sock.recv(100)
        sock.sendall(strings(answer))
        sock.recv(10_000)
        then(sock)

    return behave


@pytest.mark.parametrize(
    ("then", "reason"),
    [
        (lambda sock: time.sleep(10), "no answer within 1 s"),
        (lambda sock: sock.close(), "closed the connection"),
        (lambda sock: sock.sendall(strings(b"\x05")), "it refuses"),
    ],
)
def test_the_error_names_an_agent_that_does_not_sign(
    listen, spec, agent, tmp_path, monkeypatch, then, reason
):
    monkeypatch.setattr(agents, "AGENT_TIMEOUT_S", 1.0)
    server = listen(serve(Closed()))
    text = agent(lists(tmp_path / "key", b"jos\xe9", then))
    error = refused(spec(server.port, text))
    assert "the agent does not sign: jos\ufffd (agent)" in error.message
    assert reason in error.message
    assert server.connections == 1


def test_a_key_of_the_agent_that_is_not_understood_does_not_hide_the_others(
    listen, spec, agent, tmp_path
):
    def behave(sock):
        blob = public_key(tmp_path / "key").blob
        bad = strings(b"ssh-rsa", b"\x01", b"\x00")
        answer = b"\x0c" + struct.pack(">I", 2) + strings(bad, b"bad") + strings(blob, b"good")
        sock.recv(10_000)
        sock.sendall(strings(b"\x05"))
        sock.recv(100)
        sock.sendall(strings(answer))

    config = spec(1, agent(behave))
    settings = settings_for(Destination(name="h", config=config.ssh_config))
    with login.identities(settings, HostProof(b"", b"", b"")) as found:
        assert [offer.name for offer in found.offers] == ["good (agent)"]


def test_an_agent_that_never_lists_its_keys_is_named(listen, spec, agent, tmp_path, monkeypatch):
    monkeypatch.setattr(agents, "AGENT_TIMEOUT_S", 1.0)
    server = listen(serve(Closed()))
    text = agent(lambda sock: time.sleep(10))
    config = spec(server.port, text)
    (tmp_path / "key").unlink()
    assert "the agent: no answer within 1 s" in refused(config).message


# -- nothing is left behind --------------------------------------------------------------------


def test_failures_leave_no_thread_and_no_descriptor(listen, spec):
    def ours():
        return [thread for thread in threading.enumerate() if isinstance(thread, wire.Wire)]

    def descriptors():
        return len(os.listdir("/proc/self/fd"))

    closed = listen(lambda sock: None)
    refused(spec(closed.port))
    before = descriptors()
    for server in (
        listen(lambda sock: sock.sendall(GREETING)),
        listen(serve(Closed())),
        listen(serve(Door(), paramiko.RSAKey.generate(2048))),
    ):
        refused(spec(server.port))
        server.close()
    config = spec(closed.port, "IdentityAgent none\nKnownHostsCommand /none\n")
    errors = []  # kept, with their tracebacks: nothing may depend on the garbage collector
    for _ in range(5):
        with pytest.raises(Refused) as caught:
            SSHTransport(config)
        errors.append(caught.value)
    until(lambda: not ours(), "a thread is left", 20)
    until(lambda: descriptors() <= before, "a descriptor is left", 20)
