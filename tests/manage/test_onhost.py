"""What manage runs on hosts, on files here: never led elsewhere, nothing half done, put back."""

import grp
import json
import os
import pwd
import stat
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.core.command import cmd
from opstasks.core.errors import Interrupted
from opstasks.manage import apply, keys
from opstasks.manage.onhost import access as remote_access
from opstasks.manage.onhost import apply as remote_apply
from opstasks.manage.onhost import facts as remote_facts
from opstasks.manage.onhost import paths
from opstasks.manage.plan import Step
from tests.fake import FakeHost

ME = pwd.getpwuid(os.geteuid()).pw_name
MINE = grp.getgrgid(os.getegid()).gr_name
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give files away")


def mode_of(path):
    return stat.S_IMODE(path.lstat().st_mode)


def file_action(path, content="new\n", **more):
    action = {"do": "file", "path": str(path), "owner": ME, "group": MINE, "mode": "0640"}
    rest = {"content": content, "backup": False, "check": [], "verify": [], "reload": ""}
    return action | rest | more


# -- paths ---------------------------------------------------------------------------------------


@as_root
def test_a_link_that_somebody_else_put_there_is_not_followed(tmp_path):
    secret = tmp_path / "root"
    secret.mkdir()
    (secret / "f").write_text("secret")
    home = tmp_path / "home"
    home.mkdir()
    (home / ".ssh").symlink_to(secret)
    os.chown(home / ".ssh", 1234, 1234, follow_symlinks=False)
    os.chown(home, 1234, 1234)
    for work in (
        lambda: paths.read(f"{home}/.ssh/f"),
        lambda: paths.look(f"{home}/.ssh/f"),
        lambda: remote_apply.file(file_action(home / ".ssh" / "f")),
        lambda: remote_apply.rights(file_action(home / ".ssh" / "f")),
        lambda: remote_apply.directory(file_action(home / ".ssh" / "d")),
    ):
        with pytest.raises(paths.Unsafe, match="somebody else"):
            work()
    assert (secret / "f").read_text() == "secret"
    assert mode_of(secret / "f") != 0o640
    assert "somebody else" in remote_facts.path(f"{home}/.ssh/f", "", True)["kind"]


@as_root
@pytest.mark.parametrize(
    ("folder_owner", "folder_mode", "link_owner"),
    [(0, 0o755, 1234), (1234, 0o755, 0), (0, 0o777, 0), (0, 0o775, 0), (0, 0o1777, 0)],
)
def test_only_roots_link_in_a_folder_that_only_root_may_write_is_followed(
    tmp_path, folder_owner, folder_mode, link_owner
):
    home, other = tmp_path / "home", tmp_path / "other"
    for folder in (home, other):
        folder.mkdir()
    (other / "f").write_text("x")
    (home / "link").symlink_to(other)
    home.chmod(0o755)
    assert paths.read(f"{home}/link/f") == b"x"
    os.chown(home / "link", link_owner, link_owner, follow_symlinks=False)
    os.chown(home, folder_owner, folder_owner)
    home.chmod(folder_mode)
    with pytest.raises(paths.Unsafe, match="somebody else"):
        paths.read(f"{home}/link/f")


def test_ones_own_links_on_the_way_are_followed(tmp_path):
    (tmp_path / "real" / "sub").mkdir(parents=True)
    (tmp_path / "real" / "sub" / "f").write_text("x")
    (tmp_path / "relative").symlink_to("real")
    (tmp_path / "absolute").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "up").symlink_to("../real/sub")
    for name in ("relative/sub/f", "absolute/sub/f", "relative/up/f"):
        assert paths.read(f"{tmp_path}/{name}") == b"x"
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(paths.Unsafe, match="too many links"):
        paths.read(f"{tmp_path}/loop/f")


def test_the_last_name_is_never_followed(tmp_path):
    target = tmp_path / "target"
    target.write_text("kept")
    target.chmod(0o600)
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(OSError):
        paths.read(f"{tmp_path}/link")
    with pytest.raises(OSError):
        remote_apply.rights(file_action(tmp_path / "link"))
    remote_apply.file(file_action(tmp_path / "link"))
    assert not (tmp_path / "link").is_symlink()
    assert (target.read_text(), mode_of(target)) == ("kept", 0o600)


def test_a_file_with_a_second_name_keeps_its_rights(tmp_path):
    (tmp_path / "a").write_text("")
    (tmp_path / "a").chmod(0o600)
    os.link(tmp_path / "a", tmp_path / "b")
    with pytest.raises(paths.Unsafe, match="second name"):
        remote_apply.rights(file_action(tmp_path / "b"))
    assert mode_of(tmp_path / "a") == 0o600


