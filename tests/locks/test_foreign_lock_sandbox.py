"""Who can hold the lock on a real host: only root and the service account."""

import shlex

import pytest

from tests.look import until

pytestmark = [pytest.mark.sandbox, pytest.mark.hosts(1)]
HOST, LOCK = "sandbox-1", "/var/lib/opstasks/lock"
# It holds the lock, and has the file open in none of its descriptors.
HIDE = f"""
import fcntl, os, socket, time
f = os.open({LOCK!r}, os.O_RDONLY)
fcntl.flock(f, fcntl.LOCK_EX)
a, b = socket.socketpair()
socket.send_fds(a, [b"x"], [f])
os.close(f)
time.sleep(600)
"""
HOLD = f"exec 8<{LOCK}; flock -s 8; exec -a innocent sleep 600"


@pytest.fixture
def sh(managed):
    return lambda script: managed.must(HOST, ["bash", "-c", script]).strip()


@pytest.fixture
def held_by_nobody(managed, sh):
    """A lock file of an earlier version, which `nobody` holds; yields its id."""
    sh(f"chmod 664 {LOCK}")
    sh(f"setsid runuser -u nobody -- bash -c '{HOLD}' </dev/null >/dev/null 2>&1 &")
    until(lambda: managed.exec_(HOST, ["pgrep", "-f", "^innocent"]).returncode == 0, "it holds")
    yield sh("pgrep -f ^innocent")
    managed.exec_(HOST, ["pkill", "-9", "-f", "^innocent"])


def good(done):
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def rights(sh):
    return sh(f"stat -c '%U %G %a' {LOCK}")


def test_another_account_cannot_open_the_lock(managed, sh):
    assert rights(sh) == "root opensafely 660"
    for account in ("nobody", "ops"):
        words = ["runuser", "-u", account, "--", "bash", "-c", f"exec 8<{LOCK}"]
        assert "Permission denied" in managed.exec_(HOST, words).stderr
    words = ["runuser", "-u", "opensafely", "--", "flock", "-n", LOCK, "true"]
    assert managed.exec_(HOST, words).returncode == 0


def test_another_account_that_holds_an_old_lock_is_named_and_stopped(held_by_nobody, inv, sh):
    named = f"process {held_by_nobody} of nobody"
    assert named in good(inv("-H", HOST, "lock.show")).stderr
    told = inv("-H", HOST, "doctor").stdout
    assert named in told
    assert "every account can hold the lock" in told
    assert "held without a name" in inv("-H", HOST, "status").stderr
    # The service account cannot replace the file, and so cannot change the host.
    assert inv("-H", HOST, "service.restart", "--yes").returncode == 2
    good(inv("-H", HOST, "lock.break", "--reason", "test", "--yes"))
    assert rights(sh) == "root opensafely 660"
    good(inv("-H", HOST, "service.restart", "--watch", "1", "--yes"))


@pytest.mark.parametrize(
    "words", [["manage", "--yes"], ["pause", "--for", "2h", "--yes"], ["prepare-reboot", "--yes"]]
)
def test_a_change_by_root_does_not_wait_for_another_account(held_by_nobody, inv, sh, words):
    good(inv("-H", HOST, *words))
    assert rights(sh) == "root opensafely 660"
    assert sh("pgrep -f ^innocent") == held_by_nobody, "it holds a file that nobody uses"
    assert "no host is being changed" in good(inv("-H", HOST, "lock.show")).stderr


def test_scheduled_work_does_not_wait_for_another_account(held_by_nobody, inv, sh):
    good(inv("-H", HOST, "pause", "--for", "1h", "--yes"))
    # As if the file were still the old one when the time comes.
    sh(f"chmod 664 {LOCK}; setsid runuser -u nobody -- bash -c '{HOLD}' >/dev/null 2>&1 &")
    until(lambda: len(sh("pgrep -f ^innocent").split()) == 2, "it holds the new one")
    newest = sh("ls -t /var/lib/opstasks/scripts/2*/run.py").split()[0]
    assert '"outcome": "done"' in sh(f"timeout 60 python3 -I {newest}")
    assert rights(sh) == "root opensafely 660"


@pytest.mark.parametrize(("account", "mode"), [("opensafely", 660), ("nobody", 664)])
def test_a_process_that_hides_cannot_keep_the_lock(managed, inv, sh, account, mode):
    sh(f"chmod {mode} {LOCK}")
    program = shlex.quote(f"exec -a innocent python3 -c {shlex.quote(HIDE)}")
    sh(f"setsid runuser -u {account} -- bash -c {program} </dev/null >/dev/null 2>&1 &")
    until(lambda: managed.exec_(HOST, ["flock", "-n", LOCK, "true"]).returncode, "it holds")
    try:
        good(inv("-H", HOST, "lock.break", "--reason", "test", "--yes"))
        good(inv("-H", HOST, "pause", "--yes"))
        good(inv("-H", HOST, "unpause", "--yes"))
    finally:
        managed.exec_(HOST, ["pkill", "-9", "-f", "^innocent"])
