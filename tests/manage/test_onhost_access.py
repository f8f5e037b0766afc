"""Changing login files: kept, confirmed, restored; on local files."""

import os
import subprocess
import sys

import pytest

from opstasks.manage import access
from opstasks.manage.onhost import (
    confirm_access,
    file_actions,
    install_access,
    restore_access,
    way_back,
)
from opstasks.onhost import protocol, safe_files
from tests.fake_host import FakeHost
from tests.manage.onhost_help import as_root, file_action, mode_of


class Access:
    """The three programs with their own folder; their calls to systemd are recorded."""

    def __init__(self, folder, calls):
        self.folder, self.calls, self.place = folder, calls, str(folder / "access")

    def install(self, *actions):
        """Why it failed, or ""."""
        request = {"folder": self.place, "actions": list(actions), "script": "", "patience_s": 9}
        answer = protocol.answer_to(install_access.main, request)
        if "ok" in answer:
            assert answer == {"ok": {"done": len(actions)}}
            return ""
        return "\n".join(answer["failed"][key] for key in ("reason", "detail"))

    def confirm(self):
        return confirm_access.main({"folder": self.place})["was_in_place"]

    def restore(self, *, by_timer=False):
        return restore_access.main({"folder": self.place, "by_timer": by_timer})["restored"]


@pytest.fixture
def host(tmp_path, monkeypatch):
    calls = []

    def run(*args):
        calls.append(args)
        return "port 1\n"

    monkeypatch.setattr(install_access, "run", run)
    monkeypatch.setattr(way_back, "run", run)
    monkeypatch.setattr(way_back, "reload", lambda unit: calls.append(("reload", unit)))
    monkeypatch.setattr(way_back, "stop_timer", lambda: calls.append(("stop timer",)))
    if os.geteuid() != 0:
        monkeypatch.setattr(safe_files, "ids", lambda *_: (os.geteuid(), os.getegid()))
    before = os.umask(0o022)
    yield Access(tmp_path, calls)
    os.umask(before)


def test_a_change_stays_once_it_is_confirmed(host):
    (host.folder / "f").write_text("old\n")
    assert host.install(file_action(host.folder / "f")) == ""
    assert [call[0] for call in host.calls] == ["stop timer", "systemd-run"]
    assert (host.folder / "access" / "manifest.json").exists()
    assert mode_of(host.folder / "access") == 0o700
    assert host.confirm()
    assert not host.restore(by_timer=True)
    assert (host.folder / "f").read_text() == "new\n"
    assert list((host.folder / "access").iterdir()) == []


@pytest.mark.parametrize("by_timer", [False, True])
def test_a_change_that_is_not_confirmed_is_undone_completely(host, by_timer):
    old = host.folder / "f"
    old.write_text("old\n")
    old.chmod(0o604)
    host.install(file_action(old, mode="0600"), file_action(host.folder / "fresh"))
    assert host.restore(by_timer=by_timer)
    assert (old.read_text(), mode_of(old)) == ("old\n", 0o604)
    assert not (host.folder / "fresh").exists()
    # A service that systemd runs must not stop itself.
    assert (("stop timer",) in host.calls[2:]) is not by_timer
    # Too late: the run learns that its files were restored.
    assert not host.confirm()


@pytest.mark.parametrize("target", ["keys", "/no/such/place"])
def test_a_replaced_link_is_restored_as_a_link(host, target):
    (host.folder / "keys").write_text("mine\n")
    (host.folder / "f").symlink_to(target)
    host.install(file_action(host.folder / "f"))
    assert not (host.folder / "f").is_symlink()
    host.restore()
    assert os.readlink(host.folder / "f") == target
    assert (host.folder / "keys").read_text() == "mine\n"
    assert sorted(path.name for path in host.folder.iterdir()) == ["access", "f", "keys"]


