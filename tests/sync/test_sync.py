"""The Level 3 sync: what is installed, how it is read, and a run with a stand-in for rsync."""

import json
import os
import shlex
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.core.errors import CommandFailed, Refused, VerifyFailed
from opstasks.fleet.inventory import HostSpec
from opstasks.onhost import mounts as remote_mounts
from opstasks.primitives import rsync
from opstasks.sync import act, units
from opstasks.sync.onhost import look as remote_look
from opstasks.sync.onhost import run as remote_run
from opstasks.sync.onhost import units as remote_units

SPEC = HostSpec(name="tpp", level3_source="/e/FILES FOR%L4/workspaces")

MOUNTINFO = """\
1 0 8:1 / / rw - ext4 /dev/sda1 rw
2 1 8:2 / /srv rw - ext4 /dev/sda2 rw
3 1 0:50 / /e rw - cifs //host/e rw
4 1 0:51 / /mnt/with\\040blank rw - cifs //host/f rw
"""
POINTS = remote_mounts.mount_points(MOUNTINFO)


# -- the copy --------------------------------------------------------------------------------


def test_the_copy_deletes_nothing_and_shows_nothing_half_done():
    words = rsync.careful_copy("/e/w/", "/srv/m/workspaces", "/srv/m/.tmp", ("/.hold",))
    assert words[0] == "rsync"
    assert {"--recursive", "--update", "--no-partial", "--temp-dir=/srv/m/.tmp"} <= set(words)
    assert not [word for word in words if "delete" in word or word in ("-P", "--partial")]
    assert "--inplace" not in words
    assert words[-3:] == ["--", "/e/w/", "/srv/m/workspaces/"]


def test_links_devices_owners_and_modes_stay_behind():
    words = rsync.careful_copy("/e", "/srv", "/tmp", ())
    assert not {"--archive", "-a", "--links", "--devices", "--perms", "--group"} & set(words)
    assert "--chmod=D0750,F0640" in words


@given(st.text(st.characters(exclude_characters="\0/", exclude_categories=("Cs",)), min_size=1))
def test_a_pattern_has_no_wildcard_left(name):
    found = remote_run.pattern(name)
    assert found.startswith("/")
    if not any(sign in name for sign in "*?["):
        assert found[1:] == name
        return
    bare, literal, signs = found[1:], "", iter(found[1:])
    for sign in signs:
        assert sign not in "*?["
        literal += next(signs) if sign == "\\" else sign
    assert literal == name, bare


# -- mounts ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "mount"),
    [
        ("/e/FILES/workspaces", "/e"),
        ("/e", "/e"),
        ("/else", "/"),
        ("/srv/medium", "/srv"),
        ("/mnt/with blank/x", "/mnt/with blank"),
    ],
)
def test_the_mount_of_a_path(path, mount):
    assert remote_mounts.mount_of(path, POINTS) == mount


@pytest.fixture
def place(tmp_path):
    """A source that counts as mounted, a target, and a request for a run."""
    for name in ("e/ws", "srv/ws", "home"):
        (tmp_path / name).mkdir(parents=True)
    return {
        "source": str(tmp_path / "e/ws"),
        "target": str(tmp_path / "srv/ws"),
        "temp_dir": str(tmp_path / "srv/.tmp"),
        "state_dir": str(tmp_path / "home/opstasks"),
        "rsync": ["sh", "-c", "cat >/dev/null; echo '>f+++++++++ 12 W/new.csv'"],
    }


@pytest.fixture
def points(tmp_path):
    return ["/", str(tmp_path / "e"), str(tmp_path / "srv")]


def state_of(place):
    return json.loads(Path(place["state_dir"], "level3-sync.json").read_text())


def test_a_run_leaves_a_record_and_the_time_of_its_success(place, points):
    record = remote_run.run(place, points)
    assert (record["error"], record["copied"], record["bytes"]) == ("", 1, 12)
    assert state_of(place)["last"]["items"] == ["W/new.csv"]
    assert time.time() - state_of(place)["last_success"] < 10
    assert not Path(place["temp_dir"]).exists()


def test_a_source_that_is_not_mounted_is_an_error_and_nothing_is_copied(place, tmp_path):
    place["rsync"] = ["touch", str(tmp_path / "ran")]
    record = remote_run.run(place, ["/"])
    assert "is not mounted" in record["error"]
    assert not (tmp_path / "ran").exists()
    assert state_of(place)["last_success"] == 0.0


