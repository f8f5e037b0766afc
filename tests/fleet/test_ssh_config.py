"""OpenSSH's settings: which names share one answer, tokens, paths, and the line of an error."""

import subprocess
from pathlib import Path

import pytest

from opstasks.core.errors import Refused
from opstasks.fleet import ssh_config
from opstasks.fleet.config_files import ConfigFiles
from opstasks.fleet.inventory import HostSpec
from opstasks.fleet.route import MAX_HOPS, route
from opstasks.fleet.ssh_config import Destination, settings_for
from opstasks.fleet.ssh_settings import SSHSettings


@pytest.fixture
def calls(monkeypatch):
    """The names that OpenSSH was asked about."""
    asked = []
    real = ssh_config._ask

    def ask(wanted):
        asked.append(wanted.name)
        return real(wanted)

    monkeypatch.setattr(ssh_config, "_ask", ask)
    monkeypatch.setattr(ssh_config, "_KNOWN", {})
    return asked


@pytest.fixture
def config(tmp_path):
    """Write an ssh_config; returns its path."""

    def write(text):
        path = tmp_path / "ssh_config"
        path.write_text(text)
        return str(path)

    return write


def hostnames(file, names):
    return {name: settings_for(Destination(name=name, config=file)) for name in names}


NAMES = ["alpha", "beta-1", "beta-2", "10.1.2.3", "GAMMA", "a.example.org", "x"]


@pytest.mark.parametrize(
    ("text", "expected_calls"),
    [
        ("User someone\n", 1),
        ("Host *\n  Port 2222\n", 1),
        ("Match all\n  Port 2222\n", 1),
        ("Host beta-*\n  User b\n", 2),
        ("Host beta-* !beta-2\n  User b\n", 3),
        ("Host alpha\n  HostName %h.example.org\n", 2),
        ("Host=beta-?\n  User b\n", 2),
        ("Match host beta-1\n  User b\n", len(NAMES)),
        ("Match exec true\n  User b\n", len(NAMES)),
        ("CanonicalizeHostname yes\n", len(NAMES)),
        ("HostName fixed\n", len(NAMES)),
        ("UserKnownHostsFile ~/.ssh/known_%h\n", len(NAMES)),
        ("UserKnownHostsFile ~/.ssh/known_%C\n", len(NAMES)),
        ("Host gamma\n  User g\n", 1),
        ("Host GAMMA\n  User g\n", 2),
        ("Host 'alpha'\n  User a\n", len(NAMES)),
        ('Host al"ph"a\n  User a\n', len(NAMES)),
        ("=Host alpha\n  User a\n", len(NAMES)),
        ("Host alpha # beta-1\n  User a\n", 3),
        ("# x\rHost alpha\n  User a\n", 1),
    ],
)
def test_shared_answers_are_those_that_openssh_gives_one_by_one(
    config, calls, text, expected_calls
):
    file = config(text)
    shared = hostnames(file, NAMES)
    assert len(calls) == expected_calls
    for name, settings in shared.items():
        alone = ssh_config._ask(Destination(name=name, config=file))
        assert settings == alone


@pytest.mark.parametrize("folder", ["jos\u00e9", "back\\slash", "x" * 220])
def test_a_file_with_an_unusual_path_tells_names_apart(calls, tmp_path, folder):
    """`ssh -v` prints such a path in another form, or cuts it."""
    (tmp_path / folder).mkdir()
    file = tmp_path / folder / "config"
    file.write_text("Host alpha\n  User a\n")
    found = hostnames(str(file), ["beta", "alpha"])
    assert [found[name].user == "a" for name in ("alpha", "beta")] == [True, False]


@pytest.mark.parametrize("name", ["127.1", "::0001", "0x7f.1", "127.0.0.1", "ALPHA", "alpha"])
def test_the_form_in_which_openssh_writes_an_address_is_kept(config, calls, name):
    file = config("Host alpha\n  User a\nHost A*\n  Port 77\n")
    found = hostnames(file, ["beta", "alpha", name])[name]
    assert found == ssh_config._ask(Destination(name=name, config=file))


def test_names_for_which_dns_may_give_another_name_share_nothing(monkeypatch):
    values = {"canonicalizehostname": ("no",), "canonicalizepermittedcnames": ("*.a:*.b",)}
    settings = SSHSettings(
        name="x", hostname="x", port=22, user="me", values=values, files=ConfigFiles()
    )
    assert not ssh_config._is_plain(settings)


def test_an_ssh_that_hangs_is_not_asked_again_for_the_next_hosts(config, calls, monkeypatch):
    monkeypatch.setattr(ssh_config, "TIMEOUT_S", 0.5)
    file = config('Match exec "sleep 5"\n  User x\n')
    for name in ("a", "b", "c"):
        with pytest.raises(Refused, match=r"ssh -G a. did not answer"):
            settings_for(Destination(name=name, config=file))
    assert calls == ["a"]


def test_250_plain_names_cost_one_call(config, calls):
    hostnames(config("Host *.example\n  User x\n"), [f"127.0.2.{n}" for n in range(250)])
    assert len(calls) == 1


def test_a_changed_file_is_read_again(config, calls):
    assert settings_for(Destination(name="a", config=config("Port 1\n"))).port == 1
    assert settings_for(Destination(name="a", config=config("Port 1022\n"))).port == 1022


def test_included_files_tell_names_apart(config, calls, tmp_path):
    (tmp_path / "included").write_text("Host beta-1\n  ProxyJump gate\n")
    found = hostnames(config(f"Include {tmp_path}/incl*\n"), NAMES)
    assert [name for name, settings in found.items() if settings.jumps()] == ["beta-1"]


