"""lock.break: which processes hold the lock, and that only those end."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from opstasks.core.errors import Refused, VerifyFailed
from opstasks.fleet import lock
from opstasks.fleet.change import change
from opstasks.fleet.host import Host
from opstasks.fleet.inventory import HostSpec
from opstasks.fleet.transport import LocalTransport
from opstasks.locks import breaking as lock_break
from opstasks.locks.onhost import holders as rh

HOLD = (
    "import fcntl, signal, sys, time\n{}f = open(sys.argv[1], 'a')\n"
    "try: fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)\nexcept OSError: pass\n"
    "print('up', flush=True)\n"
)
STUBBORN = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"


def test_a_full_disk_keeps_nobody_from_taking_the_lock(tmp_path):
    spec = HostSpec(name="h", address="h", lock_dir=str(tmp_path))
    # What is written there never has room; it can be locked all the same.
    Path(spec.lock_file).symlink_to("/dev/full")
    taken = lock.take_text(spec, lock.Owner("ada", "service.stop", "", ""))
    text = f"{taken}\necho $?; flock -n {spec.lock_file} true || echo held"
    done = subprocess.run(["bash", "-c", text], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("0\nheld\n", "")


def test_who_holds_the_lock_without_words_still_holds_it(tmp_path, hold):
    spec = HostSpec(name="h", address="h", lock_dir=str(tmp_path))
    hold(Path(spec.lock_file))
    asked = lock.holder(spec).line()
    done = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, check=True)
    assert lock.parse_owner(done.stdout).who == "someone"


@pytest.fixture
def hold(tmp_path):
    """Start a process that has a file open, and ends with the test."""
    started = []

    def start(path, stubborn=False):
        script = HOLD.format(STUBBORN if stubborn else "") + "time.sleep(60)"
        words = [sys.executable, "-c", script, str(path)]
        process = subprocess.Popen(words, stdout=subprocess.PIPE)
        process.stdout.readline()
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "lock"
    path.touch()
    return path


def shown(path):
    return [[p["pid"], p["start"]] for p in rh.holders(str(path))]


def test_holders_are_those_that_have_the_file_open(hold, file, tmp_path):
    one, other = hold(file), hold(tmp_path / "something else")
    (found,) = rh.holders(str(file))
    assert found["pid"] == one.pid
    assert found["age_s"] < 60
    assert "import fcntl" in found["command"]
    assert other.poll() is None
    assert rh.holders(str(tmp_path / "absent")) == []


def test_only_the_processes_that_were_shown_end(hold, file):
    old = hold(file)
    before = shown(file)
    new = hold(file)
    rh.stop(str(file), before, 5.0, kill=False)
    assert old.wait(5) == -15
    assert new.poll() is None


def test_a_number_that_passed_to_another_process_is_left_alone(hold, file):
    process = hold(file)
    rh.stop(str(file), [[process.pid, 1]], 1.0, kill=True)
    assert process.poll() is None


def test_a_process_that_let_go_meanwhile_is_left_alone(hold, file, tmp_path):
    process = hold(file)
    before = shown(file)
    file.unlink()
    file.touch()
    rh.stop(str(file), before, 1.0, kill=True)
    assert process.poll() is None


def test_what_does_not_end_is_killed_only_when_that_is_wanted(hold, file):
    process = hold(file, stubborn=True)
    rh.stop(str(file), shown(file), 0.5, kill=False)
    assert process.poll() is None
    rh.stop(str(file), shown(file), 0.5, kill=True)
    assert process.wait(5) == -9


def test_the_answer_names_what_is_left(hold, file, capsys):
    process = hold(file)
    asked = {"lock": str(file), "stop": [], "grace_s": 1, "kill": False}
    rh.main(json.dumps(asked))
    (left,) = json.loads(capsys.readouterr().out)["holders"]
    assert left["pid"] == process.pid


# -- a whole lock, on this machine -----------------------------------------------------------


@pytest.fixture
def make(tmp_path, monkeypatch):
    import os
    import pwd

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(lock_break, "GRACE_S", 1.0)
    # Root's part is played by whoever runs the tests.
    monkeypatch.setattr(Host, "root", property(lambda self: self.login))
    made, me = [], pwd.getpwuid(os.geteuid()).pw_name

    def _make():
        spec = HostSpec(
            name="here", address="localhost", lock_dir=str(tmp_path), local=True, service_user=me
        )
        made.append(Host(spec, connect=lambda spec: LocalTransport()))
        return made[-1]

    yield _make
    for host in made:
        host.close()


def test_a_free_lock_needs_no_breaking(make):
    host = make()
    assert lock_break.look(host) == lock_break.Held(None)
    assert not lock_break.break_(host, lock_break.look(host), "why", kill=False).changed


def test_a_hung_holder_is_shown_stopped_and_written_down(make, tmp_path):
    host, hung = make(), make()
    context = change(hung.login, "deploy")
    context.__enter__()
    # A step that hangs, longer than its client lives.
    hung.login.session._send(b"sleep 300\0")
    time.sleep(0.3)
    held = lock_break.look(host)
    assert held.owner.task == "deploy"
    assert len(held.processes) >= 2
    outcome = lock_break.break_(host, held, "it hangs", kill=True)
    assert outcome.changed
    assert set(outcome.stopped) == {process.pid for process in held.processes}
    assert lock.parse_owner(host.login.output(lock.holder(host.spec))) is None
    assert (tmp_path / "lock").read_text() == ""
    lines = (tmp_path / "state/opstasks/audit.jsonl").read_text().splitlines()
    written = [json.loads(line) for line in lines]
    begun, ended = (entry for entry in written if entry["task"] == "lock.break")
    assert begun["args"]["reason"] == "it hangs"
    assert begun["args"]["broke"] == held.owner.run_id
    assert ended["outcome"] == "changed"
    with change(host.login, "next"):
        pass


def test_somebody_else_who_took_it_meanwhile_is_not_stopped(make):
    host, first, second = make(), make(), make()
    with change(first.login, "deploy"):
        held = lock_break.look(host)
    with change(second.login, "manage"), pytest.raises(Refused, match="somebody else"):
        lock_break.break_(host, held, "why", kill=True)


def test_a_holder_that_does_not_end_and_left_no_name_is_a_failure(make, hold, file):
    host = make()
    process = hold(file, stubborn=True)
    held = lock_break.look(host)
    assert held.owner == lock_break.NAMELESS
    with pytest.raises(VerifyFailed, match=f"still held, by process {process.pid}"):
        lock_break.break_(host, held, "why", kill=False)
    assert process.poll() is None
    assert lock_break.break_(host, lock_break.look(host), "why", kill=True).changed
    assert process.wait(5) == -9


def test_only_what_was_shown_is_stopped(make, hold, file):
    host = make()
    shown_one = hold(file)
    held = lock_break.look(host)
    later = subprocess.Popen(["sleep", "60"], stdin=file.open())
    try:
        lock_break.break_(host, held, "why", kill=True)
        assert shown_one.wait(5) is not None
        assert later.poll() is None
    finally:
        later.kill()
        later.wait()


def test_another_holder_without_a_name_is_refused(make, hold, file):
    host = make()
    first = hold(file)
    held = lock_break.look(host)
    first.kill()
    first.wait()
    second = hold(file)
    with pytest.raises(Refused, match="somebody else"):
        lock_break.break_(host, held, "why", kill=True)
    assert second.poll() is None
