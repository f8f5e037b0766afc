"""`manage` on a host: reading and changing files, on local files."""

import contextlib
import os
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.manage import plan_files
from opstasks.manage.facts import PathFacts
from opstasks.manage.onhost import file_actions, file_facts
from opstasks.onhost import backups
from opstasks.onhost.protocol import HostFailure
from opstasks.onhost.safe_files import MAX_BYTES
from tests.manage.onhost_help import ME, MINE, file_action, kept, kept_in, mode_of


def test_a_file_is_staged_checked_given_its_rights_and_renamed(tmp_path):
    path = tmp_path / "f"
    path.write_text("old\n")
    seen = tmp_path / "seen"
    look = f"stat -c '%a %n' @file@ >{seen}; cat @file@ {path} >>{seen}"
    file_actions.file(file_action(path, check=["bash", "-c", look], backup=True))
    first, *rest = seen.read_text().splitlines()
    assert first.startswith(f"600 {tmp_path}/.f.")
    assert rest == ["new", "old"]
    assert (path.read_text(), mode_of(path)) == ("new\n", 0o640)
    (kept,) = tmp_path.glob("f.bak-*")
    assert (kept.read_text(), mode_of(kept)) == ("old\n", 0o640)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["f", kept.name, "seen"]


def test_every_replaced_content_is_kept_once_and_the_newest_stay(tmp_path, monkeypatch):
    path = tmp_path / "f"
    (tmp_path / "f.bak").write_text("somebody's own\n")
    (tmp_path / "f.bak-20200101T000000Z-00").symlink_to(tmp_path / "f.bak")
    for content in ("first\n", "second\n", "first\n", "third\n"):
        path.write_text(content)
        file_actions.file(file_action(path, backup=True))
    kept = lambda: [p.read_text() for p in sorted(tmp_path.glob("f.bak-2*")) if not p.is_symlink()]  # noqa: E731
    assert kept() == ["first\n", "second\n", "third\n"]
    monkeypatch.setattr(backups, "KEEP", 4)
    for number in range(6):
        path.write_text(f"{number}\n")
        file_actions.file(file_action(path, backup=True))
    assert kept() == ["2\n", "3\n", "4\n", "5\n"]
    assert (tmp_path / "f.bak").read_text() == "somebody's own\n"
    assert path.read_text() == "new\n"


def test_a_new_backup_stays_when_others_are_from_the_future(tmp_path, monkeypatch):
    """The clock of the host was set back since they were made."""
    monkeypatch.setattr(backups, "KEEP", 3)
    path = tmp_path / "f"
    for number in range(3):
        (tmp_path / f"f.bak-9999010{number}T000000Z-00").write_text(f"future {number}\n")
    for content in ("first\n", "second\n"):
        path.write_text(content)
        file_actions.file(file_action(path, backup=True))
    kept = [place.read_text() for place in sorted(tmp_path.glob("f.bak-*"))]
    assert kept == ["first\n", "second\n", "future 2\n"]


def setting_action(path, line="UMASK 027", match=r"^UMASK\s"):
    shown = file_facts.setting(str(path), match)
    return file_action(path) | {"line": line, "match": match, "replaces": shown}


CHANGES = {
    "file": (file_actions.file, file_action, "new\n"),
    "remove": (file_actions.remove, file_action, None),
    "setting": (file_actions.setting, setting_action, "by hand\nUMASK 027\n"),
}
every_change = pytest.mark.parametrize(("change", "shown", "after"), CHANGES.values(), ids=CHANGES)


@every_change
def test_what_is_replaced_is_kept_where_only_root_reads_it(tmp_path, change, shown, after):
    path = tmp_path / "f.service"
    path.write_text("by hand\n")
    path.chmod(0o755)
    action = shown(path)
    for _ in range(2):
        change(action)
        assert (path.read_text() if path.exists() else None) == after
    assert kept(path) == ["by hand\n"]
    place = Path(kept_in(path) + str(path)).parent
    assert [mode_of(copy) for copy in place.iterdir()] == [0o600]
    assert (mode_of(place), mode_of(Path(kept_in(path)))) == (0o700, 0o700)
    assert [p.name for p in tmp_path.iterdir()] == (["f.service"] if after else [])


@every_change
def test_an_edit_after_the_plan_was_shown_stays(tmp_path, change, shown, after):
    path = tmp_path / "f"
    path.write_text("by hand\nUMASK 022\n")
    action = shown(path)
    path.write_text("by hand again\nUMASK 077\n")
    with pytest.raises(HostFailure, match=f"{path} was changed since the plan was shown"):
        change(action)
    assert path.read_text() == "by hand again\nUMASK 077\n"


