"""An error about a host's key says which key, and blames a file of ours where that is the cause."""

import base64
import subprocess

import paramiko
import pytest

from opstasks.fleet.host_keys import (
    HostKeyChangedError,
    HostKeyRevokedError,
    HostKeyUnknownError,
    trusted_keys,
)
from opstasks.fleet.ssh_config import Destination, settings_for


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """Two host keys, and the fingerprint of the first as ssh-keygen shows it."""
    folder = tmp_path_factory.mktemp("keys")
    made = []
    for name in ("one", "two"):
        path = str(folder / name)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
        made.append(paramiko.Ed25519Key.from_private_key_file(path))
    told = subprocess.run(
        ["ssh-keygen", "-l", "-f", str(folder / "one.pub")], capture_output=True, text=True
    ).stdout
    return *made, told.split()[1]


@pytest.fixture
def trusted(tmp_path):
    """The keys that are trusted for the host h, from lines of ssh_config."""

    def make(text="", name="h", **more):
        (tmp_path / "config").write_text(
            f"UserKnownHostsFile {tmp_path}/known_hosts\nGlobalKnownHostsFile none\n{text}"
        )
        config = str(tmp_path / "config")
        return trusted_keys(settings_for(Destination(name=name, config=config)), **more)

    return make


def line(key):
    return f"{key.get_name()} {base64.b64encode(key.asbytes()).decode()}"


def test_an_unknown_key_is_shown_with_its_fingerprint(trusted, keys):
    one, _, fingerprint = keys
    with pytest.raises(HostKeyUnknownError) as caught:
        trusted().check(one)
    assert str(caught.value) == f"the host key of h is not known: ssh-ed25519 {fingerprint}"
    assert "ask the people who run the host" in caught.value.hint


def test_a_changed_key_names_where_the_old_one_is(trusted, keys, tmp_path):
    one, two, fingerprint = keys
    with pytest.raises(HostKeyChangedError, match="CHANGED") as caught:
        trusted(pins=(line(two),)).check(one)
    assert fingerprint in str(caught.value)
    assert caught.value.hint.endswith("then correct host_keys in hosts.yaml")
    (tmp_path / "known_hosts").write_text(f"[h]:2222 {line(two)}\n")
    with pytest.raises(HostKeyChangedError, match="CHANGED") as caught:
        trusted("Port 2222\n").check(one)
    assert caught.value.hint.endswith("then remove the old key: ssh-keygen -R '[h]:2222'")


def test_a_known_hosts_that_cannot_be_read_is_named(trusted, keys, tmp_path):
    (tmp_path / "known_hosts").mkdir()
    with pytest.raises(HostKeyUnknownError) as caught:
        trusted().check(keys[0])
    assert f"(cannot read {tmp_path}/known_hosts: is a directory)" in str(caught.value)


def test_a_list_of_revoked_keys_that_is_missing_does_not_blame_the_host(trusted, keys, tmp_path):
    with pytest.raises(HostKeyRevokedError, match="cannot read RevokedHostKeys") as caught:
        trusted(f"RevokedHostKeys {tmp_path}/revoked\n").check(keys[0])
    assert caught.value.hint == f"correct {tmp_path}/revoked, or RevokedHostKeys in ssh_config"


def test_a_known_hosts_that_cannot_be_written_does_not_blame_the_host(trusted, keys, tmp_path):
    (tmp_path / "known_hosts").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HostKeyUnknownError, match="cannot be written") as caught:
        trusted("StrictHostKeyChecking accept-new\n").check(keys[0])
    assert caught.value.hint.startswith(f"make {tmp_path}/known_hosts writable")