def test_a_failure_keeps_the_time_of_the_last_success(place, points):
    remote_run.run(place, points)
    before = state_of(place)["last_success"]
    place["rsync"] = ["sh", "-c", "echo 'rsync: mkstemp: Permission denied (13)' >&2; exit 23"]
    record = remote_run.run(place, points)
    assert "Permission denied" in record["error"]
    assert state_of(place)["last_success"] == before


def test_files_that_vanish_under_way_are_no_failure(place, points):
    place["rsync"] = ["sh", "-c", "exit 24"]
    assert remote_run.run(place, points)["error"] == ""


def test_a_target_on_another_file_system_than_its_temporary_files_is_refused(place, points):
    for extra in (place["temp_dir"], place["target"] + "/W"):
        record = remote_run.run(place, [*points, extra])
        assert "another file system" in record["error"]


def test_a_source_inside_the_target_is_refused(place, points):
    place["source"] = place["target"]
    assert "lie in each other" in remote_run.run(place, points)["error"]


def test_what_a_dead_run_left_is_cleared_away_first(place, points):
    temp = Path(place["temp_dir"])
    temp.mkdir()
    (temp / "old.csv.AbCdEf").write_text("half a fi")
    place["rsync"] = ["sh", "-c", f"ls -A {shlex.quote(str(temp))} | grep . && exit 1; exit 0"]
    assert remote_run.run(place, points)["error"] == ""


