"""Changing login files: kept, confirmed, restored; on local files."""

import contextlib
import errno
import json
import os
import socket
import subprocess
import sys
import threading

import pytest

from opstasks.manage import access
from opstasks.manage.onhost import (
    confirm_access,
    file_actions,
    install_access,
    restore_access,
    sshd_answers,
    way_back,
)
from opstasks.onhost import protocol, safe_files
from opstasks.onhost.masking import masked
from tests.fake_host import FakeHost
from tests.manage.onhost_help import as_root, file_action, kept, mode_of


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

    monkeypatch.setattr(sshd_answers, "listens", lambda: [("192.0.2.1", 22)])
    monkeypatch.setattr(way_back, "run", lambda *args: calls.append(args))
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


def test_an_edit_before_the_old_files_are_restored_is_kept(host):
    path = host.folder / "f"
    path.write_text("old\n")
    host.install(file_action(path))
    path.write_text("by hand\n")
    host.restore()
    assert path.read_text() == "old\n"
    assert kept(path) == ["old\n", "by hand\n"]


def test_old_files_without_a_folder_for_edits_are_restored(host):
    path = host.folder / "f"
    path.write_text("new\n")
    old = {"path": str(path), "content": "b2xkCg==", "mode": "0640"}
    files = [old | {"owner": str(os.geteuid()), "group": str(os.getegid())}]
    (host.folder / "access").mkdir()
    manifest = host.folder / "access" / "manifest.json"
    manifest.write_text(json.dumps({"files": files, "reload": []}))
    assert host.restore()
    assert path.read_text() == "old\n"


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
    action = {**file_action(host.folder / "old"), "do": "remove"}
    for _ in range(2):
        assert host.install(action, file_action(host.folder / "fresh")) == ""
        assert not (host.folder / "old").exists()
    host.restore()
    assert (host.folder / "old").read_text() == "old\n"
    assert not (host.folder / "fresh").exists()


@pytest.mark.parametrize("name", ["g", "authorized_keys"])
def test_the_file_that_failed_is_named_with_its_reason(host, name):
    (host.folder / name).mkdir()
    reason = masked(host.install(file_action(host.folder / "f"), file_action(host.folder / name)))
    assert f"{host.folder / name} cannot be changed: " in reason
    assert "is a directory" in reason


def test_the_old_files_are_restored_when_sshd_no_longer_answers(host, monkeypatch):
    monkeypatch.setattr(file_actions, "reload", lambda unit: None)
    monkeypatch.setattr(sshd_answers, "answers", lambda addresses: False)
    (host.folder / "f").write_text("old\n")
    reason = host.install(file_action(host.folder / "f", reload="ssh"))
    assert "no longer answers on 192.0.2.1:22; the old files were restored" in reason
    assert (host.folder / "f").read_text() == "old\n"
    assert ("reload", "ssh") in host.calls


# -- what cannot be restored ---------------------------------------------------------------------

ERRORS = (
    OSError(errno.ENOSPC, "No space left on device"),
    PermissionError(errno.EPERM, "Operation not permitted"),
    safe_files.Unsafe("/x is a link that someone other than root may have made"),
    protocol.HostFailure("x failed", "first\nthe reason"),
    KeyError("content"),
)


def failing(monkeypatch, name, about, error):
    """One step of the way back fails for one file or unit, and works for all others."""
    real = getattr(way_back, name)

    def step(given):
        if given == about or (isinstance(given, dict) and given["path"] == str(about)):
            raise error
        real(given)

    monkeypatch.setattr(way_back, name, step)


@pytest.fixture
def three(host, monkeypatch):
    """Three files that were changed, each of another kind, and their old states."""
    monkeypatch.setattr(file_actions, "reload", lambda unit: None)
    content, link, none = (host.folder / name for name in ("content", "link", "none"))
    content.write_text("old\n")
    link.symlink_to("content")
    actions = [file_action(path, reload=f"{path.name}.service") for path in (content, link, none)]
    assert host.install(*actions) == ""
    host.calls.clear()
    return (content, link, none)


