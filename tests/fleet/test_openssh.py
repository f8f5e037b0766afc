"""What OpenSSH is told, which connections are the same, and what its messages mean."""

import json
import os
import socket
import stat
from pathlib import Path

import msgspec
import pytest

from opstasks.core.errors import Refused, Unreachable
from opstasks.fleet import ssh_arguments, ssh_master
from opstasks.fleet.inventory import HostSpec
from opstasks.fleet.ssh_arguments import arguments, config_text, own_master, resolved
from opstasks.fleet.ssh_errors import login_error, was_turned_away

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINxiwIpOoWGGhWj6F5dmhXigDbBM599H5fLxFarLgdj3"
OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0pAIQdcxs8h1qsUVZQx3ic0B1D6yHU5Y2hBDNnlm2b"


@pytest.fixture
def config(tmp_path):
    """The person's ssh_config, with known_hosts files that are empty."""
    (tmp_path / "known").touch()
    path = tmp_path / "config"

    def write(text=""):
        path.write_text(f"{text}\nHost *\n  UserKnownHostsFile {tmp_path}/known\n")
        return str(path)

    write()
    return write


@pytest.fixture
def find(tmp_path, config):
    """The arguments for a host: `find(port=23)`."""

    def make(through=None, **settings):
        chosen = {"address": "tpp.example", "ssh_config": str(tmp_path / "config")}
        spec = HostSpec(name="tpp", **{**chosen, "keep_connection": "10m", **settings})
        return arguments(spec, through, tmp_path)

    return make


def settings_of(found):
    """What ssh itself makes of the arguments."""
    return resolved(list(found.words), found.address, HostSpec(name="tpp"))


def test_pins_are_the_only_keys_that_are_accepted(find, tmp_path):
    settings = settings_of(find(host_keys=(KEY, OTHER)))
    pins = settings["userknownhostsfile"]
    assert (tmp_path / pins).read_text().split("\n")[:2] == [f"* {KEY}", f"* {OTHER}"]
    assert stat.S_IMODE(os.stat(pins).st_mode) == 0o600
    assert settings["globalknownhostsfile"] == "/dev/null"
    assert settings["stricthostkeychecking"] == "true"


def test_revoked_keys_stay_revoked_beside_pins(find, tmp_path):
    (tmp_path / "known").write_text(f"tpp.example {OTHER}\n@revoked * {KEY}\n")
    pins = settings_of(find(host_keys=(KEY,)))["userknownhostsfile"]
    assert (tmp_path / pins).read_text() == f"* {KEY}\n@revoked * {KEY}\n"


def test_the_persons_settings_cannot_loosen_ours(find, config):
    loose = (
        "StrictHostKeyChecking no\nVerifyHostKeyDNS yes\nNoHostAuthenticationForLocalhost yes\n"
        "ForwardAgent yes\nForwardX11 yes\nPermitLocalCommand yes\nLocalCommand touch /tmp/x\n"
        "Tunnel yes\nRemoteCommand reboot\nRequestTTY force\nUpdateHostKeys yes\nLogLevel QUIET\n"
        "ControlMaster auto\nControlPath /tmp/%C\nServerAliveInterval 0\nBatchMode no\n"
        "LocalForward 8080 localhost:80\nKnownHostsCommand /bin/echo * ssh-rsa AAAA\n"
    )
    config("".join(f"{line}\n" for line in loose.splitlines()))
    settings = settings_of(find(host_keys=(KEY,)))
    wanted = {
        "stricthostkeychecking": "true",
        "verifyhostkeydns": "false",
        "nohostauthenticationforlocalhost": "no",
        "forwardagent": "no",
        "forwardx11": "no",
        "permitlocalcommand": "no",
        "tunnel": "false",
        "requesttty": "false",
        "updatehostkeys": "false",
        "loglevel": "INFO",
        "controlmaster": "false",
        "serveraliveinterval": "20",
        "batchmode": "yes",
        "clearallforwardings": "yes",
    }
    assert {key: settings[key] for key in wanted} == wanted
    for gone in ("controlpath", "remotecommand", "knownhostscommand"):
        assert settings.get(gone, "none") == "none"


def test_the_persons_settings_that_reach_the_host_are_kept(find, config):
    config(
        "Host tpp.example\n HostName 192.0.2.7\n User carol\n Port 2222\n ProxyJump j1,bob@j2:23"
    )
    found = find()
    settings = settings_of(found)
    assert (settings["hostname"], settings["user"], settings["port"]) == (
        "192.0.2.7",
        "carol",
        "2222",
    )
    assert settings["proxyjump"] == "j1,bob@j2:23"
    assert found.user == "carol"


def test_accept_new_is_for_the_host_itself_and_not_for_its_gateways(find):
    found = find(host_key_checking="accept-new")
    assert settings_of(found)["stricthostkeychecking"] == "accept-new"
    assert "StrictHostKeyChecking yes" in Path(found.words[1]).read_text()


