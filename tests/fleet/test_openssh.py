"""The files for a kept connection, when two connections are the same, and their folder."""

import os
import socket
import stat
import subprocess

import pytest

from opstasks.core.errors import Refused
from opstasks.fleet import ssh_master
from opstasks.fleet.inventory import HostSpec
from opstasks.fleet.openssh import OpenSSHProcess
from opstasks.fleet.route import route
from opstasks.fleet.ssh_master import CannotSayError, Master, own_master

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINxiwIpOoWGGhWj6F5dmhXigDbBM599H5fLxFarLgdj3"
OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0pAIQdcxs8h1qsUVZQx3ic0B1D6yHU5Y2hBDNnlm2b"


@pytest.fixture
def config(tmp_path):
    """Write the person's ssh_config and known_hosts; returns the path of the first."""

    def write(text="", known=""):
        (tmp_path / "known").write_text(known)
        path = tmp_path / "config"
        path.write_text(f"{text}\nHost *\n  UserKnownHostsFile {tmp_path}/known\n")
        return str(path)

    return write


@pytest.fixture
def files(config):
    """The files for a host: `files("User bob", port=23)`."""

    def make(text="", known="", through=None, **settings):
        chosen = {"address": "tpp.example", "ssh_config": config(text, known), **settings}
        return ssh_master._files(route(HostSpec(name="tpp", **chosen), through), "tpp")

    return make


def test_only_trusted_keys_are_accepted(files):
    assert files(known=f"tpp.example {KEY}\nother {OTHER}\n")[1] == f"hop0 {KEY}\n"
    pinned = files(known=f"tpp.example {OTHER}\n", host_keys=(KEY,))
    assert pinned[1] == f"hop0 {KEY}\n"


def test_a_key_of_the_plain_name_is_accepted_at_another_port(files):
    assert files("Port 2222", known=f"tpp.example {KEY}\n")[1] == f"hop0 {KEY}\n"


def test_the_shortest_rsa_key_is_passed_on(files):
    assert "requiredrsasize 3072" in files("RequiredRSASize 3072")[0]


def test_revoked_keys_stay_revoked_beside_pins(files):
    known = files(known=f"@revoked * {OTHER}\n", host_keys=(KEY,))[1]
    assert known.splitlines() == [f"hop0 {KEY}", f"@revoked hop0 {OTHER}"]


@pytest.mark.parametrize(
    "text",
    [
        "StrictHostKeyChecking no",
        "ForwardAgent yes",
        "LocalForward 1 x:1",
        "PermitLocalCommand yes\nLocalCommand touch /tmp/x",
        "RemoteCommand reboot",
        "ControlMaster no",
        "UpdateHostKeys yes",
    ],
)
def test_the_persons_settings_cannot_loosen_ours(files, text, tmp_path):
    config = files(text)[0].replace(ssh_master._PLACE, "/x")
    path = tmp_path / "made"
    path.write_text(config)
    done = subprocess.run(
        ["ssh", "-F", str(path), "-G", "hop0"], capture_output=True, text=True, check=True
    )
    settings = dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)
    assert settings["stricthostkeychecking"] in ("yes", "true")
    assert settings["userknownhostsfile"] == "/x"
    assert settings["globalknownhostsfile"] == "none"
    assert settings["forwardagent"] == "no"
    assert settings["permitlocalcommand"] == "no"
    assert settings["updatehostkeys"] in ("no", "false")
    assert settings["hostname"] == "tpp.example"
    for keyword in ("localforward", "localcommand", "remotecommand"):
        assert keyword not in settings


def test_gateways_are_checked_with_their_own_keys(files):
    gateway = HostSpec(name="gate", address="gate.example", host_keys=(OTHER,))
    config, known = files(through=gateway, host_keys=(KEY,))
    assert known.splitlines() == [f"hop0 {OTHER}", f"hop1 {KEY}"]
    assert "HostName gate.example" in config.partition("Host hop1")[0]
    assert "ProxyJump hop0" in config.partition("Host hop1")[2]


def test_other_settings_or_keys_make_another_connection(files):
    plain = files(host_keys=(KEY,))
    assert files(host_keys=(KEY,)) == plain
    others = [
        files(host_keys=(OTHER,)),
        files(host_keys=(KEY,), port=23),
        files(host_keys=(KEY,), user="bob"),
        files("User carol", host_keys=(KEY,)),
        files("Host tpp.example\n ProxyJump gate\nHost *", host_keys=(KEY,)),
        files("Ciphers aes256-ctr", host_keys=(KEY,)),
        files("IdentityFile /x", host_keys=(KEY,)),
    ]
    assert len({*others, plain}) == len(others) + 1


@pytest.mark.parametrize("path", ['/a"b', "/a\\b", "/a$b"])
def test_a_path_that_ssh_would_read_in_another_way_is_not_passed_on(path):
    with pytest.raises(CannotSayError):
        ssh_master._quoted(path)


def test_the_persons_own_master_is_not_used_if_hosts_yaml_has_pins(config, tmp_path, monkeypatch):
    text = f"ControlMaster auto\nControlPath {tmp_path}/own"

    def hop(**settings):
        spec = HostSpec(name="a", address="a", ssh_config=config(text), **settings)
        return route(spec, None)[-1]

    with socket.socket(socket.AF_UNIX) as listening:
        monkeypatch.chdir(tmp_path)
        listening.bind("own")
        listening.listen()
        found = own_master(hop(), "a")
        assert found is not None
        assert found.is_own
        assert own_master(hop(host_keys=(KEY,)), "a") is None
    assert own_master(hop(), "a") is None


