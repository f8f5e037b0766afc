"""The file with what earlier imports found: it is ignored if missing, damaged or hostile."""

import errno
import json
import os

import pytest

from opstasks.deploy.onhost import kept_imports as kept

KEY = kept.key_of(("a" * 40, "b" * 40), {"SECRET": "opensesame"})
FOUND = {"migrations": {1: "CREATE TABLE job"}, "keys": {"A", "B"}, "is_confined": False}


@pytest.fixture
def packages(tmp_path):
    """A package folder of Python."""
    path = tmp_path / "packages"
    path.mkdir()
    return path


@pytest.fixture
def state(tmp_path, packages):
    """A state folder with one kept import."""
    path = tmp_path / "state"
    keep(path, packages)
    return path


def keep(state, packages, key=KEY):
    kept.keep(str(state), key, {**FOUND, "folders": [str(packages), "/no/such/folder"]})


def find(state, key=KEY):
    return kept.find(str(state), key)


def write(state, entries, **more):
    """A file whose hash is right, whatever it contains."""
    text = json.dumps({"digest": kept.digest(entries), "entries": entries, **more})
    (state / "imports.json").write_text(text)


# -- keeping and finding ---------------------------------------------------------------------


def test_a_kept_result_is_found_only_by_its_key(state):
    assert find(state) == FOUND
    assert find(state, kept.key_of(("a" * 40, "b" * 40), {"SECRET": "other"})) is None


def test_each_input_is_part_of_the_key(monkeypatch):
    keys = {
        kept.key_of(commits, env)
        for commits in (("a", "b"), ("b", "a"), ("ab", ""))
        for env in ({}, {"A": "1"}, {"A1": ""})
    }
    monkeypatch.setattr("sys.version", "4.0")
    assert len(keys | {kept.key_of(("a", "b"), {})}) == 10


@pytest.mark.parametrize("folder", ["packages", "appears"])
def test_installing_a_package_makes_kept_results_invalid(tmp_path, folder):
    (tmp_path / "packages").mkdir()
    folders = [str(tmp_path / "packages"), str(tmp_path / "appears")]
    kept.keep(str(tmp_path), KEY, {**FOUND, "folders": folders})
    assert find(tmp_path) == FOUND
    (tmp_path / folder / "package").mkdir(parents=True)
    assert find(tmp_path) is None


def test_the_newest_results_are_kept_and_one_for_each_key(state, packages):
    for number in range(kept.MOST_ENTRIES):
        keep(state, packages, str(number))
        keep(state, packages, str(number))
    assert find(state) is None
    assert all(find(state, str(number)) for number in range(kept.MOST_ENTRIES))
    assert len(kept.entries(kept.kept_path(str(state)))) == kept.MOST_ENTRIES


def test_the_file_is_private_and_has_no_secret(state):
    path = state / "imports.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert "opensesame" not in path.read_text()


# -- files that are ignored ------------------------------------------------------------------


def linked(path):
    path.rename(path.with_name("other.json"))
    path.symlink_to("other.json")


DAMAGES = {
    "missing": lambda path: path.unlink(),
    "empty": lambda path: path.write_text(""),
    "cut": lambda path: path.write_text(path.read_text()[:-40]),
    "changed": lambda path: path.write_text(path.read_text().replace("CREATE", "DELETE")),
    "no text": lambda path: path.write_bytes(b"\xff" * 100),
    "too long": lambda path: path.write_text(" " * kept.MAX_BYTES + path.read_text()),
    "deep": lambda path: path.write_text("[" * 100_000),
    "a number": lambda path: path.write_text("1"),
    "a link": linked,
    "a loop": lambda path: (path.unlink(), path.symlink_to(path.name)),
    "a device": lambda path: (path.unlink(), path.symlink_to("/dev/zero")),
    "a pipe": lambda path: (path.unlink(), os.mkfifo(path)),
    "for a group": lambda path: path.chmod(0o620),
    "for all": lambda path: path.chmod(0o602),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_bad_file_is_ignored_and_replaced(state, packages, damage):
    DAMAGES[damage](state / "imports.json")
    assert find(state) is None
    keep(state, packages)
    assert find(state) == FOUND
    assert not (state / "imports.json").is_symlink()


def test_a_link_is_replaced_and_its_target_untouched(state, packages, tmp_path):
    target = tmp_path / "target"
    target.write_text("mine")
    (state / "imports.json").unlink()
    (state / "imports.json").symlink_to(target)
    (state / "imports.json.new").symlink_to(target)
    keep(state, packages)
    assert (target.read_text(), find(state)) == ("mine", FOUND)


def test_the_file_of_another_account_is_not_read(state, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert find(state) is None


@pytest.mark.parametrize(
    "change",
    [
        {"migrations": None},
        {"migrations": {"x": "sql"}},
        {"migrations": {"-1": "sql"}},
        {"migrations": {"9" * 30: "sql"}},
        {"keys": 1},
        {"folders": {}},
        {"folders": ["/"]},
        {"folders": {"a\0b": None}},
    ],
)
def test_nonsense_with_a_right_hash_is_ignored(state, change):
    (entry,) = kept.entries(kept.kept_path(str(state)))
    write(state, [{**entry, **change}])
    assert find(state) is None


@pytest.mark.parametrize("entries", [1, [1], [[]], [{}], {"key": KEY}, "text", None])
def test_entries_of_another_shape_are_ignored(state, packages, entries):
    write(state, entries)
    assert find(state) is None
    keep(state, packages)
    assert find(state) == FOUND


def test_texts_are_cut_and_other_values_become_texts(state):
    (entry,) = kept.entries(kept.kept_path(str(state)))
    write(state, [{**entry, "migrations": {"1": ["x"] * 999, "2": None}, "keys": [None]}])
    found = find(state)
    assert (len(found["migrations"][1]), found["migrations"][2]) == (kept.MAX_TEXT, "None")
    assert found["keys"] == {"None"}


# -- a place that cannot be written ----------------------------------------------------------


def test_on_a_full_disk_nothing_is_kept_and_nothing_fails(tmp_path, packages, monkeypatch):
    def full(fd):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    keep(tmp_path / "state", packages)
    assert find(tmp_path / "state") is None
    assert list((tmp_path / "state").iterdir()) == []


@pytest.mark.parametrize("kind", ["a file", "a folder in its place", "a folder beside it"])
def test_a_place_that_cannot_be_written_is_not_an_error(tmp_path, packages, kind):
    state = tmp_path / "state"
    if kind == "a file":
        state.write_text("")
    else:
        name = "imports.json" if kind == "a folder in its place" else "imports.json.new"
        (state / name / "x").mkdir(parents=True)
    keep(state, packages)
    assert find(state) is None