def is_old(path):
    if path.name == "link":
        return path.is_symlink()
    return path.read_text() == "old\n" if path.name == "content" else not path.exists()


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("by_timer", [False, True])
def test_a_file_that_cannot_be_restored_keeps_no_other_from_it(
    host, three, monkeypatch, number, error, by_timer
):
    bad = three[number]
    with monkeypatch.context() as broken:
        failing(broken, "restore", bad, error)
        with pytest.raises(protocol.HostFailure, match=f"^{bad} was not restored: ") as caught:
            host.restore(by_timer=by_timer)
    assert [is_old(path) for path in three] == [path != bad for path in three]
    assert str(three[number - 1]) not in caught.value.reason
    # All units, and the timer goes on: it tries again.
    assert host.calls == [("reload", f"{path.name}.service") for path in three]
    # Only what failed is restored again: a person may have edited the others meanwhile.
    other = three[number - 1]
    other.unlink(missing_ok=True)
    other.write_text("by hand\n")
    assert host.restore(by_timer=True)
    assert (is_old(bad), other.read_text()) == (True, "by hand\n")
    assert not host.restore()


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("number", range(3))
def test_a_unit_that_is_not_reloaded_keeps_no_other_from_it(
    host, three, monkeypatch, number, error
):
    bad = f"{three[number].name}.service"
    with monkeypatch.context() as broken:
        failing(broken, "reload", bad, error)
        with pytest.raises(protocol.HostFailure, match=f"^{bad} was not reloaded: "):
            host.restore()
    assert all(map(is_old, three))
    others = [("reload", f"{path.name}.service") for path in three if path != three[number]]
    assert host.calls == others
    assert host.restore()
    assert ("reload", bad) in host.calls


def test_every_file_and_unit_that_failed_is_named(host, three, monkeypatch):
    (content, link, none) = three
    with monkeypatch.context() as broken:
        failing(broken, "restore", content, ERRORS[0])
        failing(broken, "restore", none, ERRORS[3])
        failing(broken, "reload", "link.service", ERRORS[1])
        with pytest.raises(protocol.HostFailure) as caught:
            host.restore()
    assert caught.value.reason.split("; ") == [
        f"{none} was not restored: x failed: the reason",
        f"{content} was not restored: no space left on device",
        "link.service was not reloaded: operation not permitted",
    ]
    assert is_old(link)


def test_a_folder_that_is_gone_keeps_no_file_from_it(host):
    """As the last test, with an error of the operating system."""
    (host.folder / "home").mkdir()
    paths = [host.folder / "home" / "keys", host.folder / "f"]
    for path in paths:
        path.write_text("old\n")
    assert host.install(*map(file_action, paths)) == ""
    paths[0].unlink()
    paths[0].parent.rmdir()
    with pytest.raises(protocol.HostFailure, match=f"^{paths[0]} was not restored: no such file"):
        host.restore()
    assert paths[1].read_text() == "old\n"


def test_files_are_restored_again_if_nobody_could_note_which_failed(host, three, monkeypatch):
    with monkeypatch.context() as broken:
        failing(broken, "restore", three[0], ERRORS[0])
        broken.setattr(way_back, "put", full_disk)
        with pytest.raises(protocol.HostFailure, match=f"^{three[0]} was not restored"):
            host.restore()
    assert host.restore()
    assert all(map(is_old, three))


def full_disk(*_):
    raise ERRORS[0]


