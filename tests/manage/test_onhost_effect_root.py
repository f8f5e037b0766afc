"""Reading what else makes root run something: variables of systemd, and who may command docker."""

import grp
import os
import pwd
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.manage.onhost import effect_docker, effect_root
from opstasks.onhost import plain_text
from tests.manage.onhost_help import as_root

# -- variables -----------------------------------------------------------------------------------


def test_only_the_names_of_unusual_variables_are_told():
    text = "LANG=C\nPATH=/bin\nLC_ALL=C\nTOKEN=s3cret\nLD_PRELOAD=/x\n"
    assert effect_root.variables(text) == [
        "systemd sets TOKEN for every service",
        "systemd sets LD_PRELOAD for every service",
    ]


@pytest.mark.parametrize(
    ("path", "foreign"),
    [
        ("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", ""),
        ("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/snap/bin", ""),
        ("/tmp/evil:/usr/bin", "/tmp/evil"),
        ("/usr/bin:/usr/bin/../../tmp", "/usr/bin/../../tmp"),
        ("/usr/bin:", "."),
        ("bin:/usr/bin:/x", "bin, /x"),
        ("$'/a b:/usr/bin'", "$'/a b, /usr/bin'"),
    ],
)
def test_a_path_of_systemd_has_only_folders_of_root(path, foreign):
    expected = [f"systemd sets PATH with {foreign} for every service"] if foreign else []
    assert effect_root.variables(f"LANG=C\nPATH={path}\n") == expected


@given(st.text())
def test_any_output_of_systemctl_is_read(text):
    effect_root.variables(text)


def test_libraries_for_every_program_are_found_through_a_link(tmp_path):
    path = tmp_path / "ld.so.preload"
    assert effect_root.preloaded(str(path)) == []
    path.symlink_to("real")
    (tmp_path / "real").write_text("/x.so\n/y.so\n")
    assert effect_root.preloaded(str(path)) == [f"{path} loads /x.so", f"{path} loads /y.so"]
    (tmp_path / "real").unlink()
    (tmp_path / "real").mkdir()
    assert effect_root.preloaded(str(path)) == [f"{path} cannot be read: every program reads it"]


# -- where docker listens ------------------------------------------------------------------------

# Addresses as dockerd takes them, and whether they are open to the network or to every account.
ADDRESSES = [
    ("fd://", False),
    ("FD://", False),
    ("unix:///run/docker.sock", False),
    ("unix://", False),
    ("", False),
    ("tcp://0.0.0.0:2375", True),
    ("TCP://1.2.3.4", True),
    ("0.0.0.0:2375", True),
    (":2375", True),
    ("[::]:2375", True),
    ("unix://@docker", True),
    ("vsock://1:2", True),
]
# The ways to give dockerd an address.
WAYS = [
    lambda address: ["-H", address],
    lambda address: [f"-H={address}"],
    lambda address: [f"-DH{address}"],
    lambda address: ["--host", address],
    lambda address: [f"--host={address}"],
    lambda address: ["--debug", "-D", "--host", address, "-v"],
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("address", "is_open"), ADDRESSES)
def test_an_address_that_is_open_to_the_network_is_found(address, is_open, way):
    words = ["/usr/bin/dockerd", *way(address), ""]
    found = effect_docker.listeners(effect_docker.addresses_of(words))
    expected = [f"docker listens at {address}: who reaches it is root"] if is_open else []
    assert found == expected


@pytest.mark.parametrize(("address", "is_open"), ADDRESSES)
def test_an_address_of_the_configuration_is_found(address, is_open):
    for text in (f'{{"hosts": ["fd://", "{address}"]}}', f'\ufeff{{"HOSTS": "{address}"}}'):
        assert bool(effect_docker.listeners(effect_docker.configured(text))) is is_open


@pytest.mark.parametrize(
    "words",
    [
        ["dockerd", "-H", "fd://", "--containerd=/run/containerd/containerd.sock", ""],
        ["dockerd", "--bridge", "docker0", "--hostname-x", "tcp", "-bH"],
        ["dockerd"],
    ],
)
def test_other_words_of_docker_are_no_address(words):
    assert effect_docker.listeners(effect_docker.addresses_of(words)) == []


@given(st.one_of(st.text(), st.sampled_from(["[]", "1", '{"hosts": [1]}', "[" * 9999])))
def test_any_configuration_of_docker_is_read(text):
    for line in effect_docker.listeners(effect_docker.configured(text) or []):
        line.encode()