@pytest.mark.parametrize("kind", ["large", "hard links"])
@every_change
def test_a_file_whose_content_cannot_be_kept_stays(tmp_path, change, shown, after, kind):
    """Its state has the same word for each content: an edit would not be noticed either."""
    path = tmp_path / "f"
    path.write_text("by hand\n")
    action = shown(path)
    if kind == "large":
        os.truncate(path, MAX_BYTES + 1)
    else:
        (tmp_path / "other").hardlink_to(path)
    action["replaces"] = file_facts.state(str(path))
    assert action["replaces"] == file_facts.UNREADABLE
    backups_too = [{"backup": True}] if action["do"] == "file" else []
    for more in ({}, *backups_too):
        text = f"the content of {path} cannot be kept; move it away"
        with pytest.raises(HostFailure, match=text):
            change({**action, **more})
    assert path.read_text().startswith("by hand\n")


@every_change
def test_an_edit_while_the_old_content_is_kept_stays(tmp_path, monkeypatch, change, shown, after):
    path = tmp_path / "f"
    path.write_text("by hand\n")
    edit = lambda *_: path.write_text("by hand again\n")  # noqa: E731
    monkeypatch.setattr(file_actions, "keep_replaced", edit)
    with pytest.raises(HostFailure, match="was changed since the plan was shown"):
        change(shown(path))
    assert path.read_text() == "by hand again\n"


def test_a_file_that_was_made_after_the_plan_was_shown_stays(tmp_path):
    path = tmp_path / "f"
    action = file_action(path)
    path.write_text("by hand\n")
    with pytest.raises(HostFailure, match="was changed since the plan was shown"):
        file_actions.file(action)
    assert path.read_text() == "by hand\n"


def test_the_host_and_the_plan_have_the_same_word_for_a_state(tmp_path):
    (tmp_path / "file").write_text("x\n")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "folder").mkdir()
    for name in ("file", "link", "folder", "none"):
        place = str(tmp_path / name)
        facts = file_facts.path(place, "", True)
        assert "text" not in (facts or {})
        word = plan_files.state(facts and msgspec.convert(facts, PathFacts))
        assert word == file_facts.state(place)


@pytest.mark.parametrize("backup", [False, True])
def test_a_file_stays_when_its_backup_does_not_fit_on_the_disk(tmp_path, monkeypatch, backup):
    path = tmp_path / "f"
    path.write_text("by hand\n")

    @contextlib.contextmanager
    def full(*_):
        raise OSError(28, "No space left on device")
        yield

    monkeypatch.setattr(backups, "staged", full)
    with pytest.raises(OSError, match="No space left"):
        file_actions.file(file_action(path, backup=backup))
    assert path.read_text() == "by hand\n"
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_a_content_that_its_check_refuses_is_not_installed(tmp_path):
    path = tmp_path / "f"
    path.write_text("old\n")
    check = ["bash", "-c", "echo line 3: bad >&2; exit 1"]
    with pytest.raises(HostFailure, match="bash failed") as caught:
        file_actions.file(file_action(path, check=check))
    assert caught.value.detail == "line 3: bad"
    assert path.read_text() == "old\n"
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


@given(st.lists(st.sampled_from(["UMASK 022", "# UMASK is", "X 1", "", "UMASK\t077"]), max_size=8))
def test_a_setting_is_written_once_and_keeps_every_other_line(tmp_path_factory, lines):
    path = tmp_path_factory.mktemp("s") / "f"
    path.write_text("".join(f"{line}\n" for line in lines))
    path.chmod(0o604)
    action = setting_action(path)
    for _ in range(2):
        file_actions.setting(action)
        after = path.read_text().splitlines()
        assert after.count("UMASK 027") == 1
        others = [line for line in lines if not line.startswith(("UMASK ", "UMASK\t"))]
        assert [line for line in after if line != "UMASK 027"] == others
        assert file_facts.setting(str(path), action["match"]) == ["UMASK 027"]
    assert mode_of(path) == 0o604


def test_rights_in_a_tree_are_set_without_following_links(tmp_path):
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
    assert file_facts.tree(*asked) == {"wrong": 1, "examples": ["w/bad"]}
    action = {"path": str(top), "owner": ME, "group": MINE, "files": "0640"}
    file_actions.tree(action | {"directories": "0750", "tolerated": ["0644"]})
    assert file_facts.tree(*asked)["wrong"] == 0
    assert mode_of(top / "w" / "bad") == 0o640
    assert mode_of(top / "w" / "tolerated") == 0o644
    assert mode_of(outside) == 0o666


