"""Which hosts get the sudo password, if each prints the right prompt at any moment."""

import contextlib
import subprocess

import paramiko
import pytest

from opstasks.core.command import Secret, cmd
from opstasks.core.errors import OpsError
from opstasks.fleet import openssh, terminal
from opstasks.fleet.host import Host
from opstasks.fleet.inventory import HostSpec
from opstasks.fleet.local import LocalTransport
from opstasks.fleet.ssh import SSHTransport
from tests.fleet.hostile import HOST_KEY, Asks, Closed, Listener, serve

PIN = f"{HOST_KEY.get_name()} {HOST_KEY.get_base64()}"
WORD = "sesame-canary"


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    (tmp_path / "config").write_text(
        f"IdentitiesOnly yes\nIdentityAgent none\nIdentityFile {path}\n"
    )
    return tmp_path


@pytest.fixture
def listen():
    """Start servers; they end with the test."""
    with contextlib.ExitStack() as stack:

        def start(door):
            return stack.enter_context(contextlib.closing(Listener(serve(door))))

        yield start


@pytest.fixture
def spec(key):
    def make(server, **over):
        given = {"name": "h", "address": "127.0.0.1", "port": server.port, "user": "me"}
        given |= {"ssh_config": str(key / "config"), "host_keys": (PIN,)}
        return HostSpec(**{**given, **over})

    return make


class Person:
    """Types the password for every host that asks."""

    def __init__(self):
        self.asked = []

    def __call__(self, host):
        self.asked.append(host)
        return contextlib.nullcontext(Secret(WORD))


def run_command(host, user):
    with pytest.raises(OpsError):
        host.shell(user).run(cmd("true"))


def use_terminal(host, user):
    terminal.interact(host, ["true"], user or host.transport.current_user())


@pytest.fixture(params=["ssh", "kept", "terminal"])
def transport(request, monkeypatch):
    """How to connect, and what to do there."""
    if request.param == "kept":
        request.getfixturevalue("runtime")
        return openssh.connect, {"keep_connection": "1m"}, run_command
    if request.param == "ssh":
        return SSHTransport, {}, run_command

    def join(channel, *_):
        channel.settimeout(0.5)
        with contextlib.suppress(TimeoutError):
            while channel.recv(4096):
                pass
        return 0

    monkeypatch.setattr(terminal, "_raw", contextlib.nullcontext)
    monkeypatch.setattr(terminal, "_resizes", lambda: contextlib.nullcontext(0))
    monkeypatch.setattr(terminal, "_join", join)

    def use(host, user):
        with contextlib.suppress(OpsError):
            use_terminal(host, user)

    return SSHTransport, {}, use


@pytest.mark.parametrize("moment", ["first", "twice", "ready"])
@pytest.mark.parametrize("user", ["", "opensafely", "root"])
@pytest.mark.parametrize(
    ("sudo", "login"), [("ask", "me"), ("ask", "root"), ("nopasswd", "me"), ("", "me")]
)
def test_a_host_gets_the_password_only_from_a_sudo_that_may_ask(
    listen, spec, transport, sudo, login, user, moment
):
    connect, over, use = transport
    door, person = Asks(moment), Person()
    server = listen(door)
    host = Host(spec(server, sudo=sudo, user=login, **over), connect=connect, passwords=person)
    use(host, user)
    host.close()
    assert door.commands, "the host was asked nothing, so this proves nothing"
    may_ask = (sudo, login) == ("ask", "me") and user and moment != "ready"
    assert door.received.count(WORD.encode()) == len(person.asked) == bool(may_ask)
    assert any(b"sudo" in line for line in door.commands) == (user not in ("", login))


@pytest.mark.parametrize(("sudo", "count"), [("ask", 1), ("nopasswd", 0), ("", 0)])
@pytest.mark.parametrize("user", ["", "root"])
def test_on_this_machine_only_a_sudo_that_may_ask_gets_it(tmp_path, monkeypatch, sudo, count, user):
    script = (
        "#!/bin/bash\n"
        "prompt=$(printf '%s\\n' \"$*\" | grep -o 'ops[0-9a-f]*' | head -1)%password:\n"
        f'for n in 1 2; do printf %s "$prompt" >&2; read -r -t 1 word; echo "$word"; done'
        f" >>{tmp_path}/caught\n"
    )
    (tmp_path / "sudo").write_text(script)
    (tmp_path / "sudo").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(LocalTransport, "current_user", lambda self: "me")
    spec = HostSpec(name="local", sudo=sudo, local=True)
    host = Host(spec, connect=lambda spec: LocalTransport(), passwords=Person())
    with contextlib.suppress(OpsError):
        host.shell(user).run(cmd("true"))
    host.close()
    caught = tmp_path / "caught"
    words = caught.read_text() if caught.exists() else ""
    assert words.count(WORD) == (count if user else 0)


class Passes(Asks):
    """A gateway: forwards connections, and asks for the password on them."""

    def __init__(self):
        super().__init__("first")
        self.targets = []

    def check_channel_direct_tcpip_request(self, chanid, origin, destination):
        self.targets.append(destination)
        return paramiko.OPEN_FAILED_CONNECT_FAILED


def test_no_command_is_run_on_a_gateway(listen, spec):
    door, person = Passes(), Person()
    gateway = spec(listen(door), name="gateway")
    target = spec(listen(Asks("first")))
    host = Host(target, connect=lambda spec: SSHTransport(spec, gateway), passwords=person)
    run_command(host, "root")
    assert door.targets, "the gateway was not used, so this proves nothing"
    assert (door.commands, person.asked, door.received) == ([], [], b"")


class WantsPassword(Closed):
    """Accepts only passwords and answers to questions, and records both."""

    def __init__(self):
        super().__init__()
        self.given = []

    def get_allowed_auths(self, username):
        return "password,keyboard-interactive"

    def check_auth_password(self, username, password):
        self.given.append(password)
        return paramiko.AUTH_SUCCESSFUL

    def check_auth_interactive(self, username, submethods):
        self.given.append(submethods)
        return paramiko.InteractiveQuery("", "sudo password for h: ", ("Password: ", False))

    def check_auth_interactive_response(self, responses):
        self.given.append(responses)
        return paramiko.AUTH_SUCCESSFUL


@pytest.mark.parametrize("keep", ["", "1m"])
def test_a_login_never_answers_a_question(listen, spec, runtime, keep):
    door, person = WantsPassword(), Person()
    made = spec(listen(door), keep_connection=keep)
    host = Host(made, connect=openssh.connect, passwords=person)
    run_command(host, "root")
    assert (door.given, person.asked) == ([], [])
