"""db.progress through the SSH connection, to a TDS server that only the host can reach."""

import json
from pathlib import Path
from urllib.parse import quote

import pytest

from tests import tds_server

pytestmark = [pytest.mark.sandbox, pytest.mark.hosts(1)]
HOST = "sandbox-1"
PORT = 14330
CONFIG = "/home/opensafely/config"
URL = (
    f"mssql://{quote(tds_server.USER, safe='')}:{quote(tds_server.PASSWORD, safe='')}"
    f"@127.0.0.1:{PORT}/tpp"
)


@pytest.fixture(scope="module")
def database(managed):
    """A server on the host's own loopback, and a configuration that names it."""
    source = Path(tds_server.__file__).read_text()
    managed.must(HOST, ["tee", "/tmp/tds_server.py"], stdin=source)
    unit = ["systemd-run", "--quiet", "--unit=test-tds", "--collect"]
    script = ["/usr/bin/python3", "/tmp/tds_server.py", str(PORT), "/tmp/tds.log"]
    managed.must(HOST, [*unit, *script])
    save = f"cp -a {CONFIG}/02_secrets.env {CONFIG}/04_local.env /tmp/"
    managed.must(HOST, ["bash", "-c", save])
    add = (
        f"cat >>{CONFIG}/02_secrets.env;"
        f" echo TEMP_DATABASE_NAME=OpenCORONATempTables >>{CONFIG}/04_local.env"
    )
    managed.must(HOST, ["bash", "-c", add], stdin=f"DEFAULT_DATABASE_URL='{URL}'\n")
    yield managed
    back = (
        f"cp -a /tmp/02_secrets.env /tmp/04_local.env {CONFIG}/;"
        " systemctl stop test-tds; rm -f /tmp/tds_server.py /tmp/tds.log"
    )
    managed.must(HOST, ["bash", "-c", back])


def good(done):
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def unseen(done):
    for word in (tds_server.PASSWORD, quote(tds_server.PASSWORD, safe=""), tds_server.USER):
        assert word not in done.stdout + done.stderr


def test_rows_are_told_through_the_tunnel_and_the_login_is_not(database, inv):
    done = good(inv("-H", HOST, "--echo", "--debug", "db.progress", "--temp-table", "tmp_1"))
    assert "1,234,567 (estimate)" in done.stdout
    unseen(done)
    done = good(inv("-H", HOST, "--json", "db.progress", "--table", "DataExtract_ab"))
    unseen(done)
    (row,) = json.loads(done.stdout)["hosts"][HOST]["value"]
    assert row == {"table": "DataExtract_ab", "rows": 42, "estimated": False}
    queries = database.must(HOST, ["cat", "/tmp/tds.log"]).splitlines()
    assert tds_server.ESTIMATE.fullmatch(queries[0])
    assert tds_server.COUNT.fullmatch(queries[1])


def test_an_unknown_table_is_the_servers_word_with_the_login_masked(database, inv):
    done = inv("-H", HOST, "db.progress", "--table", "nosuch")
    assert done.returncode == 1
    assert "Invalid object name 'nosuch'" in done.stderr
    unseen(done)
    done = inv("-H", HOST, "db.progress", "--temp-table", "nosuch")
    assert "no such table" in good(done).stdout


def test_hostile_names_reach_no_host(database, inv):
    before = database.must(HOST, ["cat", "/tmp/tds.log"])
    for name in ("x'; DROP TABLE y; --", "%", "a b", "$(touch /tmp/canary)", "a.b.c"):
        assert inv("-H", HOST, "db.progress", "--table", name).returncode == 2
        assert inv("-H", HOST, "db.progress", f"--temp-table={name}").returncode == 2
    assert database.must(HOST, ["cat", "/tmp/tds.log"]) == before
    assert database.exec_(HOST, ["test", "-e", "/tmp/canary"]).returncode == 1


def test_a_host_that_forwards_no_connections_is_refused_with_the_hint(database, inv):
    drop_in = "/etc/ssh/sshd_config.d/00-test.conf"
    forbid = f"echo 'AllowTcpForwarding no' >{drop_in} && systemctl reload ssh"
    database.must(HOST, ["bash", "-c", forbid])
    try:
        done = inv("-H", HOST, "db.progress", "--table", "DataExtract_ab")
        assert (done.returncode, "AllowTcpForwarding" in done.stderr) == (2, True), done.stderr
    finally:
        database.must(HOST, ["bash", "-c", f"rm {drop_in}; systemctl reload ssh"])


def test_a_database_that_is_not_there_and_one_that_is_not_configured(database, inv):
    done = inv("-H", HOST, "db.progress", "--table", "x", "--database", "include_t1oo")
    assert (done.returncode, "INCLUDE_T1OO_DATABASE_URL is not set" in done.stderr) == (2, True)
    database.must(HOST, ["systemctl", "stop", "test-tds"])
    done = inv("-H", HOST, "db.progress", "--table", "DataExtract_ab")
    assert (done.returncode, "no answer" in done.stderr) == (3, True)
    unseen(done)
