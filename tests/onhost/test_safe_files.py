"""Paths through other people's folders: links cannot mislead root."""

import os

import pytest

from opstasks.manage.onhost import file_actions, file_facts
from opstasks.onhost import plain_text, safe_files
from opstasks.onhost.json_files import read_json
from tests.manage.onhost_help import as_root, file_action, mode_of


@as_root
def test_a_link_of_another_account_is_not_followed(tmp_path):
    secret = tmp_path / "root"
    secret.mkdir()
    (secret / "f").write_text("secret")
    home = tmp_path / "home"
    home.mkdir()
    (home / ".ssh").symlink_to(secret)
    os.chown(home / ".ssh", 1234, 1234, follow_symlinks=False)
    os.chown(home, 1234, 1234)
    for work in (
        lambda: safe_files.read(f"{home}/.ssh/f"),
        lambda: safe_files.look(f"{home}/.ssh/f"),
        lambda: file_actions.file(file_action(home / ".ssh" / "f")),
        lambda: file_actions.rights(file_action(home / ".ssh" / "f")),
        lambda: file_actions.directory(file_action(home / ".ssh" / "d")),
    ):
        with pytest.raises(safe_files.Unsafe, match="someone other than root"):
            work()
    assert (secret / "f").read_text() == "secret"
    assert mode_of(secret / "f") != 0o640
    assert "someone other than root" in file_facts.path(f"{home}/.ssh/f", "", True)["kind"]


@as_root
@pytest.mark.parametrize(
    ("folder_owner", "folder_mode", "link_owner"),
    [(0, 0o755, 1234), (1234, 0o755, 0), (0, 0o777, 0), (0, 0o775, 0), (0, 0o1777, 0)],
)
def test_only_roots_link_in_roots_own_folder_is_followed(
    tmp_path, folder_owner, folder_mode, link_owner
):
    home, other = tmp_path / "home", tmp_path / "other"
    for folder in (home, other):
        folder.mkdir()
    (other / "f").write_text("x")
    (home / "link").symlink_to(other)
    home.chmod(0o755)
    assert safe_files.read(f"{home}/link/f") == b"x"
    os.chown(home / "link", link_owner, link_owner, follow_symlinks=False)
    os.chown(home, folder_owner, folder_owner)
    home.chmod(folder_mode)
    with pytest.raises(safe_files.Unsafe, match="someone other than root"):
        safe_files.read(f"{home}/link/f")


def test_links_of_the_own_account_are_followed(tmp_path):
    (tmp_path / "real" / "sub").mkdir(parents=True)
    (tmp_path / "real" / "sub" / "f").write_text("x")
    (tmp_path / "relative").symlink_to("real")
    (tmp_path / "absolute").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "up").symlink_to("../real/sub")
    for name in ("relative/sub/f", "absolute/sub/f", "relative/up/f"):
        assert safe_files.read(f"{tmp_path}/{name}") == b"x"
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(safe_files.Unsafe, match="too many links"):
        safe_files.read(f"{tmp_path}/loop/f")


def test_a_link_at_the_end_of_a_path_is_never_followed(tmp_path):
    target = tmp_path / "target"
    target.write_text("kept")
    target.chmod(0o600)
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(OSError):
        safe_files.read(f"{tmp_path}/link")
    with pytest.raises(OSError):
        file_actions.rights(file_action(tmp_path / "link"))
    file_actions.file(file_action(tmp_path / "link"))
    assert not (tmp_path / "link").is_symlink()
    assert (target.read_text(), mode_of(target)) == ("kept", 0o600)


def test_a_file_with_a_second_hard_link_keeps_its_rights(tmp_path):
    (tmp_path / "a").write_text("")
    (tmp_path / "a").chmod(0o600)
    os.link(tmp_path / "a", tmp_path / "b")
    with pytest.raises(safe_files.Unsafe, match="several hard links"):
        file_actions.rights(file_action(tmp_path / "b"))
    assert mode_of(tmp_path / "a") == 0o600


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda path: os.mkfifo(path), "not a plain file"),
        (lambda path: path.symlink_to("/etc/passwd"), "symbolic links"),
        (lambda path: path.mkdir(), "Is a directory"),
        (lambda path: (path.touch(), os.truncate(path, 400 << 20)), "larger than 16 MiB"),
        (lambda path: path.symlink_to("/dev/zero"), "symbolic links"),
    ],
)
def test_only_a_regular_file_of_a_limited_size_is_read(tmp_path, make, why):
    make(tmp_path / "f")
    with pytest.raises(OSError, match=why):
        safe_files.read(str(tmp_path / "f"))
    assert read_json(tmp_path / "f") == {}


@as_root
@pytest.mark.parametrize("mode", [0o777, 0o775])
def test_a_folder_that_others_may_change_is_not_roots_own(tmp_path, mode):
    safe_files.check_owned_by_root(str(tmp_path / "not" / "yet"))
    (tmp_path / "a").mkdir()
    (tmp_path / "a").chmod(mode)
    (tmp_path / "link").symlink_to("a")
    for name in ("a", "a/b", "link", "link/b"):
        with pytest.raises(safe_files.Unsafe, match="only root may change"):
            safe_files.check_owned_by_root(str(tmp_path / name))
    (tmp_path / "a").chmod(mode | 0o1000)
    safe_files.check_owned_by_root(str(tmp_path / "a"))


def test_the_file_behind_links_of_root_is_found(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/file").write_text("x")
    (tmp_path / "first").symlink_to("folder/second")
    (tmp_path / "folder/second").symlink_to("../folder/file")
    found = safe_files.behind_links(f"{tmp_path}/first")
    assert os.path.samefile(found, tmp_path / "folder/file")
    assert safe_files.behind_links(found) == found
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(safe_files.Unsafe, match="too many links"):
        safe_files.behind_links(f"{tmp_path}/loop")
    tmp_path.chmod(0o777)
    with pytest.raises(safe_files.Unsafe, match="someone other than root"):
        safe_files.behind_links(f"{tmp_path}/first")


def test_a_text_of_root_is_whole_or_said_not_to_be(tmp_path):
    path = tmp_path / "x"
    assert plain_text.text_for_root(str(path)) == ("", True)
    assert plain_text.text_for_root(f"{path}/y") == ("", True)
    path.write_bytes(b"ab\xff" + b"c" * 7)
    assert plain_text.text_for_root(str(path), 10) == ("ab\ufffdccccccc", True)
    assert plain_text.text_for_root(f"{path}/y") == ("", True)
    assert plain_text.text_for_root(str(path), 9) == ("ab\ufffdcccccc", False)
    for other in ("/dev/zero", str(tmp_path)):
        assert plain_text.text_for_root(other) == ("", False)
