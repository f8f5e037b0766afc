"""A database for a sandbox host."""

from pathlib import Path
from urllib.parse import quote

import pytest

from tests import tds_server

HOST = "sandbox-1"
PORT = 14330
CONFIG = "/home/opensafely/config"
URL = (
    f"mssql://{quote(tds_server.USER, safe='')}:{quote(tds_server.PASSWORD, safe='')}"
    f"@127.0.0.1:{PORT}/tpp"
)


@pytest.fixture(scope="module")
def tds_database(managed):
    """A TDS server that only sandbox-1 can reach, and a configuration there that names it."""
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