def test_half_a_letter_in_a_configuration_of_docker_is_no_part_of_an_answer():
    (line,) = effect_docker.listeners(effect_docker.configured('{"hosts": ["\\ud800:1"]}'))
    assert line == "docker listens at ?:1: who reaches it is root"


@pytest.fixture
def docker(tmp_path, monkeypatch):
    """A host with a configuration of docker; returns what is found for a command line."""
    monkeypatch.setattr(effect_docker, "DAEMON", str(tmp_path / "daemon.json"))
    monkeypatch.setattr(effect_docker, "SOCKETS", (str(tmp_path / "docker.sock"),))

    def ways(*words):
        monkeypatch.setattr(effect_docker, "daemons", lambda: [["/usr/sbin/dockerd", *words, ""]])
        return effect_docker.docker_ways()

    return ways


def test_the_configuration_that_docker_was_started_with_counts(docker, tmp_path):
    assert docker() == []
    path = tmp_path / "other.json"
    path.write_text('{"hosts": [":2375"]}')
    expected = ["docker listens at :2375: who reaches it is root"]
    assert docker(f"--config-file={path}") == docker("--config-file", str(path)) == expected
    (tmp_path / "daemon.json").symlink_to(path)
    assert docker() == expected


@pytest.mark.parametrize("text", ["{", "[]", '{"hosts": []}' + " " * plain_text.MOST_BYTES])
def test_a_configuration_of_docker_that_cannot_be_read_is_named(docker, tmp_path, text):
    path = tmp_path / "daemon.json"
    path.write_text(text)
    assert docker() == [f"{path} cannot be read: where docker listens is not known"]
    path.write_text(" \n")
    assert docker() == []


# -- sockets -------------------------------------------------------------------------------------

MY_GROUP = grp.getgrgid(os.getegid()).gr_name


@pytest.fixture
def listening(tmp_path, monkeypatch):
    """A socket that is as docker makes it, for the tests' own account."""
    monkeypatch.setattr(effect_docker, "usual_groups", lambda: {os.getegid()})
    path = tmp_path / "docker.sock"
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    path.chmod(0o660)
    yield path
    server.close()


@as_root
def test_the_usual_socket_is_no_finding(listening):
    assert effect_docker.open_sockets([str(listening), "/no/such", "/a\0b"]) == []


@as_root
def test_a_socket_that_is_open_to_others_is_found(listening, monkeypatch):
    listening.chmod(0o666)
    (found,) = effect_docker.open_sockets([str(listening), f"{listening.parent}/./docker.sock"])
    assert found == f"{listening} has mode 0666: every account can be root"
    listening.chmod(0o660)
    os.chown(listening, 65534, -1)
    (found,) = effect_docker.open_sockets([str(listening)])
    assert found == f"{listening} belongs to {pwd.getpwuid(65534).pw_name}, who can be root"
    os.chown(listening, 0, -1)
    monkeypatch.setattr(effect_docker, "usual_groups", lambda: {1})
    (found,) = effect_docker.open_sockets([str(listening)])
    assert found == f"{listening} belongs to the group {MY_GROUP}: its members can be root"
    listening.chmod(0o600)
    assert effect_docker.open_sockets([str(listening)]) == []


def test_rights_beyond_the_mode_are_found(listening, monkeypatch):
    # As setfacl writes them; a test cannot rely on setfacl or on the file system.
    rights = {"system.posix_acl_access": b"x"}
    monkeypatch.setattr(effect_docker.os, "getxattr", lambda path, name: rights[name])
    found = effect_docker.open_sockets([str(listening)])
    assert f"{listening} has an ACL: who is in it can be root" in found


@as_root
@pytest.mark.parametrize("way", WAYS)
def test_each_socket_that_docker_is_told_is_looked_at(docker, listening, way):
    other = listening.with_name("d.sock")
    os.link(listening, other)
    other.chmod(0o662)
    listening.unlink()
    assert docker(*way(f"unix://{other}")) == [f"{other} has mode 0662: every account can be root"]


def test_the_groups_of_docker_are_known_by_their_ids(monkeypatch):
    groups = {"root": 0, "docker": 104}
    monkeypatch.setattr(
        effect_docker.grp,
        "getgrnam",
        lambda name: grp.struct_group((name, "x", groups[name], [])),
    )
    assert effect_docker.usual_groups() == {0, 104}
    del groups["docker"]
    assert effect_docker.usual_groups() == {0}
