"""Which host keys are accepted: the same as OpenSSH, or fewer."""

import errno
import os
import subprocess
from pathlib import Path

import paramiko
import pytest

from opstasks.core.errors import Refused
from opstasks.fleet import key_files, known_hosts, login
from opstasks.fleet.agent import HostProof
from opstasks.fleet.host_keys import (
    HostKeyChangedError,
    HostKeyError,
    HostKeyRevokedError,
    HostKeyUnknownError,
    trusted_keys,
)
from opstasks.fleet.key_files import OddFileError, read_file
from opstasks.fleet.ssh_config import Destination, settings_for

ONE, TWO = paramiko.ECDSAKey.generate(), paramiko.ECDSAKey.generate()


def line(key):
    return f"{key.get_name()} {key.get_base64()}"


@pytest.fixture
def known(tmp_path):
    """The keys that are trusted, from an ssh_config and a known_hosts."""

    def make(text="", lines="", name="h", **more):
        if lines is not None:
            (tmp_path / "known_hosts").write_bytes(lines.encode())
        (tmp_path / "config").write_text(
            f"UserKnownHostsFile {tmp_path}/known_hosts\nGlobalKnownHostsFile none\n{text}"
        )
        config = str(tmp_path / "config")
        return trusted_keys(settings_for(Destination(name=name, config=config)), **more)

    return make


def test_a_key_of_the_plain_name_is_accepted_at_another_port(known):
    trusted = known("Port 2222\n", f"h {line(ONE)}\n")
    trusted.check(ONE)
    with pytest.raises(HostKeyUnknownError):  # not "changed": nothing is known for this port
        trusted.check(TWO)


def test_a_new_key_at_another_port_is_learnt(known, tmp_path):
    known("Port 2222\nStrictHostKeyChecking accept-new\n", f"h {line(ONE)}\n").check(TWO)
    assert f"[h]:2222 {line(TWO)}" in (tmp_path / "known_hosts").read_text()


def test_a_carriage_return_does_not_end_a_comment(known):
    with pytest.raises(HostKeyUnknownError):
        known("", f"# old\rh {line(ONE)}\n").check(ONE)


NEW = "CheckHostIP yes\nStrictHostKeyChecking accept-new\n"


@pytest.mark.parametrize(
    ("text", "lines", "address", "refused"),
    [
        (NEW, f"192.0.2.1 {line(TWO)}\n", "192.0.2.1", True),
        (NEW, f"192.0.2.1 {line(TWO)}\nh {line(ONE)}\n", "192.0.2.1", True),
        (NEW, f"192.0.2.1 {line(ONE)}\n", "192.0.2.1", False),
        (NEW, f"127.0.0.9 {line(TWO)}\nh {line(ONE)}\n", "127.0.0.9", False),
        ("CheckHostIP no\n", f"192.0.2.1 {line(TWO)}\nh {line(ONE)}\n", "192.0.2.1", False),
    ],
)
def test_another_key_of_the_address_is_refused_and_not_learnt(
    known, tmp_path, text, lines, address, refused
):
    trusted = known(text, lines, address=address)
    if not refused:
        trusted.check(ONE)
        return
    with pytest.raises(HostKeyChangedError):
        trusted.check(ONE)
    assert (tmp_path / "known_hosts").read_text() == lines


def test_a_name_that_means_something_else_in_known_hosts_is_never_learnt(known, tmp_path):
    with pytest.raises(HostKeyUnknownError):
        known("HostName *\nStrictHostKeyChecking accept-new\n").check(ONE)
    assert (tmp_path / "known_hosts").read_text() == ""


def test_a_key_that_cannot_be_written_is_not_accepted(known, tmp_path):
    (tmp_path / "known_hosts").mkdir()
    with pytest.raises(HostKeyUnknownError, match="known_hosts cannot be written"):
        known("StrictHostKeyChecking accept-new\n", None).check(ONE)