def test_a_bad_line_is_refused_with_its_number(config):
    with pytest.raises(Refused, match=r"line 2.*nonsense"):
        settings_for(Destination(name="a", config=config("User x\nnonsense y\n")))


def test_a_missing_client_names_the_package(config, monkeypatch, calls):
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(Refused) as caught:
        settings_for(Destination(name="a", config=config("")))
    assert "openssh-client" in caught.value.hint


def test_a_name_cannot_be_an_option(config):
    with pytest.raises(Refused, match="invalid characters"):
        settings_for(Destination(name="-oProxyCommand=x", config=config("")))


def test_tokens_and_variables_are_replaced(config, monkeypatch):
    monkeypatch.setenv("PLACE", "/keys")
    file = config("Host short\n  HostName %h.example\n  User me\n  Port 77\n")
    settings = settings_for(Destination(name="short", config=file))
    assert settings.expand("%h %n %p %r %%") == "short.example short 77 me %"
    assert settings.path("${PLACE}/%n") == Path("/keys/short")
    with pytest.raises(Refused, match="NO_SUCH"):
        settings.path("${NO_SUCH}/x")
    with pytest.raises(Refused, match="%Z"):
        settings.expand("%Z")


def test_several_files_with_spaces_are_told_apart(config, tmp_path):
    odd = tmp_path / "with a space"
    odd.write_text("")
    file = config(f'UserKnownHostsFile /no/such "{odd}" /neither\n')
    settings = settings_for(Destination(name="a", config=file))
    assert settings.paths("userknownhostsfile") == [Path("/no/such"), odd, Path("/neither")]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Host b\n  User x\nHost a\n  user = y\n", 4),
        ("Host a\n  User x\n", 2),
        ('Host *\n\n# User z\n\t"User"  y  # why\n', 4),
    ],
)
def test_the_line_of_a_keyword_is_that_of_the_names_section(config, text, line):
    file = config(text)
    assert ConfigFiles.read([Path(file)]).line_of("a", "user") == f"{file}, line {line}"
    assert ConfigFiles.read([Path(file)]).line_of("a", "port") == "ssh_config"


# -- the way to a host -------------------------------------------------------------------------


def ways(text, config, **spec):
    spec = HostSpec(name="inner", address="inner", ssh_config=config(text), **spec)
    return [(hop.settings.user, hop.settings.hostname) for hop in route(spec, None)]


def test_jumps_are_taken_in_order_each_with_its_own_settings(config):
    text = (
        "Host inner\n ProxyJump first:2200,u@second\nHost second\n HostName two\n"
        " ProxyJump not-used\nHost first\n User one\n ProxyJump zero\nHost *\n User me\n"
    )
    assert ways(text, config) == [
        ("me", "zero"),
        ("one", "first"),
        ("u", "two"),
        ("me", "inner"),
    ]


def test_host_keys_of_hosts_yaml_are_not_for_a_jump_host_of_the_same_name(config):
    text = "Host address\n ProxyJump inner\n"
    spec = HostSpec(
        name="inner",
        address="address",
        ssh_config=config(text),
        host_keys=("ssh-ed25519 AAAA",),
        host_key_checking="accept-new",
    )
    found = [(hop.checking, hop.pins) for hop in route(spec, None)]
    assert found == [("", ()), ("accept-new", ("ssh-ed25519 AAAA",))]


def test_a_gateway_behind_another_one_is_refused_not_connected_directly(config):
    path = config("")
    spec = HostSpec(name="a", address="a", gateway="b", ssh_config=path)
    near = HostSpec(name="b", address="b", gateway="b", ssh_config=path)
    assert [hop.name for hop in route(spec, near)] == ["b", "a"]
    with pytest.raises(Refused, match="b has a gateway of its own: c"):
        route(spec, HostSpec(name="b", address="b", gateway="c", ssh_config=path))


def test_a_user_of_a_jump_may_have_an_at_sign(config):
    text = "Host inner\n ProxyJump a@b@gate:2200\nHost *\n User me\n"
    assert ways(text, config) == [("a@b", "gate"), ("me", "inner")]


@pytest.mark.parametrize(("text", "limit_s"), [("0", 10.0), ("3", 3.0), ("60", 10.0)])
def test_a_time_limit_of_ssh_config_only_makes_ours_shorter(config, text, limit_s):
    spec = HostSpec(name="a", address="a", ssh_config=config(f"ConnectTimeout {text}\n"))
    assert [hop.timeout_s for hop in route(spec, None)] == [limit_s]


def test_jumps_in_a_circle_are_refused(config):
    with pytest.raises(Refused, match="circle"):
        ways("Host inner\n ProxyJump outer\nHost outer\n ProxyJump inner\n", config)
    assert MAX_HOPS >= 4


def test_an_unsupported_setting_is_refused_with_its_line(config):
    with pytest.raises(Refused, match="line 2: ProxyUseFdpass"):
        ways("Host inner\n ProxyUseFdpass yes\n", config)


def test_our_answers_are_those_of_the_installed_client(config):
    """The values that we pass on, against a plain call of `ssh -G`."""
    file = config("Host a*\n  User x\n  IdentityFile ~/k_%n\n  Ciphers aes256-ctr\n")
    done = subprocess.run(["ssh", "-F", file, "-G", "abc"], capture_output=True, text=True)
    settings = settings_for(Destination(name="abc", config=file))
    printed = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert settings.one("ciphers") == printed["ciphers"]
    assert settings.user == printed["user"]
    assert settings.many("identityfile") == ["~/k_%n"]


def test_the_hint_for_a_bad_line_repeats_it(config):
    path = config("Nonsense yes\n")
    with pytest.raises(Refused, match="nonsense") as error:
        settings_for(Destination(name="tpp", config=path))
    assert error.value.hint == f"ssh -G -F {path} tpp"