@pytest.mark.parametrize("cause", [protocol.HostFailure("it is bad", "line 3"), KeyError("do")])
def test_an_install_that_fails_says_which_old_files_are_not_there(host, monkeypatch, cause):
    paths = [host.folder / name for name in "fgh"]
    for path in paths:
        path.write_text("old\n")

    def check(action):
        if action["path"] == str(paths[2]):
            raise cause
        file_actions.file(action)

    monkeypatch.setattr(install_access, "perform", check)
    failing(monkeypatch, "restore", paths[1], ERRORS[0])
    reason = host.install(*map(file_action, paths))
    assert protocol.error_text(cause) in reason
    text = f"{paths[1]} was not restored: no space left on device; the rest was restored, and the"
    assert text in reason
    assert "the old files were restored" not in reason
    assert [path.read_text() for path in paths] == ["old\n", "new\n", "old\n"]
    # The timer goes on.
    assert [call[0] for call in host.calls] == ["stop timer", "systemd-run"]


# -- where sshd answers --------------------------------------------------------------------------

SSHD_T = "port 22\nlistenaddress [::]:22\nlistenaddress 0.0.0.0:22\nlistenaddress 192.0.2.7:2222\n"


@pytest.fixture
def said(monkeypatch):
    """The outputs of systemctl and sshd; sshd's arguments are recorded."""
    asked, outputs = [], {"systemctl": "ActiveState=inactive\nListen=[::]:99 (Stream)\n"}

    def effective(*words):
        asked.append(words)
        return subprocess.CompletedProcess(words, 0, outputs.get("sshd", SSHD_T), "")

    def attempt(*words, timeout_s):
        return subprocess.CompletedProcess(words, 0, outputs["systemctl"], "")

    monkeypatch.setattr(sshd_answers, "effective", effective)
    monkeypatch.setattr(sshd_answers, "attempt", attempt)
    monkeypatch.setattr(sshd_answers, "text_of", lambda path: "SSHD_OPTS='-o ListenAddress=::1'")
    outputs["asked"] = asked
    return outputs


def test_sshd_itself_says_where_it_listens_also_with_its_start_options(said):
    assert sshd_answers.listens() == [("::", 22), ("0.0.0.0", 22), ("192.0.2.7", 2222)]
    assert said["asked"] == [("-o", "ListenAddress=::1")]


def test_systemd_says_where_it_listens_for_sshd(said):
    said["systemctl"] = "ActiveState=active\nListen=[::]:99 (Stream)\nListen=10.1.2.3:98 (Stream)\n"
    assert sshd_answers.listens() == [("::", 99), ("10.1.2.3", 98)]
    assert said["asked"] == []


def test_an_sshd_that_does_not_say_where_it_listens_is_a_failure(said):
    said["sshd"] = "listenaddress\nlistenaddress x:y\n"
    with pytest.raises(protocol.HostFailure, match="does not say where it listens"):
        sshd_answers.listens()


@pytest.fixture
def server():
    """Listen on an address as an sshd does, in the background; returns the port."""
    opened = []

    def listen(ip, banner=b"SSH-2.0-x\r\n"):
        family = socket.AF_INET6 if ":" in ip else socket.AF_INET
        one = socket.create_server((ip, 0), family=family)
        opened.append(one)

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    with one.accept()[0] as stream:
                        stream.sendall(banner)

        threading.Thread(target=serve, daemon=True).start()
        return one.getsockname()[1]

    yield listen
    for one in opened:
        one.shutdown(socket.SHUT_RDWR)
        one.close()


@pytest.mark.parametrize("ip", ["127.0.0.9", "0.0.0.0"])
def test_an_sshd_answers_where_it_listens_and_nowhere_else(monkeypatch, server, ip):
    port = server(ip)
    # The first address does not exist here: sshd started without it.
    monkeypatch.setattr(sshd_answers, "listens", lambda: [("192.0.2.255", port), (ip, port)])
    monkeypatch.setattr(sshd_answers, "CONNECT_S", 0.2)
    sshd_answers.check_sshd()


@pytest.mark.parametrize("other", [b"", b"HTTP"])
def test_another_server_on_the_port_is_not_an_sshd(server, other):
    assert not sshd_answers.answers([("127.0.0.1", server("127.0.0.1", other))], patience_s=0.1)


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