@pytest.mark.parametrize(
    ("mode", "uid", "is_used"),
    [
        (0o700, os.geteuid(), True),
        (0o1777, os.geteuid(), True),
        (0o777, os.geteuid(), False),
        (0o1777, 4711, False),
    ],
)
def test_a_connection_of_another_account_is_not_used(
    config, tmp_path, monkeypatch, mode, uid, is_used
):
    """Its owner would get the commands, and the sudo password."""
    folder = tmp_path / "f"
    folder.mkdir()
    folder.chmod(mode)
    spec = HostSpec(
        name="a", address="a", ssh_config=config(f"ControlMaster auto\nControlPath {folder}/own")
    )
    hop = route(spec, None)[-1]
    with socket.socket(socket.AF_UNIX) as listening:
        monkeypatch.chdir(folder)
        listening.bind("own")
        (folder / "own").chmod(0o700)
        listening.listen()
        monkeypatch.setattr(os, "geteuid", lambda: uid)
        assert (own_master(hop, "a") is not None) == is_used


# -- the folder --------------------------------------------------------------------------------


@pytest.fixture
def runtime(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(ssh_master, "PATH_LIMIT_BYTES", 4096)
    return tmp_path / "opstasks"


def test_the_folder_is_private(runtime):
    assert ssh_master.folder() == runtime
    assert stat.S_IMODE(runtime.stat().st_mode) == 0o700
    assert ssh_master.folder() == runtime


def test_a_folder_that_others_may_enter_is_refused(runtime):
    runtime.mkdir(mode=0o755)
    with pytest.raises(Refused, match="only you may enter"):
        ssh_master.folder()


def test_a_link_or_a_file_instead_of_the_folder_is_refused(runtime, tmp_path):
    (tmp_path / "real").mkdir(mode=0o700)
    runtime.symlink_to(tmp_path / "real")
    with pytest.raises(Refused):
        ssh_master.folder()
    runtime.unlink()
    runtime.touch()
    with pytest.raises(Refused):
        ssh_master.folder()


def test_a_folder_that_someone_else_owns_or_may_replace_is_refused(runtime, monkeypatch):
    runtime.mkdir(mode=0o700)
    runtime.parent.chmod(0o777)
    with pytest.raises(Refused):
        ssh_master.folder()
    runtime.parent.chmod(0o700)
    assert ssh_master.folder() == runtime
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(Refused):
        ssh_master.folder()


@pytest.mark.parametrize(
    "chosen", ["", "relative", "/no/such/folder", "/tmp/with space", "/" + "x" * 90]
)
def test_without_a_usable_runtime_directory_another_folder_is_used(monkeypatch, chosen):
    monkeypatch.setenv("XDG_RUNTIME_DIR", chosen)
    assert str(ssh_master.folder()) == f"/tmp/opstasks-{os.geteuid()}"


def test_the_files_of_a_dead_master_are_removed(runtime, monkeypatch):
    where = ssh_master.folder()
    with socket.socket(socket.AF_UNIX) as dead:
        monkeypatch.chdir(where)  # the path of this test is longer than a socket's may be
        dead.bind("name")
    (where / "name.conf").write_text("# tpp\n")
    (where / "name.known").touch()
    with ssh_master._locked(where / "name.lock"):
        assert ssh_master.kept() == []
    assert (where / "name.conf").exists()  # its login is under way
    (where / "nonsense.conf").write_text("x")
    assert ssh_master.kept() == []
    assert {path.name for path in where.iterdir()} == {"nonsense.conf", "name.lock"}


def test_a_bad_span_is_a_mistake_in_hosts_yaml(tmp_path):
    from opstasks.fleet.host_settings import load

    path = tmp_path / "hosts.yaml"
    hosts = "hosts: {a: {}, b: {keep_connection: ''}, c: {keep_connection: never}}\n"
    path.write_text("defaults: {keep_connection: 10m}\n" + hosts)
    found = load(path).hosts
    assert [found[name].keep_connection_s for name in "abc"] == [600, 0, 0]
    for bad in ("soon", "0s", "0"):
        path.write_text(f"hosts: {{a: {{keep_connection: '{bad}'}}}}\n")
        with pytest.raises(Refused, match=f"hosts.a.keep_connection: '{bad}' is"):
            load(path)


# -- the first output of a shell ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "has_answered"),
    [
        ("echo ready; exec sleep 5", True),
        ("printf 'ops%%password:' >&2; exec sleep 5", True),
        ("echo a start-up file >&2; exec sleep 5", True),
        ("echo mux_client_hello_exchange: write packet: Broken pipe >&2; exit 255", False),
        ("exit 255", False),
        ("exec sleep 5", False),
    ],
)
def test_what_counts_as_an_answer_of_a_kept_connection(tmp_path, text, has_answered):
    process = OpenSSHProcess(["bash", "-c", text], Master(tmp_path / "x", "tpp", is_own=True))
    assert process.answers(1) == has_answered
    if "echo" in text or "printf" in text:
        assert any(process.read(0)[:2])
    process._popen.kill()
    process.close()