# -- steps ---------------------------------------------------------------------------------------


def test_a_file_is_staged_closed_checked_given_its_rights_and_renamed(tmp_path):
    path = tmp_path / "f"
    path.write_text("old\n")
    seen = tmp_path / "seen"
    look = f"stat -c '%a %n' @file@ >{seen}; cat @file@ {path} >>{seen}"
    remote_apply.file(file_action(path, check=["bash", "-c", look], backup=True))
    first, *rest = seen.read_text().splitlines()
    assert first.startswith(f"600 {tmp_path}/.f.")
    assert rest == ["new", "old"]
    assert (path.read_text(), mode_of(path)) == ("new\n", 0o640)
    (kept,) = tmp_path.glob("f.bak-*")
    assert (kept.read_text(), mode_of(kept)) == ("old\n", 0o640)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["f", kept.name, "seen"]


def test_every_content_that_was_replaced_is_kept_once_and_the_newest_stay(tmp_path, monkeypatch):
    path = tmp_path / "f"
    (tmp_path / "f.bak").write_text("somebody's own\n")
    (tmp_path / "f.bak-20200101T000000Z-00").symlink_to(tmp_path / "f.bak")
    for content in ("first\n", "second\n", "first\n", "new\n"):
        path.write_text(content)
        remote_apply.file(file_action(path, backup=True))
    kept = lambda: [p.read_text() for p in sorted(tmp_path.glob("f.bak-2*")) if not p.is_symlink()]  # noqa: E731
    assert kept() == ["first\n", "second\n", "new\n"]
    monkeypatch.setattr(remote_apply, "KEEP_BACKUPS", 4)
    for number in range(6):
        path.write_text(f"{number}\n")
        remote_apply.file(file_action(path, backup=True))
    assert kept() == ["2\n", "3\n", "4\n", "5\n"]
    assert (tmp_path / "f.bak").read_text() == "somebody's own\n"
    assert path.read_text() == "new\n"


def test_without_room_for_the_backup_the_file_stays(tmp_path, monkeypatch):
    path = tmp_path / "f"
    path.write_text("by hand\n")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(remote_apply, "put", full)
    with pytest.raises(OSError, match="No space left"):
        remote_apply.file(file_action(path, backup=True))
    assert path.read_text() == "by hand\n"
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_what_its_check_does_not_accept_is_not_put_in_place(tmp_path):
    path = tmp_path / "f"
    path.write_text("old\n")
    check = ["bash", "-c", "echo line 3: bad >&2; exit 1"]
    with pytest.raises(remote_apply.StepError, match="line 3: bad"):
        remote_apply.file(file_action(path, check=check))
    assert path.read_text() == "old\n"
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_steps_stop_at_the_first_failure_and_are_safe_to_repeat(tmp_path):
    steps = [
        {**file_action(tmp_path / "d"), "do": "directory", "mode": "0750"},
        file_action(tmp_path / "d" / "f"),
        file_action(tmp_path / "nowhere" / "f"),
        file_action(tmp_path / "never"),
    ]
    answer = remote_apply.carry_out(steps)
    assert answer["done"] == 2
    assert "nowhere" in answer["reason"]
    assert not (tmp_path / "never").exists()
    (tmp_path / "nowhere").mkdir()
    assert remote_apply.carry_out(steps) == {"done": 4, "reason": ""}


@given(st.lists(st.sampled_from(["UMASK 022", "# UMASK is", "X 1", "", "UMASK\t077"]), max_size=8))
def test_a_setting_ends_up_once_and_leaves_every_other_line(tmp_path_factory, lines):
    path = tmp_path_factory.mktemp("s") / "f"
    path.write_text("".join(f"{line}\n" for line in lines))
    path.chmod(0o604)
    action = {"path": str(path), "match": r"^UMASK\s", "line": "UMASK 027"}
    for _ in range(2):
        remote_apply.setting(action)
        after = path.read_text().splitlines()
        assert after.count("UMASK 027") == 1
        others = [line for line in lines if not line.startswith(("UMASK ", "UMASK\t"))]
        assert [line for line in after if line != "UMASK 027"] == others
        assert remote_facts.setting(str(path), action["match"]) == {"lines": ["UMASK 027"]}
    assert mode_of(path) == 0o604