def test_a_gateway_of_the_inventory_is_quoted_and_has_its_own_pins(find, tmp_path):
    gateway = HostSpec(
        name="gw",
        address="gw.example",
        user="jump",
        port=23,
        host_keys=(OTHER,),
        ssh_config=str(tmp_path / "config"),
    )
    command = settings_of(find(gateway, gateway="gw", host_keys=(KEY,)))["proxycommand"]
    assert command.startswith("ssh -F ")
    assert command.endswith(" -W '[%h]:%p' -- gw.example")
    assert "-l jump -p 23" in command
    pins = command.partition("UserKnownHostsFile=")[2].split()[0]
    assert Path(pins).read_text().startswith(f"* {OTHER}\n")


def test_only_the_same_settings_share_a_connection(find, config, tmp_path):
    """Everything that makes a connection changes its name."""
    gateway = HostSpec(name="gw", address="gw.example", ssh_config=str(tmp_path / "config"))
    key = tmp_path / "key"
    key.touch()
    names = [
        find().name,
        find(user="bob").name,
        find(port=23).name,
        find(identity_file=str(key)).name,
        find(address="emis.example").name,
        find(host_keys=(KEY,)).name,
        find(host_keys=(OTHER,)).name,
        find(host_keys=(KEY, OTHER)).name,
        find(host_key_checking="accept-new").name,
        find(keep_connection="5m").name,
        find(gateway, gateway="gw").name,
        find(msgspec.structs.replace(gateway, host_keys=(KEY,)), gateway="gw").name,
        find(msgspec.structs.replace(gateway, port=24), gateway="gw").name,
    ]
    config("Ciphers aes256-ctr")
    names.append(find().name)
    config("Host tpp.example\n ProxyJump j1")
    names.append(find().name)
    config("Host j1\n Port 24\nHost tpp.example\n ProxyJump j1")
    names.append(find().name)
    config("Host j1\n Port 24\n ProxyJump j2\nHost tpp.example\n ProxyJump j1")
    names.append(find().name)
    config("Host j2\n Port 25\nHost j1\n Port 24\n ProxyJump j2\nHost tpp.example\n ProxyJump j1")
    names.append(find().name)
    config()
    (tmp_path / "known").write_text(f"@revoked * {OTHER}\n")
    names.append(find().name)
    (tmp_path / "known").write_text("")
    config(f"RevokedHostKeys {tmp_path}/revoked")
    names.append(find().name)
    (tmp_path / "revoked").write_text(KEY)
    names.append(find().name)
    assert len(set(names)) == len(names)
    config()
    assert find().name == names[0]


def test_a_path_that_ssh_would_read_in_another_way_is_refused(find, tmp_path):
    for name in ("a*b", "x%h", "${HOME}", 'q"q'):
        with pytest.raises(Refused, match="exactly"):
            find(identity_file=f"/tmp/{name}")
        with pytest.raises(Refused, match="exactly"):
            config_text(HostSpec(name="tpp", ssh_config=f"/tmp/{name}"))
    with pytest.raises(Refused, match="is not a file"):
        find(ssh_config=str(tmp_path / "absent"))


def test_a_relative_include_of_the_system_file_is_refused(monkeypatch, tmp_path):
    system = tmp_path / "ssh_config"
    monkeypatch.setattr(ssh_arguments, "SYSTEM_CONFIG", system)
    system.write_text("Include /etc/ssh/ssh_config.d/*.conf\nHost *\n")
    assert f"Include {system}\n" in config_text(HostSpec(name="tpp"))
    system.write_text("  include = more\n")
    with pytest.raises(Refused, match="relative path"):
        config_text(HostSpec(name="tpp"))


def test_a_known_hosts_file_by_a_relative_path_is_refused(find, config, tmp_path):
    (tmp_path / "config").write_text('UserKnownHostsFile "/srv/a b" /srv/c\n')
    with pytest.raises(Refused, match="relative path or a space"):
        find(host_keys=(KEY,))


def test_a_mistake_in_ssh_config_is_refused_with_its_line(find, config):
    config("Nonsense yes")
    with pytest.raises(Refused, match="line 1: Bad configuration option: nonsense"):
        find()


def test_without_openssh_the_package_is_named(find, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Refused, match="openssh-client"):
        find()


def test_the_persons_own_master_is_used_only_where_hosts_yaml_asks_for_no_more():
    auto = {"controlmaster": "auto", "controlpath": "/run/x"}
    assert str(own_master(auto, HostSpec(name="a"))) == "/run/x"
    assert own_master({"controlmaster": "false", "controlpath": "/x"}, HostSpec(name="a")) is None
    assert own_master({"controlmaster": "auto"}, HostSpec(name="a")) is None
    for more in ({"host_keys": (KEY,)}, {"gateway": "gw"}, {"identity_file": "/k"}):
        assert own_master(auto, HostSpec(name="a", **more)) is None


