"""A login that fails blames the right thing: the file of a key, the agent, or the host."""

import ast
import errno
import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from opstasks.core.errors import Refused, Unreachable
from opstasks.fleet import key_login, login, tcp
from opstasks.fleet.agent import HostProof
from opstasks.fleet.key_files import private_key
from opstasks.fleet.key_login import KeyLogin
from opstasks.fleet.login_errors import FailedLogin
from opstasks.fleet.refusals import refusal
from opstasks.fleet.route import Hop
from opstasks.fleet.ssh_config import Destination, settings_for

FLEET = Path(key_login.__file__).parent


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """The settings of a host for lines of ssh_config; there is no agent."""
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)

    def make(text="", **over):
        (tmp_path / "config").write_text(text)
        wanted = {"name": "h.example", "user": "ops", "config": str(tmp_path / "config"), **over}
        return settings_for(Destination(**wanted))

    return make


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files of keys, each with one fault."""
    path = tmp_path_factory.mktemp("keys")
    for name, phrase in (("good", ""), ("locked", "secret")):
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", phrase, "-f", str(path / name)]
        subprocess.run(words, check=True)
    shutil.copy(path / "good", path / "open")
    shutil.copy(path / "good.pub", path / "public")
    (path / "windows").write_bytes((path / "good").read_bytes().replace(b"\n", b"\r\n"))
    (path / "text").write_text("hello\n")
    (path / "empty").touch()
    (path / "folder").mkdir()
    os.mkfifo(path / "pipe")
    for file in path.iterdir():
        file.chmod(0o600 if not file.is_dir() else 0o700)
    (path / "open").chmod(0o644)
    return path


FAULTS = [
    ("missing", "it does not exist", "correct -i, or identity_file in hosts.yaml"),
    ("good/below", "it does not exist", "correct -i"),
    ("open", "its mode is 0644: others may read it", "chmod 600 {path}"),
    ("locked", "it is locked by a passphrase", 'eval "$(ssh-agent)"; ssh-add {path}'),
    ("public", "it is not a private key|ssh does not read it", "give the right file"),
    ("windows", "wrong line ends", "give the right file"),
    ("text", "ssh does not read it", "give the right file"),
    ("empty", "it is empty", "give the right file"),
    ("folder", "it is a directory", "give the right file"),
    ("pipe", "it is a pipe, not a file", "give the right file"),
]


@pytest.mark.parametrize(("name", "reason", "hint"), FAULTS)
def test_a_key_that_cannot_be_used_is_named_with_its_fault(settings, folder, name, reason, hint):
    path = str(folder / name)
    key, problem = private_key(Path(path))
    assert key is None
    error = FailedLogin(settings(), unusable={path: problem}).error()
    assert str(error).startswith(f"cannot use the key {path}; ")
    assert any(text in str(error) for text in reason.split("|"))
    assert error.hint.startswith(hint.format(path=path))


def test_with_an_agent_a_locked_key_is_only_added(settings, folder, monkeypatch):
    monkeypatch.setenv("SSH_AUTH_SOCK", "/run/agent")
    unusable = {"/home/x/a key": private_key(folder / "locked")[1]}
    assert FailedLogin(settings(), unusable=unusable).error().hint == "ssh-add '/home/x/a key'"


def test_a_key_that_the_host_does_not_know_is_not_unlocked(settings):
    found = FailedLogin(settings(), offered=("/locked",), unusable={"/locked": "it is locked"})
    assert str(found.error()) == "ops@h.example:22 did not accept our key (offered: /locked)"


def test_a_key_of_ssh_config_is_corrected_in_its_line(settings, tmp_path):
    found = settings(f"Host *\nIdentityFile {tmp_path}/one\nIdentityFile {tmp_path}/two\n")
    with login.identities(found, HostProof(b"", b"", b"")) as keys:
        assert list(keys.unusable) == [f"{tmp_path}/one", f"{tmp_path}/two"]
    error = FailedLogin(found, unusable={f"{tmp_path}/two": "it does not exist"}).error()
    assert error.hint == f"correct IdentityFile: {tmp_path}/config, line 3"


class SilentWire:
    """The connection of a host that has not been asked anything yet."""

    proof = HostProof(b"", b"", b"")
    said = ""

    def is_active(self):
        return True


def refused(settings, identity=""):
    hop = Hop("tpp", settings, 10.0, identity=identity)
    with pytest.raises(key_login.LoginError) as caught:
        KeyLogin(hop, SilentWire()).authenticate()
    return caught.value


def test_a_missing_key_of_hosts_yaml_or_of_the_command_line_is_named(settings, tmp_path):
    """`ssh -G` leaves it out."""
    path = str(tmp_path / "nokey")
    found = settings("IdentityAgent none\n", identity=path)
    assert str(refused(found, path)) == f"cannot use the key {path}; it does not exist"


def test_the_usual_files_may_be_missing(settings):
    error = refused(settings("IdentityAgent none\n"))
    assert "no key to offer to ops@h.example:22" in str(error)
    assert "does not exist" not in str(error)


def test_an_agent_that_is_gone_is_named(settings, tmp_path, monkeypatch):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "agent"))  # as after a reboot: nobody listens
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
    error = refused(settings(f"IdentityFile {tmp_path}/id_rsa\n"))
    assert "does not exist" in str(error)
    error = refused(settings())
    assert f"the agent: {tmp_path}/agent: connection refused" in str(error)


def test_a_key_that_the_host_refuses_is_named_with_user_and_address(settings):
    error = FailedLogin(settings(port=2222), offered=("/a", "/b", "/c", "/d")).error()
    assert str(error) == (
        "ops@h.example:2222 did not accept our key (offered: /a, /b, /c and 1 more)"
    )
    assert error.hint == "check user and key; try ssh -v -p 2222 ops@h.example"


# -- the network -----------------------------------------------------------------------------


def no_connection(settings):
    with pytest.raises(Unreachable) as caught:
        tcp.connect_tcp(Hop("tpp", settings, 1.0), "where")
    return caught.value


@pytest.fixture
def fails(monkeypatch):
    """Connections and look-ups end with an error."""

    def make(error):
        def fail(*_, **__):
            raise error

        monkeypatch.setattr(tcp.socket.socket, "connect", fail)
        if isinstance(error, socket.gaierror):
            monkeypatch.setattr(tcp.socket, "getaddrinfo", fail)

    return make


@pytest.mark.parametrize(
    ("error", "blamed"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), "no sshd there"),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), "the VPN?"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "the VPN?"),
        (TimeoutError(), "the VPN?"),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure"), "your network up"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "`address`"),
    ],
)
def test_a_connection_that_fails_blames_what_failed(settings, fails, error, blamed):
    found = settings("HostName 127.0.0.1\n")
    fails(error)
    assert blamed in no_connection(found).hint


def test_settings_that_prevent_a_connection_are_named_with_their_line(settings, tmp_path):
    error = no_connection(settings("HostName 127.0.0.1\n\nBindAddress 192.0.2.1\n"))
    assert error.hint == f"check BindAddress: {tmp_path}/config, line 3"
    error = no_connection(settings("HostName 127.0.0.1\nAddressFamily inet6\n"))
    assert error.hint == f"check AddressFamily: {tmp_path}/config, line 2"


# -- accounts --------------------------------------------------------------------------------


def test_only_a_host_without_its_service_account_is_not_set_up():
    said = "sudo: unknown user eve"
    typed = refusal(said, "tpp", "eve", service_user="opensafely")
    assert "manage" not in typed.hint
    assert "--user" in typed.hint
    bare = refusal(said, "tpp", "eve", service_user="eve")
    assert bare.hint == "inv -H tpp manage"
    assert isinstance(bare, Refused)


# -- all of them -----------------------------------------------------------------------------

# These say all that there is to say: a request of the person, and the words of a host's program.
WITHOUT_HINT = {"stopped at your request", "dropped at your request"}
ERRORS = {"Refused", "Unreachable", "NoShell", "TimedOut", "Lost", "Interrupted", "ProgramFailed"}


def calls(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node


def test_every_error_of_a_connection_says_what_to_do_next():
    bare = [
        f"{path.name}: {ast.unparse(call.args[0])}"
        for path in sorted(FLEET.glob("*.py"))
        for call in calls(path)
        if call.func.id in ERRORS and not any(word.arg in ("hint", None) for word in call.keywords)
    ]
    assert len(bare) == len(WITHOUT_HINT), bare
    assert all(any(known in text for known in WITHOUT_HINT) for text in bare), bare