def test_a_folder_in_place_of_a_file_does_not_stop_the_restoring_of_others(host):
    (host.folder / "f").write_text("old\n")
    (host.folder / "g").mkdir()
    reason = host.install(file_action(host.folder / "f"), file_action(host.folder / "g"))
    assert "is a directory" in reason
    assert (host.folder / "f").read_text() == "old\n"
    assert (host.folder / "g").is_dir()


def test_an_action_that_fails_undoes_those_before_it(host):
    (host.folder / "f").write_text("old\n")
    bad = file_action(host.folder / "g", verify=["bash", "-c", "echo whole is bad >&2; exit 1"])
    reason = host.install(file_action(host.folder / "f"), bad)
    assert "whole is bad" in reason
    assert "the old files were restored" in reason
    assert (host.folder / "f").read_text() == "old\n"
    assert not (host.folder / "g").exists()


def test_a_defect_while_installing_undoes_everything(host, monkeypatch):
    (host.folder / "f").write_text("old\n")
    bad = {"do": "no such action"}
    monkeypatch.setattr(install_access, "perform", lambda action: action["path"] and 1 / 0)
    assert "ZeroDivisionError" in host.install(file_action(host.folder / "f"), bad)
    assert (host.folder / "f").read_text() == "old\n"
    assert not host.restore()


def test_a_second_run_keeps_the_files_from_before_the_first(host):
    (host.folder / "f").write_text("oldest\n")
    host.install(file_action(host.folder / "f", "unproven\n"))
    host.install(file_action(host.folder / "f", "newer\n"))
    assert (host.folder / "f").read_text() == "newer\n"
    host.restore()
    assert (host.folder / "f").read_text() == "oldest\n"


def test_a_deleted_file_is_restored_with_the_rest(host, monkeypatch):
    monkeypatch.setattr(file_actions, "reload", lambda unit: None)
    (host.folder / "old").write_text("old\n")
    action = {"do": "remove", "path": str(host.folder / "old"), "reload": ""}
    for _ in range(2):
        assert host.install(action, file_action(host.folder / "fresh")) == ""
        assert not (host.folder / "old").exists()
    host.restore()
    assert (host.folder / "old").read_text() == "old\n"
    assert not (host.folder / "fresh").exists()


def test_the_file_that_failed_is_named(host):
    bad = file_action(host.folder / "g", verify=["bash", "-c", "exit 1"])
    assert str(host.folder / "g") in host.install(file_action(host.folder / "f"), bad)


def test_the_old_files_are_restored_when_sshd_no_longer_answers(host, monkeypatch):
    monkeypatch.setattr(file_actions, "reload", lambda unit: None)
    monkeypatch.setattr(install_access, "answers", lambda port: False)
    (host.folder / "f").write_text("old\n")
    reason = host.install(file_action(host.folder / "f", reload="ssh"))
    assert "no longer answers on port 1; the old files were restored" in reason
    assert (host.folder / "f").read_text() == "old\n"
    assert ("reload", "ssh") in host.calls


# -- the script that stays on the host -----------------------------------------------------------


@as_root
def test_the_script_of_the_timer_restores_the_old_files_by_itself(host, monkeypatch):
    monkeypatch.setattr(access, "access_dir", lambda spec: host.place)
    (host.folder / "f").write_text("old\n")
    host.install(file_action(host.folder / "f"))
    request = access.install_request(FakeHost(), [])
    assert f"# {access.ABOUT}" in request.script.splitlines()[:3]
    script = host.folder / "script.py"
    script.write_text(request.script)
    done = subprocess.run(
        [sys.executable, "-I", str(script)], capture_output=True, text=True, check=True, cwd="/"
    )
    assert done.stdout == '{"ok": {"restored": true}}\n'
    assert (host.folder / "f").read_text() == "old\n"


def test_the_script_is_the_same_every_time():
    first, second = (access.install_request(FakeHost(), []).script for _ in range(2))
    assert first == second