# -- RevokedHostKeys ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        (f"{line(TWO)}\n", False),
        (f"# why\n\n  {line(TWO)} me\n", False),
        (f"{line(ONE)}\n", True),
        (f"h {line(TWO)}\n", True),
        (f"@revoked h {line(TWO)}\n", True),
        ("nonsense\n", True),
        ("", False),
    ],
)
def test_every_key_is_refused_if_openssh_cannot_read_the_revoked_keys(
    known, tmp_path, text, refused
):
    (tmp_path / "revoked").write_text(text)
    trusted = known(f"RevokedHostKeys {tmp_path}/revoked\n", f"h {line(ONE)}\n")
    if refused:
        with pytest.raises(HostKeyRevokedError):
            trusted.check(ONE)
    else:
        trusted.check(ONE)


def test_a_missing_revocation_list_or_ssh_keygen_refuses_the_key(known, tmp_path, monkeypatch):
    text, lines = f"RevokedHostKeys {tmp_path}/revoked\n", f"h {line(ONE)}\n"
    with pytest.raises(HostKeyRevokedError, match="cannot read"):
        known(text, lines).check(ONE)
    (tmp_path / "two.pub").write_text(line(TWO))
    command = ["ssh-keygen", "-q", "-k", "-f", f"{tmp_path}/revoked", f"{tmp_path}/two.pub"]
    subprocess.run(command, check=True)
    known(text, lines).check(ONE)
    trusted = known(text, lines)
    monkeypatch.setenv("PATH", "/none")
    with pytest.raises(HostKeyRevokedError, match="cannot read"):
        trusted.check(ONE)


def test_several_lists_are_all_read(known, tmp_path):
    """OpenSSH 10 allows several, which `ssh -G` prints in one line."""
    for name, key in (("a", TWO), ("b", ONE)):
        (tmp_path / name).write_text(line(key))
    trusted = known(f'RevokedHostKeys "{tmp_path}/a {tmp_path}/b"\n', f"h {line(ONE)}\n")
    assert trusted.revoked_lists == (tmp_path / "a", tmp_path / "b")
    with pytest.raises(HostKeyRevokedError):
        trusted.check(ONE)


# -- pipes and endless files ------------------------------------------------------------------


def test_a_pipe_is_never_waited_for(known, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(HostKeyError, match="pipe"):
        known(f"RevokedHostKeys {pipe}\n", f"h {line(ONE)}\n").check(ONE)
    assert key_files.public_key(pipe) is None
    os.chmod(pipe, 0o600)
    assert key_files.private_key(pipe) == (None, "it is a pipe, not a file")
    (tmp_path / "known_hosts").unlink()
    os.mkfifo(tmp_path / "known_hosts")
    with pytest.raises(Refused, match="pipe"):
        known("", None)


def test_a_file_without_an_end_is_not_read():
    with pytest.raises(OddFileError, match="longer than 1 MiB"):
        read_file(Path("/dev/zero"), 1 << 20)
    assert read_file(Path("/dev/null"), 10) == b""


def test_a_key_file_that_was_corrected_is_read_again(tmp_path):
    path = tmp_path / "key"
    ONE.write_private_key_file(str(path))
    text = path.read_text()
    path.write_text("x" * len(text))
    os.utime(path, (1, 1))
    os.chmod(path, 0o600)
    assert key_files.private_key(path)[0] is None
    path.write_text(text)
    os.utime(path, (1, 1))
    assert key_files.private_key(path)[0] is not None


def test_a_public_key_in_place_of_a_private_one_is_named(tmp_path):
    (tmp_path / "key.pub").write_text(line(ONE))
    os.chmod(tmp_path / "key.pub", 0o644)
    (tmp_path / "config").write_text(f"IdentityAgent none\nIdentityFile {tmp_path}/key.pub\n")
    settings = settings_for(Destination(name="h", config=str(tmp_path / "config")))
    with login.identities(settings, HostProof(b"", b"", b"")) as found:
        assert "the agent does not have" in found.unusable[f"{tmp_path}/key.pub"]


def test_a_host_is_not_new_because_its_known_hosts_cannot_be_opened(known, monkeypatch):
    def fail(*_):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(known_hosts, "read_file", fail)
    with pytest.raises(Refused, match="Too many open files"):
        known("StrictHostKeyChecking accept-new\n", f"h {line(ONE)}\n")


def test_files_that_openssh_ignores_are_ignored(known, tmp_path):
    (tmp_path / "known_hosts").mkdir()
    with pytest.raises(HostKeyUnknownError):
        known("", None).check(ONE)