# -- the folder ------------------------------------------------------------------------------


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
def test_without_a_usable_runtime_directory_there_is_another_one(monkeypatch, chosen):
    monkeypatch.setenv("XDG_RUNTIME_DIR", chosen)
    assert str(ssh_master.folder()) == f"/tmp/opstasks-{os.geteuid()}"


def test_what_a_dead_master_left_is_removed(runtime, monkeypatch):
    where = ssh_master.folder()
    with socket.socket(socket.AF_UNIX) as dead:
        monkeypatch.chdir(where)  # the path of this test is longer than a socket's may be
        dead.bind("name.token")
    text = {"name": "name", "host": "tpp", "user": "bob", "opened_at": 1.0}
    (where / "name.token.json").write_text(json.dumps(text))
    (where / "name.token.log").touch()
    (where / "nonsense.json").write_text("[]")
    assert ssh_master.kept() == []
    assert [path.name for path in where.iterdir()] == ["nonsense.json"]


# -- messages --------------------------------------------------------------------------------

SPEC = HostSpec(name="tpp", address="tpp.example", connect_timeout_s=7)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (
            "@@@@@\nHost key for 192.0.2.7 has changed and you have requested strict checking.\n"
            "Host key verification failed.",
            "the host key of 192.0.2.7 has CHANGED; someone may be between us and it",
        ),
        (
            "No ED25519 host key is known for [gw]:23 and you have requested strict checking.\n"
            "Host key verification failed.",
            "the host key of [gw]:23 is not known",
        ),
        (
            "The ED25519 host key for 192.0.2.7 is marked as revoked.\nHost key ...",
            "the host key of 192.0.2.7 is REVOKED",
        ),
        (
            "Host key ED25519 SHA256:30lU revoked by file /x\nHost key verification failed.",
            "the host key ED25519 SHA256:30lU is REVOKED",
        ),
        (
            "ops@192.0.2.7: Permission denied (publickey,password).",
            "ops@192.0.2.7 did not accept our key",
        ),
        (
            "Received disconnect from 192.0.2.7 port 22:2: Too many authentication failures\n"
            "Disconnected from 192.0.2.7 port 22",
            "tpp.example:22 refused: too many keys were offered",
        ),
        (
            "ssh: Could not resolve hostname gw.example: Name or service not known",
            "no address for 'gw.example'",
        ),
        (
            "ssh: connect to host 192.0.2.7 port 22: Connection refused",
            "cannot connect to 192.0.2.7:22: Connection refused",
        ),
        (
            "ssh: connect to host 192.0.2.7 port 22: Connection timed out",
            "no answer from 192.0.2.7:22 within 7 s",
        ),
        (
            "channel 0: open failed: connect failed: Connection refused\nstdio forwarding failed\n"
            "kex_exchange_identification: Connection closed by remote host\n"
            "Connection closed by UNKNOWN port 65535",
            "the gateway gets no connection to the host: connect failed: Connection refused",
        ),
        (
            "channel 0: open failed: administratively prohibited: open failed\n"
            "stdio forwarding failed",
            "the gateway does not forward connections",
        ),
        ("Connection closed by 192.0.2.7 port 22", "192.0.2.7:22 closed the connection"),
        ("", "cannot connect to tpp.example:22"),
    ],
)
def test_a_failed_login_is_one_sentence_and_a_hint(said, message):
    error = login_error(said, SPEC)
    assert isinstance(error, Unreachable)
    assert (error.message, error.host) == (message, "tpp")
    assert error.hint


def test_what_the_server_says_before_it_refuses_is_shown():
    said = "The system is going down.\nops@tpp: Permission denied (publickey)."
    assert login_error(said, SPEC).tail == "The system is going down."


def test_only_an_early_end_is_worth_another_try():
    assert was_turned_away("kex_exchange_identification: read: Connection reset by peer")
    assert not was_turned_away("ops@tpp: Permission denied (publickey).")
    assert not was_turned_away(
        "kex_exchange_identification: x\nConnection closed by UNKNOWN port 65535"
    )


def test_a_bad_span_is_a_mistake_in_hosts_yaml(tmp_path):
    from opstasks.fleet.host_settings import load

    path = tmp_path / "hosts.yaml"
    path.write_text("defaults: {keep_connection: 10m}\nhosts: {a: {}, b: {keep_connection: ''}}\n")
    hosts = load(path).hosts
    assert (hosts["a"].keep_connection_s, hosts["b"].keep_connection_s) == (600, 0)
    for bad in ("soon", "0s", "10"):
        path.write_text(f"hosts: {{a: {{keep_connection: '{bad}'}}}}\n")
        with pytest.raises(Refused, match=f"hosts.a.keep_connection: '{bad}' is"):
            load(path)