def test_a_temporary_directory_that_is_a_link_is_not_followed(place, points, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("x")
    Path(place["temp_dir"]).symlink_to(outside)
    assert remote_run.run(place, points)["error"]
    assert (outside / "kept").exists()


def test_two_runs_never_overlap(place):
    with (
        remote_run.alone(place["state_dir"]),
        pytest.raises(remote_run.SyncError, match="at work"),
        remote_run.alone(place["state_dir"], wait_s=0.3),
    ):
        pass
    with remote_run.alone(place["state_dir"], wait_s=0.3):
        pass


def test_what_would_have_to_be_deleted_is_left_out_and_said(place, points, tmp_path):
    source, target = Path(place["source"]), Path(place["target"])
    for path in ("W/dir-here", "W/same"):
        (source / path).mkdir(parents=True)
    (source / "W/dir-here/inner").write_text("x")
    (source / "W/file[1]*").write_text("x")
    (source / "W/plain").write_text("x")
    (source / "W/link").symlink_to("/nowhere")
    (target / "W/same").mkdir(parents=True)
    (target / "W/dir-here").write_text("a file")
    (target / "W/file[1]*").mkdir()
    (target / "W/plain").symlink_to("/etc/passwd")
    (target / "W/link").write_text("a file, and links are not copied")
    seen = tmp_path / "seen"
    place["rsync"] = ["sh", "-c", f"cat >{shlex.quote(str(seen))}"]
    record = remote_run.run(place, points)
    assert record["clashes"] == ["W/dir-here", "W/file[1]*", "W/plain"]
    assert "not copied" in record["error"]
    assert seen.read_bytes() == b"/W/dir-here\0/W/file\\[1]\\*\0/W/plain\0"


def test_itemised_lines_are_told_apart():
    told = remote_run.read(
        "cd+++++++++ 4096 W/\n>f+++++++++ 5 W/a b.csv\n>f.st...... 7 W/\\#012x\n"
        'skipping non-regular file "W/link"\n.d..t...... 4096 W/\nsomething else\n'
    )
    assert (told["copied"], told["bytes"]) == (2, 12)
    assert told["items"] == ["W/a b.csv", "W/\\#012x"]
    assert told["skipped"] == ["W/link"]


# -- what is installed -----------------------------------------------------------------------


def test_unit_files_hold_no_specifier_by_accident():
    files = units.files(SPEC)
    service = files[f"{units.UNIT_DIR}/{units.SERVICE}"]
    assert "/e/FILES FOR%%L4/workspaces" in service
    assert "User=opensafely" in service
    timer = files[f"{units.UNIT_DIR}/opstasks-level3-sync.timer"]
    assert "OnUnitInactiveSec=120s" in timer


def test_the_installed_script_compiles_and_holds_the_places():
    text = units.script(SPEC)
    compile(text, "level3-sync", "exec")
    assert "/e/FILES FOR%L4/workspaces" in text


def test_without_a_source_there_is_nothing_to_start():
    with pytest.raises(Refused, match="level3_source"):
        units.check_source(HostSpec(name="emis"))


def test_nothing_is_put_in_its_place_when_a_script_does_not_compile(tmp_path, monkeypatch, capsys):
    path = tmp_path / "lib" / "script"
    asked = {"files": {str(path): "def ("}, "enable": [], "disable": []}
    remote_units.main(json.dumps({**asked, "again": False}))
    answer = json.loads(capsys.readouterr().out)
    assert not answer["ok"]
    assert not path.exists()


def test_a_file_is_right_only_with_its_owner_and_mode(tmp_path):
    path = tmp_path / "unit"
    remote_units.put(str(path), "text")
    assert remote_units.differs(str(path), "text") == (os.getuid() != 0)
    assert remote_units.differs(str(path), "other")
    path.chmod(0o666)
    assert remote_units.differs(str(path), "text")


# -- how it stands ---------------------------------------------------------------------------


def answer(**over):
    found = {
        "files": {p: act.hashlib.sha256(t.encode()).hexdigest() for p, t in FILES.items()},
        "timer": {"ActiveState": "active", "UnitFileState": "enabled"},
        "service": {"LoadState": "loaded", "ActiveState": "inactive"},
        "state": {"last": {"started": 10.0, "ended": 11.0}, "last_success": 11.0},
        "by_hand": [],
        "now": 20.0,
    }
    return act.parse(SPEC, json.dumps({**found, **over}))


FILES = units.files(SPEC)


def test_a_sync_that_is_well_needs_nobody():
    assert answer().attention() == []
    assert answer().success_age_s == 9.0


@pytest.mark.parametrize(
    ("over", "words"),
    [
        ({"timer": {"ActiveState": "inactive"}}, "is off: run"),
        ({"timer": {"ActiveState": "inactive", "UnitFileState": "enabled"}}, "next boot starts it"),
        ({"timer": {"ActiveState": "active", "UnitFileState": "disabled"}}, "next reboot"),
        ({"files": dict.fromkeys(FILES, "x")}, "not as hosts.yaml says"),
        ({"state": {"last": {"error": "/e is not mounted"}, "last_success": 11.0}}, "not mounted"),
        ({"now": 11.0 + 16 * 60}, "quarter of an hour"),
        ({"by_hand": [77]}, "by hand (process 77)"),
    ],
)
def test_what_is_wrong_is_said(over, words):
    (text,) = answer(**over).attention()
    assert words in text


def test_a_state_file_of_another_version_is_no_traceback():
    assert answer(state={"last": {"copied": 3, "new_key": 1}}).last.copied == 3
    assert answer(state={}).last == act.Last()


def test_a_loop_by_hand_is_found_and_our_own_run_is_not(tmp_path):
    def process(pid, words, cgroup):
        folder = tmp_path / str(pid)
        folder.mkdir()
        (folder / "cmdline").write_bytes(b"\0".join(words) + b"\0")
        (folder / "cgroup").write_text(cgroup)

    service = units.SERVICE
    process(11, [b"rsync", b"-auP", b"/e/ws/", b"/srv/ws/"], "0::/user.slice")
    process(12, [b"/usr/bin/rsync", b"-a", b"/e/ws/", b"/x"], f"0::/system.slice/{service}")
    process(13, [b"rsync", b"-a", b"/other/", b"/x"], "0::/user.slice")
    process(14, [b"vim", b"/e/ws/"], "0::/user.slice")
    assert remote_look.by_hand("/e/ws", service, str(tmp_path)) == [11]


# -- acting, on a host that answers what is scripted -----------------------------------------


class Scripted:
    """A host whose looks are scripted; anything else is an error."""

    name = "tpp"
    spec = SPEC

    def __init__(self, monkeypatch, *looks):
        self.looks, self.placed, self.commands = list(looks), [], []
        self.root = self
        monkeypatch.setattr(act, "look", lambda host: self.looks.pop(0))
        monkeypatch.setattr(act, "_place", self.place)
        monkeypatch.setattr(act, "change", lambda shell, task, args=None: self)

    def __enter__(self):
        return "run"

    def __exit__(self, *_):
        return False

    def place(self, host, **asked):
        self.placed.append(asked)
        return True

    def batch(self, commands):
        self.commands += commands
        return [act.Result(command.line(), 1, "", "job failed") for command in commands]

    def step(self, text):
        pass

    def checkpoint(self, where):
        pass

    def pause(self, seconds):
        pass


def last(started, ended=99.0, error="", copied=0):
    return {"state": {"last": dict(started=started, ended=ended, error=error, copied=copied)}}


OFF = {"timer": {"ActiveState": "inactive", "UnitFileState": "disabled"}}
ONLY_ENABLED = {"timer": {"ActiveState": "inactive", "UnitFileState": "enabled"}}
ONLY_ON = {"timer": {"ActiveState": "active", "UnitFileState": "disabled"}}


def test_starting_what_runs_well_does_nothing(monkeypatch):
    host = Scripted(monkeypatch, answer())
    assert act.start(host) == act.Outcome(False, "on", answer().last)
    assert not host.placed


def test_starting_waits_for_the_first_run(monkeypatch):
    looks = [answer(**OFF), answer(**last(10.0)), answer(**last(30.0, 0.0)), answer(**last(30.0))]
    host = Scripted(monkeypatch, *looks)
    assert act.start(host).changed
    assert not host.looks
    assert host.placed[0]["enable"] == ["opstasks-level3-sync.timer"]


def test_a_first_run_that_fails_is_a_failure(monkeypatch):
    failed = answer(**last(30.0, error="/e is not mounted"))
    host = Scripted(monkeypatch, answer(**OFF), failed)
    with pytest.raises(VerifyFailed, match="not mounted"):
        act.start(host)


def test_stopping_what_is_off_does_nothing(monkeypatch):
    host = Scripted(monkeypatch, answer(**OFF))
    assert not act.stop(host).changed
    assert not host.placed


@pytest.mark.parametrize("left", [{}, ONLY_ON, ONLY_ENABLED])
def test_a_sync_that_does_not_stop_is_a_failure(monkeypatch, left):
    with pytest.raises(VerifyFailed, match="still on"):
        act.stop(Scripted(monkeypatch, answer(), answer(**left)))


def test_stopping_takes_away_the_start_at_the_next_boot_too(monkeypatch):
    host = Scripted(monkeypatch, answer(**ONLY_ENABLED), answer(**OFF))
    assert act.stop(host).changed
    assert units.TIMER in host.placed[0]["disable"]


def test_starting_what_only_runs_until_the_next_boot_enables_it(monkeypatch):
    host = Scripted(monkeypatch, answer(**ONLY_ON), answer(**last(30.0)))
    assert act.start(host).changed
    # The timer is started anew, for the run that is then waited for.
    assert (host.placed[0]["enable"], host.placed[0]["again"]) == ([units.TIMER], True)


def test_once_joins_no_run_that_began_too_early(monkeypatch):
    busy = {"service": {"LoadState": "loaded", "ActiveState": "activating"}}
    host = Scripted(monkeypatch, answer(**busy), answer(**last(30.0, copied=2)))
    assert act.once(host).last.copied == 2
    assert len(host.commands) == 2


def test_once_without_a_record_is_a_failure(monkeypatch):
    with pytest.raises(CommandFailed, match="no record"):
        act.once(Scripted(monkeypatch, answer(), answer()))


BROKEN = {"service": {"LoadState": "loaded", "ActiveState": "failed", "Result": "exit-code"}}


def test_a_run_that_breaks_off_without_a_record_is_said(monkeypatch):
    (text,) = answer(state={}, **BROKEN).attention()
    assert "broke off (exit-code)" in text
    times = iter([0.0, 31.0])
    monkeypatch.setattr(act.time, "monotonic", lambda: next(times))
    host = Scripted(monkeypatch, answer(state={}, **BROKEN), answer(state={}, **BROKEN))
    with pytest.raises(CommandFailed, match="first run broke off"):
        act.start(host)
    assert host.placed[0]["again"]


def test_a_file_that_vanishes_while_it_is_listed_is_no_clash(tmp_path, monkeypatch):
    (tmp_path / "kept").mkdir()
    listed = [(str(tmp_path), ["kept"], ["gone"])]
    monkeypatch.setattr(remote_run.os, "walk", lambda folder: iter(listed))
    assert remote_run.clashes(str(tmp_path), str(tmp_path / "target")) == []


def test_the_record_of_a_run_is_not_for_everybody(place, points):
    remote_run.run(place, points)
    path = Path(place["state_dir"], "level3-sync.json")
    assert path.stat().st_mode & 0o777 == 0o640