def test_a_tree_is_brought_in_line_without_following_links(tmp_path):
    outside = tmp_path / "outside"
    outside.write_text("")
    outside.chmod(0o666)
    top = tmp_path / "top"
    (top / "w").mkdir(parents=True)
    for name, mode in (("good", 0o640), ("tolerated", 0o644), ("bad", 0o666)):
        (top / "w" / name).write_text("")
        (top / "w" / name).chmod(mode)
    (top / "w").chmod(0o750)
    (top / "w" / "link").symlink_to(outside)
    asked = [str(top), ME, MINE, ["0640", "0644"], "0750"]
    assert remote_facts.tree(*asked) == {"wrong": 1, "examples": ["w/bad"]}
    action = {"path": str(top), "owner": ME, "group": MINE, "files": "0640"}
    remote_apply.tree(action | {"directories": "0750", "tolerated": ["0644"]})
    assert remote_facts.tree(*asked)["wrong"] == 0
    assert mode_of(top / "w" / "bad") == 0o640
    assert mode_of(top / "w" / "tolerated") == 0o644
    assert mode_of(outside) == 0o666


def test_what_vanishes_while_a_tree_is_looked_at_is_no_matter(tmp_path, monkeypatch):
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text("")
        (tmp_path / name).chmod(0o666)
    real = os.stat

    def stat_of(name, **more):
        if name == "a":
            (tmp_path / "b").unlink(missing_ok=True)
        return real(name, **more)

    def walk(top, **more):
        for folder, below, names, handle in os_fwalk(top, **more):
            yield folder, below, sorted(names), handle

    os_fwalk = os.fwalk
    monkeypatch.setattr(os, "fwalk", walk)
    monkeypatch.setattr(os, "stat", stat_of)
    found = remote_facts.tree(str(tmp_path), ME, MINE, ["0640"], "0750")
    assert found == {"wrong": 2, "examples": ["a", "c"]}


# -- facts ---------------------------------------------------------------------------------------

LOG = """\
Nov 24 19:00:01 2026 : dev : TTY=pts/0 ; PWD=/home/dev ; USER=root ; COMMAND=/usr/bin/vim /etc/a
Nov 24 19:05:01 2026 : ada : PWD=/ ; USER=root ; COMMAND=/usr/bin/tee '/etc/b' PASSWORD=hunter2
Nov 24 19:06:01 2026 : ops : PWD=/ ; USER=root ; COMMAND=/usr/bin/bash --norc -c cat /etc/a
nonsense
"""


def test_sudos_log_tells_who_used_a_word_last_and_nothing_else(tmp_path):
    (tmp_path / "log").write_text(LOG)
    found = remote_facts.last_touch(["/etc/a", "/etc/b", "/etc/c"], str(tmp_path / "log"))
    assert {word: who for word, (who, _) in found.items()} == {"/etc/a": "dev", "/etc/b": "ada"}
    assert found["/etc/a"][1] == remote_facts.moment("Nov 24 19:00:01 2026") > 0
    assert "hunter2" not in json.dumps(found)


@given(st.text())
def test_any_log_is_read_without_complaint(text):
    remote_facts.mentions(text, {"a", "/etc/a"})
    remote_facts.moment(text)


def test_who_has_keys_from_us_is_told_by_their_first_line(tmp_path, monkeypatch):
    for name, text in (("old", keys.render("old", ())), ("image", "ssh-ed25519 AAAA\n")):
        (tmp_path / name / ".ssh").mkdir(parents=True)
        (tmp_path / name / ".ssh" / "authorized_keys").write_text(text)
    lookup = lambda name: SimpleNamespace(pw_dir=str(tmp_path / name))  # noqa: E731
    monkeypatch.setattr(remote_facts.pwd, "getpwnam", lookup)
    assert remote_facts.marked(["old", "image", "none"], keys.MARK) == ["old"]


def test_of_a_password_only_whether_it_is_locked_is_told(tmp_path):
    (tmp_path / "s").write_text("a:$y$hash:1:0:9:7:::\nb:!$y$hash:1:0:9:7::1:\nc:*:1:::::\n")
    found = {name: remote_facts.shadow(name, str(tmp_path / "s")) for name in "abd"}
    assert found["a"] == {"locked": False, "expired": False}
    assert found["b"] == {"locked": True, "expired": True}
    assert found["d"] == {"locked": False, "expired": False}


@pytest.mark.parametrize(
    ("day", "past"),
    [("", False), ("0", True), ("1", True), ("20000", True), ("20001", False), ("-1", False)],
)
def test_an_account_has_expired_from_its_day_on_by_the_hosts_clock(
    tmp_path, monkeypatch, day, past
):
    (tmp_path / "s").write_text(f"a:x:1:0:9:7::{day}:\n")
    monkeypatch.setattr(remote_facts.time, "time", lambda: 20000 * 86400 + 5.0)
    assert remote_facts.shadow("a", str(tmp_path / "s"))["expired"] is past


