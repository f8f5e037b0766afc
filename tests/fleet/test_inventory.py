"""hosts.yaml: selecting hosts, and reporting mistakes."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.core.errors import Refused
from opstasks.fleet import host_settings, hosts_file
from opstasks.fleet.inventory import HostSpec, Inventory

ROOT = Path(__file__).resolve().parents[2]
FLEET = """
defaults: {user: alice, deploy: {watch_s: 20}, vars: {a: 1, b: 2}}
groups:
  prod: {hosts: [tpp], children: [west], sudo: nopasswd}
  west: {hosts: [emis], port: 2222, vars: {b: 3}}
hosts:
  tpp: {address: 192.0.2.1, backend: tpp}
  emis: {address: 192.0.2.2, port: 2223}
  test: {}
"""


@pytest.fixture
def load(tmp_path):
    def _load(text):
        (tmp_path / "hosts.yaml").write_text(text)
        return host_settings.load(tmp_path / "hosts.yaml")

    return _load


@pytest.fixture
def fleet(load):
    return load(FLEET)


def names(specs):
    return [spec.name for spec in specs]


# -- selecting -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("patterns", "chosen"),
    [
        (["tpp"], ["tpp"]),
        (["emis,tpp"], ["tpp", "emis"]),
        (["emis", "tpp"], ["tpp", "emis"]),
        (["prod"], ["tpp", "emis"]),
        (["all"], ["tpp", "emis", "test"]),
        (["all,!test"], ["tpp", "emis"]),
        (["!test"], ["tpp", "emis"]),
        (["t*"], ["tpp", "test"]),
        (["prod,!west"], ["tpp"]),
        (["w*"], ["emis"]),
        (["tpp,tpp"], ["tpp"]),
    ],
)
def test_names_groups_globs_and_exclusions(fleet, patterns, chosen):
    assert names(fleet.select(patterns)) == chosen


@pytest.mark.parametrize("typed", ["tppp", "TPP", "Tppp"])
def test_an_unknown_name_leads_to_the_nearest_and_to_no_change(fleet, typed):
    with pytest.raises(Refused, match=f"'{typed}'; did you mean 'tpp'\\?") as caught:
        fleet.select([typed])
    assert caught.value.hint == "inv -H tpp status"


def test_a_name_that_is_like_no_other_lists_the_known_ones(fleet):
    with pytest.raises(Refused, match="is called 'xyzzy'") as caught:
        fleet.select(["xyzzy"])
    assert caught.value.hint.startswith("inv hosts; known: tpp, emis")


@pytest.mark.parametrize("pattern", ["", "tpp,!tpp", "!all", "x*", "!nobody"])
def test_an_empty_selection_is_refused(fleet, pattern):
    with pytest.raises(Refused):
        fleet.select([pattern])


@pytest.mark.parametrize(
    ("text", "user", "address", "port"),
    [
        ("bob@example.org", "bob", "example.org", 0),
        ("bob@example.org:2200", "bob", "example.org", 2200),
        ("example.org:2200", "alice", "example.org", 2200),
        ("bob@[::1]:22", "bob", "::1", 22),
    ],
)
def test_ad_hoc_hosts_have_user_address_and_port(fleet, text, user, address, port):
    (spec,) = fleet.select([text])
    assert (spec.user, spec.address, spec.port) == (user, address, port)


@pytest.mark.parametrize(
    "text",
    ["-oProxyCommand=x@h", "a@-h", "a@h:0", "a@h:65536", "a@h:x", "a b@h", "@h", "a@", "a@h;id"],
)
def test_hostile_hosts_are_refused(fleet, text):
    with pytest.raises(Refused):
        fleet.select([text])


@given(st.text(max_size=30))
def test_any_text_selects_or_is_refused(text):
    fleet = Inventory({"tpp": HostSpec(name="tpp", address="192.0.2.1")}, {"prod": ("tpp",)})
    try:
        chosen = fleet.select([text])
    except Refused:
        return
    assert chosen
    for spec in chosen:
        assert not spec.address.startswith("-")
        assert spec.address.isprintable()


# -- settings --------------------------------------------------------------------------------


def test_the_nearer_setting_wins_and_mappings_merge(fleet):
    tpp, emis, test = (fleet.hosts[name] for name in ("tpp", "emis", "test"))
    assert (tpp.port, emis.port, test.port) == (0, 2223, 0)
    assert (tpp.sudo, emis.sudo, test.sudo) == ("nopasswd", "nopasswd", "ask")
    assert tpp.vars == {"a": 1, "b": 2}
    assert emis.vars == {"a": 1, "b": 3}
    assert emis.deploy.watch_s == 20
    assert emis.deploy.code.url.endswith("/job-runner")
    assert test.address == "test"


def test_paths_follow_the_home(load):
    spec = load("hosts: {a: {home: /data/os}}").hosts["a"]
    assert spec.database == "/data/os/jobrunner/workdir/db.sqlite"
    assert spec.code_dir == "/data/os/jobrunner/code"


def test_the_example_is_valid_and_shows_every_key(tmp_path):
    text = (ROOT / "hosts.example.yaml").read_text()
    host_settings.load(ROOT / "hosts.example.yaml")
    for key in (*hosts_file.TOP_KEYS, *hosts_file.GROUP_KEYS):
        assert f"{key}:" in text, key


def test_the_shipped_fleet_is_valid():
    fleet = host_settings.load(ROOT / "hosts.yaml")
    assert {"tpp", "emis", "test"} <= set(fleet.hosts)
    assert fleet.hosts["tpp"].gateway


# -- mistakes --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hosts: {a: {adress: x}}", ["hosts.a.adress", "unknown key", "'address'"]),
        ("hosts: {a: {port: ssh}}", ["hosts.a.port", "'ssh'", "int"]),
        ("hosts: {a: {port: 70000}}", ["hosts.a.port", "70000", "<= 65535"]),
        ("hosts: {a: {user: '-x'}}", ["hosts.a.user", "'-x'", "account name"]),
        ("hosts: {a: {address: '-oX'}}", ["hosts.a.address", "'-oX'"]),
        ("hosts: {a: {home: here}}", ["hosts.a.home", "'here'", "absolute path"]),
        ("hosts: {a: {home: /srv/x/}}", ["hosts.a.home: '/srv/x/'", "write /srv/x"]),
        ("defaults: {lock_dir: /srv//}\nhosts: {a: {}}", ["defaults.lock_dir", "write /srv"]),
        ("hosts: {a: {deploy: {code: {ref: x/}}}}", ["deploy.code.ref", "write x"]),
        ("hosts: {a: {home: /}}", ["hosts.a.home", "'/'", "absolute path"]),
        ("hosts: {a: {sudo: maybe}}", ["hosts.a.sudo", "'maybe'", "'ask'"]),
        ("hosts: {a: {host_keys: [nonsense]}}", ["hosts.a.host_keys", "'nonsense'"]),
        ("hosts: {a: {gateway: nobody}}", ["hosts.a.gateway", "'nobody'"]),
        ("hosts: {a: {deploy: {code: {rref: x}}}}", ["hosts.a.deploy.code.rref", "'ref'"]),
        ("hosts: {a: {deploy: {code: {url: 'x y'}}}}", ["hosts.a.deploy.code.url", "git URL"]),
        ("groups: {g: {hosts: [aa]}}\nhosts: {a: {}}", ["groups.g.hosts", "'aa'", "'a'"]),
        ("groups: {g: {children: [g]}}", ["groups.g.children", "cycles"]),
        ("groups: {a: {}}\nhosts: {a: {}}", ["groups.a", "a host has it"]),
        ("hosts: [a]", ["hosts", "mapping"]),
        ("hosts: {'a b': {}}", ["hosts", "'a b'"]),
        ("hosts: {a: {vars: {x: [1]}}}", ["hosts.a.vars"]),
        ("hosts: {a: {connect_timeout_s: -5}}", ["hosts.a.connect_timeout_s", "-5", "> 0"]),
        ("hosts: {a: {deploy: {watch_s: 0}}}", ["hosts.a.deploy.watch_s: 0", "> 0"]),
        ("hosts: {a: {deploy: {keep_snapshots: 0}}}", ["hosts.a.deploy.keep_snapshots: 0", ">= 1"]),
        ("hosts: {a: {address: 2026-99-99}}", ["hosts.yaml:1: '2026-99-99'", "date"]),
        ("nonsense: 1", ["nonsense", "unknown key"]),
        ("hosts: {a: {", ["hosts.yaml"]),
    ],
)
def test_a_mistake_is_reported_with_key_value_and_expectation(load, text, words):
    with pytest.raises(Refused) as caught:
        load(text)
    for word in words:
        assert word in str(caught.value), str(caught.value)


def test_all_mistakes_are_reported_at_once(load):
    with pytest.raises(Refused) as caught:
        load("hosts: {a: {port: x}, b: {user: '!'}, c: {hom: /x}}")
    said = f"{caught.value} {caught.value.tail}"
    assert all(f"hosts.{name}." in said for name in "abc")


def test_an_included_file_adds_hosts_and_its_mistakes_carry_its_name(tmp_path):
    (tmp_path / "hosts.yaml").write_text("include: [more.yaml, absent.yaml]\nhosts: {a: {}}")
    (tmp_path / "more.yaml").write_text("hosts: {b: {}}")
    assert list(host_settings.load(tmp_path / "hosts.yaml").hosts) == ["a", "b"]
    (tmp_path / "more.yaml").write_text("hosts: {a: {}, c: {prot: 1}}")
    with pytest.raises(Refused) as caught:
        host_settings.load(tmp_path / "hosts.yaml")
    assert "more.yaml:1: hosts.c.prot" in caught.value.tail
    assert "more.yaml:1: hosts.a: hosts.yaml:2 has this name already" in str(caught.value)


# -- finding ---------------------------------------------------------------------------------


def test_the_inventory_is_searched_for_in_the_documented_order(tmp_path, monkeypatch):
    places = {name: tmp_path / name / "hosts.yaml" for name in ("flag", "variable", "here")}
    config = tmp_path / "config" / "opstasks" / "hosts.yaml"
    for path in (*places.values(), config):
        path.parent.mkdir(parents=True)
        path.write_text("")
    below = places["here"].parent / "deep" / "er"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("OPSTASKS_HOSTS", str(places["variable"]))
    assert hosts_file.find_inventory(str(places["flag"])) == places["flag"]
    assert hosts_file.find_inventory(None) == places["variable"]
    monkeypatch.delenv("OPSTASKS_HOSTS")
    assert hosts_file.find_inventory(None) == places["here"]
    places["here"].unlink()
    assert hosts_file.find_inventory(None) == config
    config.unlink()
    assert hosts_file.find_inventory(None) is None


def test_a_file_that_anyone_may_write_must_be_named_explicitly(tmp_path, monkeypatch):
    path = tmp_path / "hosts.yaml"
    path.write_text("")
    monkeypatch.delenv("OPSTASKS_HOSTS", raising=False)
    monkeypatch.chdir(tmp_path)
    path.chmod(0o666)
    with pytest.raises(Refused, match="written by anyone"):
        hosts_file.find_inventory(None)
    assert hosts_file.find_inventory(str(path)) == path
    path.chmod(0o644)
    assert hosts_file.find_inventory(None) == path


def test_a_file_that_includes_itself_is_read_once(load):
    assert list(load("include: [hosts.yaml]\nhosts: {a: {}}").hosts) == ["a"]


def test_a_named_file_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(Refused, match="--inventory names"):
        hosts_file.find_inventory(str(tmp_path / "absent.yaml"))


def test_a_folder_that_cannot_be_read_holds_no_inventory(monkeypatch, tmp_path):
    def closed(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.delenv("OPSTASKS_HOSTS", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pathlib.Path.is_file", closed)
    assert hosts_file.find_inventory(None) is None
