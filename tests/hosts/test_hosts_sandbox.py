"""`hosts` shows which connections are kept, and closes them."""

import json

import pytest

from opstasks.fleet.ssh_master import kept
from tests.look import until

pytestmark = pytest.mark.sandbox


def test_hosts_shows_kept_connections_and_closes_them(kept_inv, runtime):
    assert kept_inv("-H", "sandbox", "run", "--user", "ops", "--", "true").returncode == 0
    shown = json.loads(kept_inv("-H", "sandbox", "--json", "hosts").stdout)["hosts"]
    assert [isinstance(row["kept_s"], int) for row in shown] == [True, True]
    assert "kept, " in kept_inv("hosts").stdout
    assert kept_inv("--dry", "hosts", "--close").stdout.count("would close") == 2
    done = kept_inv("-H", "sandbox-1", "hosts", "--close")
    assert done.stdout.startswith("sandbox-1: closed its connection, kept for ")
    assert [master.host for master in kept()] == ["sandbox-2"]
    assert json.loads(kept_inv("--json", "hosts", "--close").stdout) == {"closed": ["sandbox-2"]}
    assert kept_inv("hosts", "--close").stdout == "no connection is kept\n"
    until(lambda: not runtime.processes(), "a process is left", 5)
