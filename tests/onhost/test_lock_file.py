"""The lock's file: private, and replaced only while no change can depend on it."""

import contextlib
import fcntl
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from opstasks.onhost import lock_file
from opstasks.onhost.safe_files import Unsafe

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes the file")
HOLD = (
    "import fcntl, os, sys, time\nf = os.open(sys.argv[1], os.O_RDONLY)\n"
    "fcntl.flock(f, fcntl.LOCK_SH)\nos.setuid(int(sys.argv[2]))\n"
    "print('up', flush=True)\ntime.sleep(60)\n"
)
# It holds the lock, and has the file open in none of its descriptors.
HIDDEN = {
    "in its memory": "import ctypes; ctypes.CDLL(None).mmap(None, 1, 1, 1, f, 0)\n",
    "in a socket": "import socket; a, b = socket.socketpair(); socket.send_fds(a, [b'x'], [f])\n",
    "in a thread": (
        "import ctypes, threading as t; held = t.Event()\n"
        "def keep():\n ctypes.CDLL(None).unshare(0x400); held.set(); time.sleep(60)\n"
        "t.Thread(target=keep, daemon=True).start(); held.wait()\n"
    ),
}
NOBODY = 65534
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "lock"


@contextlib.contextmanager
def held(path, uid, hide=""):
    """A process of an account that holds the lock, also after the text `hide`."""
    text = HOLD.replace("os.setuid", f"{hide}os.close(f)\nos.setuid") if hide else HOLD
    words = [sys.executable, "-c", text, str(path), str(uid)]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"up\n"
        try:
            yield process.pid
        finally:
            process.kill()


def old_file(path):
    path.write_text("")
    path.chmod(0o664)
    return path.stat().st_ino


def mode_of(path):
    info = path.stat()
    return info.st_uid, info.st_gid, stat.S_IMODE(info.st_mode)


@pytest.mark.parametrize("umask", [0, 0o022, 0o077])
def test_the_file_is_private_whatever_the_umask(path, umask):
    before = os.umask(umask)
    try:
        assert lock_file.secure(str(path), "nobody") == []
    finally:
        os.umask(before)
    assert mode_of(path) == (0, lock_file.service_ids("nobody")[1], 0o660)


@pytest.mark.parametrize("umask", [0, 0o027, 0o077])
def test_the_service_account_may_enter_a_new_folder_whatever_the_umask(path, umask):
    deep = path.parent / "var" / "opstasks" / "lock"
    before = os.umask(umask)
    try:
        lock_file.secure(str(deep), "nobody")
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(folder.stat().st_mode) for folder in (deep.parent, deep.parent.parent)}
    assert modes == {0o755}


def test_without_the_service_account_only_root_can_open_the_file(path):
    lock_file.secure(str(path), "nobody-of-ours")
    assert mode_of(path) == (0, 0, 0o600)
    lock_file.secure(str(path), "nobody")
    assert mode_of(path)[2] == 0o660, "the account was made since then"


def test_a_private_file_stays_the_same_file(path):
    lock_file.secure(str(path), "daemon")
    before = path.stat().st_ino
    with held(path, 0):
        lock_file.secure(str(path), "daemon")
    assert path.stat().st_ino == before


def test_a_file_that_another_account_holds_is_replaced(path):
    before = old_file(path)
    with held(path, NOBODY) as pid:
        assert [process["pid"] for process in lock_file.secure(str(path), "daemon")] == [pid]
        assert path.stat().st_ino != before
        fd = lock_file.take(str(path), "daemon", 0, 0.1)
        assert fd is not None
        os.close(fd)


@pytest.mark.parametrize("uid", [0, 1])
def test_a_file_that_a_change_holds_is_not_replaced(path, uid):
    """Root, or the service account: here `daemon`, whose id is 1."""
    before = old_file(path)
    with held(path, uid), path.open() as other:
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        lock_file.secure(str(path), "daemon")
        assert lock_file.take(str(path), "daemon", 0.2, 0.1) is None
        assert path.stat().st_ino == before


def test_a_change_beside_another_account_keeps_the_file(path):
    before = old_file(path)
    with held(path, NOBODY), held(path, 1):
        assert lock_file.secure(str(path), "daemon") == []
    assert path.stat().st_ino == before


@pytest.mark.parametrize("how", HIDDEN)
@pytest.mark.parametrize("mode", [0o664, 0o660])
@pytest.mark.parametrize("uid", [NOBODY, 1])
def test_a_lock_whose_holder_hides_is_replaced(path, how, mode, uid):
    path.write_text("x")
    path.chmod(mode)
    with held(path, uid, HIDDEN[how]):
        fd = lock_file.take(str(path), "daemon", 0, 0.1)
        assert fd is not None
        os.close(fd)


def test_a_lock_stays_if_we_may_not_look_at_every_process(path, monkeypatch):
    """A container's root may not look at the files of a process that runs as another account."""
    lock_file.secure(str(path), "daemon")
    with held(path, 1):
        monkeypatch.setattr(lock_file, "holders", lambda path: [])
        monkeypatch.setattr(lock_file, "sees_all", lambda: False)
        assert lock_file.take(str(path), "daemon", 0, 0.1) is None


def test_a_lock_on_a_replaced_file_does_not_count(path):
    old_file(path)
    fd = os.open(path, os.O_RDWR)
    lock_file.secure(str(path), "daemon")
    assert not lock_file.is_current(fd, str(path))
    os.close(fd)


def test_a_folder_of_another_account_is_refused(path):
    os.chown(path.parent, NOBODY, NOBODY)
    with pytest.raises(Unsafe, match="only root may change"):
        lock_file.secure(str(path), "daemon")


def test_what_the_holder_started_keeps_the_lock_when_the_holder_is_killed(path):
    """As scheduled work does: its programs may outlive it."""
    script = (
        f"import os, sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from opstasks.onhost import commands, lock_file\n"
        f"assert lock_file.take({str(path)!r}, 'daemon', 0, 0.1) is not None\n"
        "commands.call('sh', '-c', 'kill -9 $PPID; exec sleep 60', timeout=60)\n"
    )
    words = [sys.executable, "-c", script]
    with subprocess.Popen(words) as process:
        assert process.wait(30) == -9
    (left,) = lock_file.holders(str(path))
    try:
        assert lock_file.take(str(path), "daemon", 0, 0.1) is None
    finally:
        os.kill(left["pid"], 9)