def test_one_file_that_cannot_be_changed_does_not_stop_the_rest_of_a_tree(tmp_path, monkeypatch):
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text("")
        (tmp_path / name).chmod(0o666)
    real = file_actions.set_rights

    def set_rights(folder, name, *rest):
        if name == "b":
            raise PermissionError(1, "Operation not permitted")
        real(folder, name, *rest)

    monkeypatch.setattr(file_actions, "set_rights", set_rights)
    action = {"path": str(tmp_path), "owner": ME, "group": MINE, "files": "0640"}
    with pytest.raises(HostFailure) as caught:
        file_actions.tree(action | {"directories": "0750", "tolerated": []})
    assert caught.value.reason == f"cannot change 1 of the files below {tmp_path}"
    assert caught.value.detail == "b (Operation not permitted)"
    assert [mode_of(tmp_path / name) for name in "abc"] == [0o640, 0o666, 0o640]


def test_files_deleted_while_a_tree_is_read_are_skipped(tmp_path, monkeypatch):
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
    found = file_facts.tree(str(tmp_path), ME, MINE, ["0640"], "0750")
    assert found == {"wrong": 2, "examples": ["a", "c"]}


@pytest.mark.parametrize(
    ("seconds", "known"),
    [(-5.0, 0), (0.0, 0), (1.9, 1), (32_503_680_000.0, 32_503_680_000), (1e12, 0)],
)
def test_an_impossible_time_is_unknown(seconds, known):
    assert file_facts.moment(seconds) == known


def test_a_files_text_is_sent_only_if_it_is_public_and_differs(tmp_path):
    (tmp_path / "f").write_text("mine\n")
    place = str(tmp_path / "f")
    differs = file_facts.path(place, "other", True)
    assert differs["text"] == "mine\n"
    assert abs(differs["changed_at"] - time.time()) < 60
    assert "text" not in file_facts.path(place, differs["sha256"], True)
    assert not {"sha256", "text"} & set(file_facts.path(place, "other", False))
    assert file_facts.path(str(tmp_path / "none"), "", True) is None


def test_a_refused_content_is_named_by_its_path(tmp_path):
    check = ["bash", "-n", "@file@"]
    assert file_facts.refusal("/etc/x.sh", "echo fine\n", check) == ""
    assert file_facts.refusal("/etc/x.sh", "fi\n", check).startswith("/etc/x.sh: line 1:")
    assert "cannot run no-such" in file_facts.refusal("/etc/x", "", ["no-such"])


def test_a_backup_keeps_no_secret_and_older_ones_lose_theirs(tmp_path):
    path, secret = tmp_path / "f.env", "opensesame7"
    texts = (f"A=1\nTOKEN={secret}\n", f'A=2\nDB_PASSWORD="x\n{secret}"\n', "A=3\n")
    old = tmp_path / "f.env.bak-20200101T000000Z-00"
    old.write_text(f"A=0\nURL=mssql://me:{secret}@host\n")
    for text in texts:
        path.write_text(text)
        file_actions.file(file_action(path, backup=True))
    kept = [place.read_text() for place in sorted(tmp_path.glob("f.env.bak-*"))]
    assert [text[:3] for text in kept] == ["A=0", "A=1", "A=2", "A=3"]
    assert secret not in "".join(kept)
    assert mode_of(old) == mode_of(path)


@pytest.mark.parametrize("backup", [True, False])
def test_a_comment_with_an_apostrophe_empties_no_copy_of_an_env_file(tmp_path, backup):
    path, text = tmp_path / "f.env", "# don't set HASH='x for now\nA=1\nB=2\n"
    path.write_text(text)
    file_actions.file(file_action(path, backup=backup))
    copies = [copy.read_text() for copy in tmp_path.glob("f.env.bak-*")] or kept(path)
    assert copies == [text.replace("'x for now", "***")]


def test_a_backup_of_rules_for_sudo_is_whole(tmp_path):
    path, text = tmp_path / "f", "%ops ALL=(root) NOPASSWD: /usr/bin/systemctl start x\n"
    path.write_text(text)
    file_actions.file(file_action(path, backup=True))
    assert [place.read_text() for place in tmp_path.glob("f.bak-*")] == [text]
