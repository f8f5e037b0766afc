"""What the client writes never depends on the umask."""

import os
import re
import stat
import time
from pathlib import Path

import paramiko
import pytest

from opstasks.fleet import audit, last_run, private_files, ssh_master
from opstasks.fleet.host_keys import ACCEPT_NEW, TrustedKeys
from opstasks.fleet.known_hosts import HostKeys
from opstasks.fleet.last_run import LastRun


@pytest.fixture(params=[0o000, 0o022, 0o077, 0o777], ids=oct)
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def modes(folder):
    """The modes of everything in a folder: those of folders and those of files."""
    found = [path.lstat().st_mode for path in folder.rglob("*")]
    folders = {stat.S_IMODE(mode) for mode in found if stat.S_ISDIR(mode)}
    return folders, {stat.S_IMODE(mode) for mode in found if stat.S_ISREG(mode)}


def test_the_record_and_the_last_run_are_private(umask, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "deep" / "state"))
    audit.write_local(audit.start("tpp", "deploy", {}))
    run = LastRun(task="status", ended_at=time.time(), outcomes={"tpp": "ok"})
    path = last_run.path_of("status", None)
    last_run.write(path, run)
    assert modes(tmp_path) == ({0o700}, {0o600})
    assert last_run.read(path, "status") == run
    assert audit.local_path().read_text().count("\n") == 1


def test_a_new_known_hosts_is_private(umask, tmp_path):
    path = tmp_path / "home" / ".ssh" / "known_hosts"
    for place in ("tpp", "emis"):
        trusted = TrustedKeys(place, HostKeys(), ACCEPT_NEW, learns_into=path)
        trusted.check(paramiko.ECDSAKey.generate())
    assert modes(tmp_path) == ({0o700}, {0o600})
    assert [line.split()[0] for line in path.read_text().splitlines()] == ["tpp", "emis"]


def test_the_folder_of_kept_connections_is_private(umask, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(ssh_master, "PATH_LIMIT_BYTES", 500)
    folder = ssh_master.folder()
    assert ssh_master.folder() == folder
    assert modes(tmp_path)[0] == {0o700}


def test_an_existing_file_keeps_its_mode(umask, tmp_path):
    path = tmp_path / "known_hosts"
    path.touch()
    path.chmod(0o644)
    os.close(private_files.open_file(path, os.O_WRONLY | os.O_APPEND))
    assert modes(tmp_path)[1] == {0o644}


def test_no_module_of_the_client_makes_files_by_itself():
    """Everything that writes a file of the operator uses `private_files`."""
    making = re.compile(
        r"\.mkdir\(|\.write_(text|bytes)\(|open\([^)]*[\"'][wax]|os\.open\(|mkstemp|mkdtemp|NamedTemp"
    )
    top = Path(private_files.__file__).parents[1]
    found = {
        path.relative_to(top).as_posix()
        for path in top.rglob("*.py")
        if "onhost" not in path.parts and making.search(path.read_text())
    }
    found = {name for name in found if not name.startswith("sandbox/")}
    assert found == {
        "fleet/private_files.py",
        "fleet/key_files.py",  # reads only
        "fleet/audit.py",  # appends to what private_files opened
        "fleet/host_keys.py",  # a temporary file, then fchmod
        "fleet/ssh_master.py",  # the folder in XDG_RUNTIME_DIR or /tmp, then chmod
        "output/console.py",  # /dev/null
    }