PERSON = {"do": "user", "name": "eve", "uid": 0, "group": "eve", "groups": ["reviewers"]}
PERSON |= {"home": "/home/eve", "shell": "/bin/bash", "personal": True}


@pytest.mark.parametrize(
    "found", [{"exists": False, "shut": False}, {"exists": True, "shut": True}]
)
def test_an_account_is_opened_last_so_that_one_cut_off_is_found_shut(monkeypatch, found):
    ran = []
    monkeypatch.setattr(remote_apply, "run", lambda *words: ran.append(" ".join(words)))
    remote_apply.user(PERSON | found)
    first, *rest = ran
    assert found["exists"] or "--expiredate 1 " in first
    assert rest == [
        "passwd --quiet --delete eve",
        "chage --lastday 0 eve",
        "chage --expiredate -1 eve",
    ]


def test_an_account_that_is_open_keeps_its_password_and_its_date(monkeypatch):
    ran = []
    monkeypatch.setattr(remote_apply, "run", lambda *words: ran.append(words[0]))
    remote_apply.user(PERSON | {"exists": True, "shut": False})
    assert ran == ["usermod"]


def test_a_content_that_is_refused_is_named_by_its_place(tmp_path):
    check = ["bash", "-n", "@file@"]
    assert remote_facts.refusal("/etc/x.sh", "echo fine\n", check) == ""
    assert remote_facts.refusal("/etc/x.sh", "fi\n", check).startswith("/etc/x.sh: line 1:")
    assert "cannot run no-such" in remote_facts.refusal("/etc/x", "", ["no-such"])


# -- the way back --------------------------------------------------------------------------------


@pytest.fixture
def way_back(tmp_path, monkeypatch):
    """remote_access with a folder of its own, and systemd's part written down."""
    calls = []
    monkeypatch.setattr(remote_access, "run", lambda *args: calls.append(args) or "port 1\n")
    monkeypatch.setattr(remote_access, "reload", lambda unit: calls.append(("reload", unit)))
    monkeypatch.setattr(remote_access, "disarm", lambda: calls.append(("disarm",)))
    if os.geteuid() != 0:
        monkeypatch.setattr(paths, "ids", lambda *_: (os.geteuid(), os.getegid()))
    place = str(tmp_path / "access")

    def ask(do, *actions):
        request = {"do": do, "place": place, "actions": list(actions)}
        return remote_access.answer_to(request | {"script": "pass", "patience_s": 9})

    return ask, calls, tmp_path


def test_a_change_is_kept_once_confirmed(way_back):
    ask, calls, folder = way_back
    (folder / "f").write_text("old\n")
    assert ask("install", file_action(folder / "f"))["reason"] == ""
    assert [call[0] for call in calls] == ["disarm", "systemd-run"]
    assert (folder / "access" / "manifest.json").exists()
    assert mode_of(folder / "access") == 0o700
    assert ask("confirm") == {"done": 1, "reason": ""}
    assert ask("expire")["done"] == 0
    assert (folder / "f").read_text() == "new\n"
    assert list((folder / "access").iterdir()) == []


@pytest.mark.parametrize("way", ["putback", "expire"])
def test_a_change_that_is_not_confirmed_is_taken_back_whole(way_back, way):
    ask, calls, folder = way_back
    old = folder / "f"
    old.write_text("old\n")
    old.chmod(0o604)
    ask("install", file_action(old, mode="0600"), file_action(folder / "fresh"))
    assert ask(way)["done"] == 1
    assert (old.read_text(), mode_of(old)) == ("old\n", 0o604)
    assert not (folder / "fresh").exists()
    # Too late now: the run is told that its files are gone again.
    assert "put back already" in ask("confirm")["reason"]
    assert (("disarm",) in calls[2:]) is True


@pytest.mark.parametrize("target", ["keys", "/no/such/place"])
def test_a_link_that_was_replaced_is_put_back_as_a_link(way_back, target):
    ask, _, folder = way_back
    (folder / "keys").write_text("mine\n")
    (folder / "f").symlink_to(target)
    ask("install", file_action(folder / "f"))
    assert not (folder / "f").is_symlink()
    ask("putback")
    assert os.readlink(folder / "f") == target
    assert (folder / "keys").read_text() == "mine\n"
    assert sorted(path.name for path in folder.iterdir()) == ["access", "f", "keys"]


def test_a_folder_in_a_files_place_does_not_keep_the_others_from_being_put_back(way_back):
    ask, _, folder = way_back
    (folder / "f").write_text("old\n")
    (folder / "g").mkdir()
    answer = ask("install", file_action(folder / "f"), file_action(folder / "g"))
    assert "is a directory" in answer["reason"]
    assert (folder / "f").read_text() == "old\n"
    assert (folder / "g").is_dir()


