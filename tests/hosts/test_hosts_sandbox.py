"""`hosts` shows which connections are kept, and closes them."""

import json

import pytest

from opstasks.fleet.ssh_master import kept
from tests.look import until

pytestmark = pytest.mark.sandbox


def test_hosts_shows_kept_connections_and_closes_them(kept_inv, runtime):
    assert kept_inv("-H", "sandbox", "run", "--user", "ops", "--", "true").returncode == 0
    shown = json.loads(kept_inv("-H", "sandbox", "--json", "hosts").stdout)["hosts"]
    assert [isinstance(host["value"]["kept_s"], float) for host in shown.values()] == [True, True]
    assert kept_inv("--dry", "hosts", "--close").stdout.count("would close") == 2
    done = kept_inv("-H", "sandbox-1", "hosts", "--close")
    assert done.stdout.startswith("sandbox-1: closed its connection, kept for ")
    assert [master.host for master in kept()] == ["sandbox-2"]
    (closed,) = json.loads(kept_inv("--json", "hosts", "--close").stdout)["hosts"].items()
    assert (closed[0], closed[1]["value"][0]["changed"]) == ("sandbox-2", True)
    assert kept_inv("hosts", "--close").stdout == "no connection is kept\n"
    until(lambda: not runtime.processes(), "a process is left", 5)


def test_check_says_which_hosts_answer_as_whom_and_with_which_key(inv, sandbox, sandbox_dir):
    done = inv("-H", "sandbox", "--json", "hosts", "--check")
    assert done.returncode == 0, done.stderr
    found = {name: host["value"] for name, host in json.loads(done.stdout)["hosts"].items()}
    assert {value["check"]["user"] for value in found.values()} == {"ops"}
    assert {value["check"]["key"] for value in found.values()} == {str(sandbox_dir / "id_ed25519")}
    assert all(value["check"]["answer_s"] > 0 for value in found.values())
    sandbox.power_cut("sandbox-2")
    try:
        done = inv("-H", "sandbox", "--connect-timeout", "3", "hosts", "--check")
    finally:
        sandbox.power_on("sandbox-2")
    assert done.returncode == 3
    rows = {line.split()[0]: line.split()[1:3] for line in done.stdout.splitlines() if line}
    assert (rows["sandbox-1"][0], rows["sandbox-2"]) == ("yes", ["no", "answer"])
