"""Files that decide where passwords are sent, in folders that others may or may not change."""

import os

import pytest

from opstasks.core.errors import Refused
from opstasks.fleet import host_settings, hosts_file, trusted_files
from opstasks.fleet.inventory import HostSpec
from opstasks.manage import describe

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
STRANGER = 4711


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A file three folders deep, which no other account can change."""
    folder = tmp_path / "a" / "b" / "c"
    folder.mkdir(parents=True)
    for each in (tmp_path, *(tmp_path / name for name in ("a", "a/b", "a/b/c"))):
        each.chmod(0o755)
    path = folder / "hosts.yaml"
    path.write_text("hosts: {h: {}}")
    path.chmod(0o644)
    monkeypatch.delenv("OPSTASKS_HOSTS", raising=False)
    monkeypatch.chdir(folder)
    return path


# The file and each folder above it, as far as the test made them.
LEVELS = range(4)


def level_of(path, level):
    return (path, *path.parents)[level]


def test_a_file_that_nobody_else_can_change_is_trusted(place):
    assert trusted_files.problem(place) == ""
    assert hosts_file.find_inventory(None) == place


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("mode", "reason"), [(0o777, "anyone"), (0o772, "anyone")])
def test_a_file_or_folder_that_anyone_may_write_is_refused(place, level, mode, reason):
    where = level_of(place, level)
    where.chmod(mode)
    with pytest.raises(Refused, match=f"{where} may be written by {reason}") as caught:
        hosts_file.find_inventory(None)
    assert caught.value.hint == f"if you trust it: --inventory {place}"


@root_only
@pytest.mark.parametrize("level", LEVELS)
def test_a_file_or_folder_of_someone_else_is_refused(place, level):
    os.chown(level_of(place, level), STRANGER, -1)
    with pytest.raises(Refused, match="belongs to someone else"):
        hosts_file.find_inventory(None)


@root_only
@pytest.mark.parametrize("level", LEVELS)
def test_a_group_with_other_members_is_someone_else(place, level):
    where = level_of(place, level)
    where.chmod(0o775)
    assert trusted_files.problem(place) == ""  # root's own group
    os.chown(where, -1, STRANGER)
    with pytest.raises(Refused, match="may be written by its group"):
        hosts_file.find_inventory(None)


@root_only
def test_in_a_sticky_folder_only_ones_own_file_is_trusted(place):
    place.parent.chmod(0o1777)
    assert hosts_file.find_inventory(None) == place
    os.chown(place, STRANGER, -1)
    with pytest.raises(Refused, match="belongs to someone else"):
        hosts_file.find_inventory(None)


@root_only
def test_a_link_is_as_safe_as_where_it_is_and_where_it_leads(place, tmp_path):
    other = tmp_path / "other"
    other.mkdir(mode=0o755)
    (other / "link").symlink_to(place)
    assert trusted_files.problem(other / "link") == ""
    other.chmod(0o777)
    assert "other may be written by anyone" in trusted_files.problem(other / "link")
    other.chmod(0o755)
    place.parent.chmod(0o777)
    assert "may be written by anyone" in trusted_files.problem(other / "link")


@root_only
def test_a_link_of_someone_else_is_refused_also_in_a_sticky_folder(place, tmp_path):
    """It could lead to any file of ours, for example in a checkout that we have not read."""
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    (shared / "hosts.yaml").symlink_to(place)
    assert trusted_files.problem(shared / "hosts.yaml") == ""
    os.lchown(shared / "hosts.yaml", STRANGER, -1)
    assert "hosts.yaml belongs to someone else" in trusted_files.problem(shared / "hosts.yaml")


@pytest.mark.parametrize("main", ["found", "named"])
@pytest.mark.parametrize("what", ["more/more.yaml", "more"])
def test_an_included_file_is_checked_like_the_file_itself(place, main, what):
    more = place.parent / "more" / "more.yaml"
    more.parent.mkdir(mode=0o755)
    more.write_text("hosts: {evil: {address: 192.0.2.66}}")
    place.write_text("include: [more/more.yaml]\nhosts: {h: {}}")
    path = hosts_file.find_inventory(str(place) if main == "named" else None)
    assert list(host_settings.load(path).hosts) == ["h", "evil"]
    (place.parent / what).chmod(0o777)
    with pytest.raises(Refused, match=r"hosts\.yaml:1: include\[0\]: .*written by anyone"):
        host_settings.load(path)


@pytest.mark.parametrize("what", ["", "mine", "mine/host.yaml", "keys", "keys/ada", "mine/files/x"])
def test_backends_that_others_may_change_are_not_used(place, what):
    folder = place.parent / "backends"
    for name in ("mine/host.yaml", "keys/ada", "mine/files/x"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        (folder / name).write_text("")
        (folder / name).chmod(0o644)
    for each in folder.rglob("*"):
        each.chmod(0o755 if each.is_dir() else 0o644)
    folder.chmod(0o755)
    spec = HostSpec(name="h", backend="mine", backends=str(folder))
    assert describe.folder(spec) == folder
    (folder / what).chmod(0o777)
    with pytest.raises(Refused, match="written by anyone"):
        describe.folder(spec)


def test_a_long_file_or_a_pipe_is_an_error_and_is_not_waited_for(tmp_path):
    (tmp_path / "hosts.yaml").write_text("#" * (5 << 20))
    with pytest.raises(Refused, match="longer than 4 MiB"):
        host_settings.load(tmp_path / "hosts.yaml")
    (tmp_path / "hosts.yaml").write_bytes(b"\xff\xfea")
    with pytest.raises(Refused, match=r"hosts\.yaml: .*decode"):
        host_settings.load(tmp_path / "hosts.yaml")
