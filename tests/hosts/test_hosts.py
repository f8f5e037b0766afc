"""`hosts`: the route to each host, whether it answers, and which connections are closed."""

from pathlib import Path

import pytest

from opstasks.core.command import cmd
from opstasks.core.errors import Refused, Unreachable
from opstasks.core.result import FleetResult, HostResult
from opstasks.fleet.inventory import HostSpec, Inventory
from opstasks.fleet.ssh_master import Master
from opstasks.hosts import connections, routes, screen
from opstasks.hosts.routes import HostCheck, HostRoute
from tests.screen_check import WIDTHS, check_fits, check_golden, check_whole, shown

HOME = str(Path.home())
TPP = HostRoute(
    "tpp",
    "192.0.2.10",
    22,
    "alice",
    ("jump@level3.example:2222",),
    "",
    (f"{HOME}/.ssh/id_ed25519", f"{HOME}/.ssh/id_rsa"),
    has_agent=True,
    is_pinned=True,
    groups=("prod",),
    kept_s=754.0,
)
V6 = HostRoute(
    "v6",
    "2001:db8::1",
    2222,
    "bob",
    (),
    "ssh -W x",
    (),
    has_agent=False,
    is_pinned=False,
    groups=(),
)
GROUPS = {"prod": ("tpp",), "everything": ("tpp", "v6")}
LONG = "a-backend-host-with-a-name-of-many-words-in-a-far-country"


def result(*found):
    return FleetResult([HostResult(item.host, "ok", item) for item in found])


@pytest.fixture
def opened(monkeypatch, tmp_path):
    """Kept connections: two to tpp (the older one with other settings), one to emis."""
    found = [
        Master(tmp_path / "a", "tpp", opened_at=1.0),
        Master(tmp_path / "b", "tpp", opened_at=2.0),
        Master(tmp_path / "c", "emis", opened_at=3.0),
    ]
    monkeypatch.setattr("time.time", lambda: 63.0)
    monkeypatch.setattr(connections, "kept", lambda: found)
    monkeypatch.setattr(routes, "kept", lambda: found)
    monkeypatch.setattr(Master, "exit", lambda self: self.socket.name != "a")
    return found


# -- routes ------------------------------------------------------------------------------------


def test_a_route_has_address_gateway_user_key_and_kept_connection(opened, tmp_path):
    key = tmp_path / "id"
    key.write_text("x")
    config = tmp_path / "config"
    config.write_text(f"Host *\n User carol\n IdentityFile {key}\n")
    specs = [
        HostSpec(name="tpp", address="192.0.2.1", gateway="gw@jump.example:23", groups=("prod",)),
        HostSpec(name="plain", address="192.0.2.2", user="bob", port=2222),
    ]
    specs = [HostSpec(**{**_fields(spec), "ssh_config": str(config)}) for spec in specs]
    found = routes.routes(specs, Inventory({}, {}))
    tpp, plain = found.values["tpp"], found.values["plain"]
    assert (tpp.address, tpp.port, tpp.user) == ("192.0.2.1", 22, "carol")
    assert tpp.through == ("gw@jump.example:23",)
    assert tpp.key_files == (str(key),)
    assert (tpp.kept_s, plain.kept_s) == (61, None)
    assert (plain.port, plain.user, plain.through) == (2222, "bob", ())


def _fields(spec):
    return {name: getattr(spec, name) for name in spec.__struct_fields__}


def test_a_host_with_wrong_settings_is_refused_and_hides_no_other(opened, monkeypatch):
    def route(spec, gateway):
        raise Refused("ssh_config: bad line")

    monkeypatch.setattr(routes, "route", route)
    found = routes.routes([HostSpec(name="tpp"), HostSpec(name="emis")], Inventory({}, {}))
    assert (found.exit_code, [item.error.host for item in found]) == (2, ["tpp", "emis"])
    lines = shown(screen.routes_screen("2 hosts", {}).lines(found, 80))
    assert "tpp   wrong settings" in lines


@pytest.mark.parametrize("width", [60, 80, 140])
def test_the_screen_is_as_in_its_golden_file(width):
    made = screen.routes_screen("2 hosts, 2 groups in ./hosts.yaml", GROUPS)
    check_golden(__file__, f"hosts-{width}", made.lines(result(TPP, V6), width))


@pytest.mark.parametrize("width", WIDTHS)
def test_long_names_stay_whole_in_any_window(width):
    long = HostRoute(
        LONG,
        f"{LONG}.example"[:54],
        22,
        "u" * 32,
        ("j" * 40, "k" * 40),
        "",
        (f"/{LONG}/id",),
        has_agent=False,
        is_pinned=True,
        groups=("prod", LONG),
        check=HostCheck("u" * 32, f"/{LONG}/id", 10.5, 0.25),
    )
    groups = {"g" * 40: tuple(f"{LONG[:30]}{number}" for number in range(9))}
    for made in (screen.routes_screen("1 host", groups), screen.check_screen()):
        lines = made.lines(result(long), width)
        check_fits(lines, width)
        check_whole(lines, [LONG])


# -- checking ----------------------------------------------------------------------------------


def test_a_check_connects_once_and_measures_login_and_answer(fake_host, monkeypatch):
    host = fake_host("tpp")
    monkeypatch.setattr(type(host.login), "open", lambda self: None)
    monkeypatch.setattr(host, "login_user", lambda: "alice")
    monkeypatch.setattr(type(host), "transport", type("T", (), {"login_key": lambda self: "key"})())
    host.expect(cmd("true"), "")
    found = routes.check(host, TPP).check
    assert (found.user, found.key) == ("alice", "key")
    assert found.login_s >= 0 <= found.answer_s


@pytest.mark.parametrize("width", [80, 140])
def test_a_check_is_as_in_its_golden_file(width):
    from dataclasses import replace

    good = replace(TPP, check=HostCheck("alice", TPP.key_files[0], 0.412, 0.031))
    kept = replace(V6, kept_s=5.0, check=HostCheck("bob", "", 0.041, 0.03))
    found = result(good, kept)
    found.results.append(HostResult("emis", "unreachable", error=Unreachable("no", host="emis")))
    assert found.exit_code == 3
    check_golden(__file__, f"hosts-check-{width}", screen.check_screen().lines(found, width))


# -- closing -----------------------------------------------------------------------------------


def test_close_ends_the_connections_of_the_selected_hosts_or_all(opened):
    assert [master.socket.name for master in connections.chosen(["tpp"])] == ["a", "b"]
    assert [master.socket.name for master in connections.close(["tpp"])] == ["b"]
    assert [master.socket.name for master in connections.close([])] == ["b", "c"]
