"""`hosts`: the rows, and which connections are closed."""

import pytest

from opstasks.fleet.inventory import HostSpec
from opstasks.fleet.ssh_master import Master
from opstasks.hosts import connections


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
    monkeypatch.setattr(Master, "exit", lambda self: self.socket.name != "a")
    return found


def test_a_row_has_the_address_and_the_age_of_the_newest_connection(opened):
    specs = [
        HostSpec(name="tpp", address="192.0.2.1", user="bob", port=23, gateway="gw"),
        HostSpec(name="v6", address="2001:db8::1", port=22),
        HostSpec(name="plain", address="plain"),
    ]
    assert [tuple(row.values()) for row in connections.rows(specs)] == [
        ("tpp", "bob@192.0.2.1:23", "gw", 61),
        ("v6", "[2001:db8::1]:22", "", None),
        ("plain", "plain", "", None),
    ]


def test_close_ends_the_connections_of_the_selected_hosts_or_all(opened):
    assert [master.socket.name for master in connections.close(["tpp"])] == ["b"]
    assert [master.socket.name for master in connections.close([])] == ["b", "c"]