def test_a_step_that_fails_takes_back_those_before_it(way_back):
    ask, _, folder = way_back
    (folder / "f").write_text("old\n")
    bad = file_action(folder / "g", verify=["bash", "-c", "echo whole is bad >&2; exit 1"])
    answer = ask("install", file_action(folder / "f"), bad)
    assert answer["done"] == 0
    assert "whole is bad" in answer["reason"]
    assert (folder / "f").read_text() == "old\n"
    assert not (folder / "g").exists()


def test_a_second_run_keeps_what_was_there_before_the_first(way_back):
    ask, _, folder = way_back
    (folder / "f").write_text("oldest\n")
    ask("install", file_action(folder / "f", "unproven\n"))
    ask("install", file_action(folder / "f", "newer\n"))
    assert (folder / "f").read_text() == "newer\n"
    ask("putback")
    assert (folder / "f").read_text() == "oldest\n"


def test_a_file_that_was_taken_away_comes_back_with_the_rest(way_back, monkeypatch):
    ask, _, folder = way_back
    monkeypatch.setattr(remote_apply, "reload", lambda unit: None)
    (folder / "old").write_text("old\n")
    action = {"do": "remove", "path": str(folder / "old"), "reload": ""}
    for _ in range(2):
        assert ask("install", action, file_action(folder / "fresh"))["reason"] == ""
        assert not (folder / "old").exists()
    ask("putback")
    assert (folder / "old").read_text() == "old\n"
    assert not (folder / "fresh").exists()


def test_a_failing_way_in_is_named(way_back):
    ask, _, folder = way_back
    bad = file_action(folder / "g", verify=["bash", "-c", "exit 1"])
    assert str(folder / "g") in ask("install", file_action(folder / "f"), bad)["reason"]


def test_slow_steps_run_alone_and_packages_by_verb():
    def step(do, **more):
        return Step("a", do, "", "", {"do": do, **more})

    steps = [
        *(step("packages", verb="purge"), step("packages", verb="purge")),
        *(step("packages", verb="install"), step("file"), step("directory")),
        *(step("checkout"), step("checkout"), step("start")),
    ]
    assert [len(part) for part in apply._parts(steps)] == [2, 1, 2, 1, 1, 1]


def test_a_failure_names_what_is_done_and_what_was_not_begun():
    names = [f"/some/rather/long/path/number/{number}" for number in range(40)]
    steps = [Step("system", name, "", "", {}) for name in names]
    error = apply.failure("h", steps, steps[:12], steps[12:13], "no room")
    assert error.message == f"12 of 40 changes done; {names[12]} failed"
    reason, *lines = error.tail.splitlines()
    assert reason == "no room"
    # The console shows no more of a line.
    assert all(len(line) < 300 for line in lines)
    done, left = " ".join(lines).split("not begun: ")
    assert done.strip() == "done before it: " + ", ".join(names[:12])
    assert left == ", ".join(names[13:])


@pytest.mark.parametrize(
    ("slow", "late", "stopped"),
    [(["checkout", "start"], 0, "1 of 2"), (["file", "file"], 1, "2 of 3"), ([], 1, "0 of 1")],
)
def test_ctrl_c_stops_between_two_parts(monkeypatch, slow, late, stopped):
    steps = [Step("code", do, "", "", {"do": do}) for do in slow]
    steps += [Step("access", "sshd", "", "", {"do": "file"}, access=True)] * late
    host = FakeHost([])

    def run(_, actions, afterwards):
        host.stop.set()
        return {"done": len(actions), "reason": ""}, None

    monkeypatch.setattr(apply, "_run", run)
    monkeypatch.setattr(apply.access, "change_access", lambda *_, **__: pytest.fail("begun"))
    if not slow:
        host.stop.set()
    with pytest.raises(Interrupted, match=f"at your request; {stopped} changes done"):
        apply.carry_out(host, steps, prove=True, afterwards=cmd("true"))


def test_an_sshd_that_no_longer_answers_is_put_back(way_back, monkeypatch):
    ask, calls, folder = way_back
    monkeypatch.setattr(remote_apply, "reload", lambda unit: None)
    monkeypatch.setattr(remote_access, "greets", lambda port: False)
    (folder / "f").write_text("old\n")
    answer = ask("install", file_action(folder / "f", reload="ssh"))
    assert "no longer answers on port 1" in answer["reason"]
    assert (folder / "f").read_text() == "old\n"
    assert ("reload", "ssh") in calls
