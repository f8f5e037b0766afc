"""lock.break: which processes hold the lock, and that only those are stopped."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from opstasks.core.errors import InvalidResponse, Refused, VerifyFailed
from opstasks.fleet import lock
from opstasks.fleet.change import change
from opstasks.fleet.host import Host
from opstasks.fleet.inventory import HostSpec
from opstasks.fleet.local import LocalTransport
from opstasks.locks import break_lock
from opstasks.locks.break_lock import HOLDERS, HeldLock, HoldersRequest
from opstasks.locks.onhost import holders, stop
from opstasks.onhost import flock, open_files
from opstasks.onhost.protocol import answer_to
from tests.fake_host import Reply
from tests.host_suite import leave_running
from tests.look import until

HOLD = (
    "import fcntl, signal, sys, time\n{}f = open(sys.argv[1], 'a')\n"
    "try: fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)\nexcept OSError: pass\n"
    "print('up', flush=True)\n"
)
STUBBORN = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"


def test_the_lock_can_be_taken_on_a_full_disk(tmp_path):
    spec = HostSpec(name="h", address="h", lock_dir=str(tmp_path))
    # Writing there always fails for lack of space, but the file can be locked.
    Path(spec.lock_file).symlink_to("/dev/full")
    taken = lock.take_text(spec, lock.Owner("ada", "service.stop", "", ""), checked=True)
    text = f"{taken}\necho $?; flock -n {spec.lock_file} true || echo held"
    done = subprocess.run(["bash", "-c", text], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("0\nheld\n", "")


def test_a_lock_with_an_empty_file_is_still_held(tmp_path, hold):
    spec = HostSpec(name="h", address="h", lock_dir=str(tmp_path))
    hold(Path(spec.lock_file))
    asked = lock.holder(spec).line()
    done = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, check=True)
    assert lock.parse_owner(done.stdout).who == "someone"


def test_only_a_little_of_the_text_in_the_lock_is_read(tmp_path, hold):
    """The service account may write anything into the file, and make it as large as it likes."""
    spec = HostSpec(name="h", address="h", lock_dir=str(tmp_path))
    hold(Path(spec.lock_file))
    Path(spec.lock_file).write_text("x" * 100_000)
    for asked in (
        lock.holder(spec).line(),
        lock.take_text(spec, lock.Owner("ada", "deploy", "", ""), checked=True),
    ):
        done = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, check=False)
        assert 0 < len(done.stdout) <= lock.TEXT_BYTES + 1


@pytest.fixture
def hold(tmp_path):
    """Start a process that keeps a file open until the end of the test."""
    started = []

    def start(path, stubborn=False):
        script = HOLD.format(STUBBORN if stubborn else "") + "time.sleep(60)"
        words = [sys.executable, "-c", script, str(path)]
        # As each run of ours, it has a session of its own.
        process = subprocess.Popen(words, stdout=subprocess.PIPE, start_new_session=True)
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
    """The processes that have the file open, as the operator saw them."""
    found = open_files.holders(str(path))
    pairs = [[p["pid"], p["start_ticks"]] for p in found]
    return stop.Family(str(path), pairs, [p["session"] for p in found])


def test_holders_are_the_processes_with_the_file_open(hold, file, tmp_path):
    one, other = hold(file), hold(tmp_path / "something else")
    (found,) = open_files.holders(str(file))
    assert found["pid"] == one.pid
    assert found["age_s"] < 60
    assert "import fcntl" in found["command"]
    assert other.poll() is None
    assert open_files.holders(str(tmp_path / "absent")) == []


def test_the_newest_processes_come_first_also_after_the_largest_id(tmp_path, monkeypatch):
    for pid in (1, 900, 32_000, 32_700, 3, 7):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "stat").write_text(f"{pid} (x) S 1 1 1 {'0 ' * 20}")
    (tmp_path / "loadavg").write_text("0.1 0.2 0.3 1/99 900\n")
    monkeypatch.setattr(open_files, "PROC", tmp_path)
    found = [ids.pid for _, ids in open_files.processes()]
    assert found == [900, 7, 3, 1, 32_700, 32_000]


def test_a_process_cannot_choose_its_account_by_its_name(tmp_path):
    (tmp_path / "status").write_text("Name:\ta\x85Uid:\t0 \nUid:\t1000\t0\t0\t0\n")
    assert open_files.real_uid_of(tmp_path) == 1000


def test_only_processes_that_were_shown_are_signalled(hold, file):
    old = hold(file)
    before = shown(file)
    new = hold(file)
    stop.stop(before, 5.0, kill=False)
    assert old.wait(5) == -15
    assert new.poll() is None


def test_another_process_with_the_same_id_is_not_signalled(hold, file):
    process = hold(file)
    stop.stop(stop.Family(str(file), [[process.pid, 1]], []), 1.0, kill=True)
    assert process.poll() is None


def test_a_process_that_closed_the_file_is_not_signalled(hold, file, tmp_path):
    process = hold(file)
    before = shown(file)
    file.unlink()
    file.touch()
    stop.stop(before, 1.0, kill=True)
    assert process.poll() is None


def test_a_process_that_does_not_end_is_killed_only_with_kill(hold, file):
    process = hold(file, stubborn=True)
    stop.stop(shown(file), 0.5, kill=False)
    assert process.poll() is None
    stop.stop(shown(file), 0.5, kill=True)
    assert process.wait(5) == -9


def test_both_programs_answer_with_the_holders(hold, file):
    process = hold(file)
    (found,) = answer_to(holders.main, {"lock": str(file)})["ok"]["holders"]
    assert found["pid"] == process.pid
    request = {"lock": str(file), "account": "root", "grace_s": 1, "kill": False}
    request |= {"shown": [], "sessions": []}
    (left,) = answer_to(stop.main, request)["ok"]["holders"]
    assert left == {**found, "age_s": left["age_s"]}
    request["shown"] = [[found["pid"], found["start_ticks"]]]
    assert answer_to(stop.main, request) == {"ok": {"holders": []}}


# Holders that are never seen twice: each process starts the next one, and ends.
FORKERS = {
    "slowly": "n() { sleep 0.3; n & }; n",
    "quickly": "n() { sleep 0.01; n & }; n",
    "as fast as it can": "n() { n & }; n",
    "whatever it is asked": "trap '' TERM HUP INT; n() { sleep 0.05; n & }; n",
    "with a new group each time": "set -m; n() { sleep 0.1; n & }; n",
}


@pytest.fixture(params=FORKERS)
def forker(request, file, tmp_path):
    """Holds the lock until the file `end` is there, or it is stopped."""
    script = FORKERS[request.param].replace("n() {", f"n() {{ [ -e {tmp_path}/end ] && exit;")
    subprocess.run(
        ["bash", "-c", f"exec 9<>{file}; flock 9; {script}"],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=10,
        check=False,
    )
    assert flock.is_locked(str(file))
    yield request.param
    (tmp_path / "end").touch()
    until(lambda: not flock.is_locked(str(file)), "it does not end")


def seen_holder(host):
    held = break_lock.inspect(host)
    assert held.owner is not None
    return held if held.processes else None


def test_a_holder_that_forks_all_the_time_is_stopped(make, forker):
    host = make()
    # Where none of its processes is seen, a person is told to run it again.
    held = until(lambda: seen_holder(host), "its processes are seen")
    assert break_lock.apply(host, break_lock.plan(held, "it forks", kill=True)).changed
    assert break_lock.inspect(host) == HeldLock(None)
    with change(make().login, "next"):
        pass


# -- a whole lock, on this machine -----------------------------------------------------------


@pytest.fixture
def make(tmp_path, monkeypatch):
    import pwd

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(break_lock, "GRACE_S", 1.0)
    # The account that runs the tests acts as root.
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


def test_a_free_lock_is_not_touched(make):
    host = make()
    assert break_lock.inspect(host) == HeldLock(None)
    assert not break_lock.apply(
        host, break_lock.plan(break_lock.inspect(host), "why", kill=False)
    ).changed


def test_a_hung_holder_is_shown_stopped_and_recorded(make, tmp_path):
    host, hung = make(), make()
    context = change(hung.login, "deploy")
    context.__enter__()
    # A step that hangs and outlives its client.
    leave_running(hung.login, "sleep 300")
    held = break_lock.inspect(host)
    assert held.owner.task == "deploy"
    assert len(held.processes) >= 2
    outcome = break_lock.apply(host, break_lock.plan(held, "it hangs", kill=True))
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


@pytest.mark.skipif(os.geteuid() != 0, reason="only root replaces the file")
@pytest.mark.parametrize("mode", [0o664, 0o644, 0o666])
def test_a_change_by_root_replaces_a_file_that_others_can_open(make, file, mode):
    host, other = make(), make()
    file.chmod(mode)
    before = file.stat().st_ino
    with change(host.login, "manage"):
        assert file.stat().st_ino != before
        assert file.stat().st_mode & 0o777 in (0o600, 0o660)
        with pytest.raises(Refused, match="manage"), change(other.login, "deploy"):
            pass
    after = file.stat().st_ino
    with change(other.login, "deploy"):
        assert file.stat().st_ino == after


def test_who_waits_for_a_file_that_is_replaced_does_not_get_the_lock(tmp_path, hold, file):
    spec = HostSpec(name="h", address="h", lock_dir=str(tmp_path))
    text = lock.take_text(spec, lock.Owner("ada", "deploy", "", ""), checked=True)
    holder = hold(file)
    waiting = subprocess.Popen(["bash", "-c", f"{text}\nexit $?"])
    until(lambda: any(p["pid"] != holder.pid for p in open_files.holders(str(file))), "it waits")
    (tmp_path / "new").touch()
    (tmp_path / "new").rename(file)
    holder.kill()
    assert waiting.wait(10) == lock.REPLACED_CODE


def test_a_new_holder_is_not_stopped(make):
    host, first, second = make(), make(), make()
    with change(first.login, "deploy"):
        held = break_lock.inspect(host)
    with change(second.login, "manage"), pytest.raises(Refused, match="another run"):
        break_lock.apply(host, break_lock.plan(held, "why", kill=True))


def test_a_holder_without_a_name_that_does_not_end_is_a_failure(make, hold, file):
    host = make()
    process = hold(file, stubborn=True)
    held = break_lock.inspect(host)
    assert held.owner == lock.NAMELESS
    with pytest.raises(VerifyFailed, match=f"still held, by process {process.pid}"):
        break_lock.apply(host, break_lock.plan(held, "why", kill=False))
    assert process.poll() is None
    assert break_lock.apply(
        host, break_lock.plan(break_lock.inspect(host), "why", kill=True)
    ).changed
    assert process.wait(5) == -9


def test_only_the_processes_shown_are_stopped(make, hold, file):
    host = make()
    shown_one = hold(file)
    held = break_lock.inspect(host)
    later = subprocess.Popen(["sleep", "60"], stdin=file.open())
    try:
        break_lock.apply(host, break_lock.plan(held, "why", kill=True))
        assert shown_one.wait(5) is not None
        assert later.poll() is None
    finally:
        later.kill()
        later.wait()


def test_another_holder_without_a_name_is_refused(make, hold, file):
    host = make()
    first = hold(file)
    held = break_lock.inspect(host)
    first.kill()
    first.wait()
    second = hold(file)
    with pytest.raises(Refused, match="another run"):
        break_lock.apply(host, break_lock.plan(held, "why", kill=True))
    assert second.poll() is None


@pytest.mark.parametrize(
    "answer",
    [
        "[]",
        '{"ok": {"holders": null}}',
        '{"ok": {"holders": [{"pid": 1}]}}',
        '{"ok": {"holders": [{"pid": "1", "start_ticks": 1, "user": "", "age_s": 1,'
        ' "command": ""}]}}',
        '{"ok": {"holders": [{"pid": 1, "start_ticks": 1, "user": "", "age_s": -1,'
        ' "command": ""}]}}',
    ],
)
def test_an_invalid_answer_about_a_lock_is_an_invalid_response(fake_host, answer):
    host = fake_host()
    host.expect(break_lock.is_free(host.spec), Reply(1), user="root")
    host.expect(lock.holder(host.spec), "held")
    host.expect(HOLDERS, HoldersRequest(host.spec.lock_file), Reply(out=answer))
    with pytest.raises(InvalidResponse):
        break_lock.inspect(host)
