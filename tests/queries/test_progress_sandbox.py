"""db.progress through the SSH connection, to a TDS server that only the host can reach."""

import json
from urllib.parse import quote

import pytest

from tests import tds_server

pytestmark = [pytest.mark.sandbox, pytest.mark.hosts(1)]
HOST = "sandbox-1"


def good(done):
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def unseen(done):
    for word in (tds_server.PASSWORD, quote(tds_server.PASSWORD, safe=""), tds_server.USER):
        assert word not in done.stdout + done.stderr


def test_rows_come_through_the_tunnel_and_the_login_is_not_shown(tds_database, inv):
    done = good(inv("-H", HOST, "--echo", "--debug", "db.progress", "--temp-table", "tmp_1"))
    assert done.stdout.splitlines()[1].split() == [HOST, "#tmp_1", "1,234,567", "estimate"]
    unseen(done)
    done = good(inv("-H", HOST, "--json", "db.progress", "--table", "DataExtract_ab"))
    unseen(done)
    (row,) = json.loads(done.stdout)["hosts"][HOST]["value"]
    assert row == {"table": "DataExtract_ab", "rows": 42, "estimated": False}
    queries = tds_database.must(HOST, ["cat", "/tmp/tds.log"]).splitlines()
    assert tds_server.ESTIMATE.fullmatch(queries[0])
    assert tds_server.COUNT.fullmatch(queries[1])


def test_an_unknown_table_shows_the_servers_message_without_the_login(tds_database, inv):
    done = inv("-H", HOST, "db.progress", "--table", "nosuch")
    assert done.returncode == 1
    assert "Invalid object name 'nosuch'" in done.stderr
    unseen(done)
    done = inv("-H", HOST, "db.progress", "--temp-table", "nosuch")
    said = "no temporary table whose name begins with #nosuch on 1 host"
    assert said in good(done).stderr


def test_hostile_names_reach_no_host(tds_database, inv):
    before = tds_database.must(HOST, ["cat", "/tmp/tds.log"])
    for name in ("x'; DROP TABLE y; --", "%", "a b", "$(touch /tmp/canary)", "a.b.c"):
        assert inv("-H", HOST, "db.progress", "--table", name).returncode == 2
        assert inv("-H", HOST, "db.progress", f"--temp-table={name}").returncode == 2
    assert tds_database.must(HOST, ["cat", "/tmp/tds.log"]) == before
    assert tds_database.exec_(HOST, ["test", "-e", "/tmp/canary"]).returncode == 1


def test_a_host_that_forwards_no_connections_is_refused_with_a_hint(tds_database, inv):
    drop_in = "/etc/ssh/sshd_config.d/00-test.conf"
    forbid = f"echo 'AllowTcpForwarding no' >{drop_in} && systemctl reload ssh"
    tds_database.must(HOST, ["bash", "-c", forbid])
    try:
        done = inv("-H", HOST, "db.progress", "--table", "DataExtract_ab")
        assert (done.returncode, "AllowTcpForwarding" in done.stderr) == (2, True), done.stderr
    finally:
        tds_database.must(HOST, ["bash", "-c", f"rm {drop_in}; systemctl reload ssh"])


def test_a_database_that_is_missing_or_not_configured_is_an_error(tds_database, inv):
    done = inv("-H", HOST, "db.progress", "--table", "x", "--database", "include_t1oo")
    assert (done.returncode, "INCLUDE_T1OO_DATABASE_URL is not set" in done.stderr) == (2, True)
    tds_database.must(HOST, ["systemctl", "stop", "test-tds"])
    done = inv("-H", HOST, "db.progress", "--table", "DataExtract_ab")
    assert (done.returncode, "no answer" in done.stderr) == (3, True)
    unseen(done)
