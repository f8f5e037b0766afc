"""The host's side of a release: its record, and which snapshots are kept."""

import json
import os
import random
import time

import pytest

from opstasks.core.errors import Refused
from opstasks.core.result import Result
from opstasks.deploy import problems, rollback
from opstasks.deploy import release as client_release
from opstasks.deploy.facts import ClosedFolder
from opstasks.deploy.onhost.record import (
    KEPT,
    closed_folders,
    record_path,
    snapshot_path,
    write_record,
)
from opstasks.deploy.onhost.releases import main
from opstasks.deploy.onhost.snapshots import prune
from opstasks.deploy.release import RELEASES, Release, ReleasesAnswer
from opstasks.onhost import release_records
from opstasks.onhost.limits import LATEST_AT
from opstasks.onhost.protocol import HostRefusal
from opstasks.onhost.release_records import refuse_unfinished
from tests.deploy.deploy_help import commits, record
from tests.fake_host import ANY


def snapshots(release_spec, *names):
    """Make snapshots, each a second newer than the previous one."""
    folder = snapshot_path(release_spec).parent
    folder.mkdir(parents=True, exist_ok=True)
    for age, name in enumerate(names):
        (folder / name).write_text("")
        os.utime(folder / name, (age, age))
    return folder


def test_the_newest_snapshots_are_kept_with_their_failed_databases(release_spec):
    one, two, three = (f"2024010{number}T000000-abcdef" for number in (1, 2, 3))
    kept = [f"{two}.sqlite", f"{three}.failed.sqlite", f"{three}.sqlite", f"{three}.sqlite-wal"]
    files = (
        f"{one}.sqlite",
        f"{one}.failed.sqlite",
        f"{one}.failed-12.sqlite",
        f"{one}.sqlite-shm",
        *kept,
    )
    folder = snapshots(release_spec, *files)
    assert prune(release_spec) == [one]
    assert sorted(path.name for path in folder.iterdir()) == kept


def test_a_persons_copy_of_a_record_is_no_release(release_spec):
    record(release_spec, "r1", outcome="deployed", started=1)
    copy = record_path({**release_spec, "id": "before"})
    original = json.loads(record_path({**release_spec, "id": "r1"}).read_text())
    copy.write_text(json.dumps({**original, "outcome": ""}))
    refuse_unfinished(release_spec["state_dir"])
    found = main({"state_dir": release_spec["state_dir"], "limit": 9})["releases"]
    assert [item["id"] for item in found] == ["r1"]
    # Renamed, it is still the only record of a release that nobody ended.
    record_path({**release_spec, "id": "r1"}).unlink()
    with pytest.raises(HostRefusal, match="is unfinished"):
        refuse_unfinished(release_spec["state_dir"])


def test_files_of_people_beside_the_snapshots_stay(release_spec):
    record(release_spec, "a*", outcome="rolled back", started=1)
    names = ("before upgrade.sqlite", "x.sqlite", "abc.sqlite", "notes.sqlite.txt", "*.sqlite")
    folder = snapshots(release_spec, "a*.sqlite", *names)
    for number in range(3):
        id = f"2024010{number}T000000-abcdef"
        record(release_spec, id, outcome="rolled back", started=10 + number)
        (folder / f"{id}.sqlite").write_text("")
    assert prune(release_spec) == ["20240100T000000-abcdef", "a*"]
    assert {*names} < {path.name for path in folder.iterdir()}


def test_failed_attempts_do_not_remove_what_a_rollback_needs(release_spec):
    folder = snapshots(release_spec, "good.sqlite", "a.sqlite", "b.sqlite", "c.sqlite")
    record(release_spec, "good", outcome="deployed", started=1)
    for age, id in enumerate("abc"):
        record(release_spec, id, outcome="rolled back", started=10 + age)
    assert prune(release_spec) == ["a"]
    assert (folder / "good.sqlite").exists()


def test_age_is_by_the_clock_of_the_host(release_spec):
    snapshots(release_spec, "2099.sqlite", "2024.sqlite", "2025.sqlite")
    for started, id in enumerate(("2099", "2024", "2025")):
        record(release_spec, id, outcome="deployed", started=started)
    assert prune(release_spec) == ["2099"]


def test_copies_without_a_record_are_old_if_the_clock_was_set_back(release_spec):
    future = time.time() + 10**6
    ids = [f"2024010{number}T000000-abcdef" for number in range(6)]
    folder = snapshots(release_spec, *(f"{id}.sqlite" for id in ids))
    for number, id in enumerate(ids[:4]):
        os.utime(folder / f"{id}.sqlite", (future + number,) * 2)
    assert sorted(prune(release_spec)) == ids[:4]
    assert sorted(path.name for path in folder.iterdir()) == [f"{id}.sqlite" for id in ids[4:]]


HOUR, WEEKS = 3600.0, 30 * 86400.0
JUMPS = {
    "right": (),
    "set back": (0, WEEKS, WEEKS + HOUR, WEEKS + 60, WEEKS + 120),
    "set back before all": (WEEKS, WEEKS + HOUR, 5, 10, 15),
    "ahead and back": (0, WEEKS, 60, WEEKS, 61, 62),
    "stands still": (7, 7, 7, 7),
    "the epoch": (HOUR, 0, 0, 0),
    "after the year 3000": (HOUR, 10.0**11, HOUR, HOUR),
    **{
        f"random {seed}": [random.Random(seed).uniform(0, WEEKS) for _ in range(7)]
        for seed in range(9)
    },
}


@pytest.mark.parametrize("jumps", JUMPS)
def test_releases_are_in_the_order_in_which_they_began_whatever_the_clock_says(
    release_spec, monkeypatch, jumps
):
    ids = []
    for number, at in enumerate(JUMPS[jumps]):
        monkeypatch.setattr(time, "time", lambda at=at: at)
        # The ids are of the operator's clock, which is right.
        ids.append(f"2026010{number + 1}T000000-abcdef")
        spec = {**release_spec, "id": ids[-1]}
        write_record(spec, step="begun")
        folder = snapshots(spec)
        (folder / f"{ids[-1]}.sqlite").write_text("")
        os.utime(folder / f"{ids[-1]}.sqlite", (at, at))
        write_record(spec, outcome="deployed", from_version=number, to_version=number + 1)
        prune(spec)
        assert [item.id for item in listed(spec)] == ids[::-1]
        # What people see is the clock's time, also if it was wrong.
        assert listed(spec)[0].started_at == (at if at < LATEST_AT else 0)
        assert rollback.undoable(listed(spec)).id == ids[-1]
        kept = sorted(path.stem for path in folder.iterdir())
        assert kept == ids[-spec["keep_snapshots"] :]


def test_a_release_whose_record_was_lost_is_the_newest_one(release_spec, monkeypatch):
    record(release_spec, "20250101T000000-abcdef", outcome="deployed", started=1000.0)
    monkeypatch.setattr(time, "time", lambda: 5.0)
    snapshots(release_spec, f"{release_spec['id']}.sqlite")
    write_record(release_spec, outcome="deployed")
    assert listed(release_spec)[0].id == release_spec["id"]


def test_snapshots_of_this_and_unfinished_releases_are_kept(release_spec):
    snapshots(release_spec, f"{release_spec['id']}.sqlite", "cut.sqlite", "x.sqlite", "y.sqlite")
    record(release_spec, "cut", outcome="", started=1)
    assert prune(release_spec) == []


def test_a_record_is_always_complete(release_spec):
    write_record(release_spec, step="begun", containers=["os-job-a"])
    write_record(release_spec, step="moved")
    found = json.loads(record_path(release_spec).read_text())
    assert found.items() >= {key: release_spec[key] for key in KEPT}.items()
    assert (found["step"], found["outcome"], found["containers"]) == ("moved", "", ["os-job-a"])
    assert [path.name for path in record_path(release_spec).parent.iterdir()] == [
        f"{release_spec['id']}.json"
    ]


def listed(spec, limit=200):
    """The host's answer, as the client decodes it."""
    answer = main({"state_dir": spec["state_dir"], "limit": limit})
    return RELEASES.decode(Result("", 0, json.dumps({"ok": answer}), ""), "tpp").releases


def test_releases_are_listed_newest_first(release_spec):
    for at, id in ((1, "b"), (3, "a"), (2, "c")):
        record(release_spec, id, started=at, outcome="deployed", to_version=at)
    assert [item.id for item in listed(release_spec)] == ["a", "c", "b"]
    assert listed(release_spec)[0].to_version == 3


def test_a_limited_list_has_older_unfinished_releases(release_spec):
    for at in range(5):
        record(release_spec, f"r{at}", started=at, outcome="deployed" if at else "")
    assert [item.id for item in listed(release_spec, 2)] == ["r4", "r3", "r0"]


def test_a_host_without_releases_lists_none(release_spec):
    assert listed(release_spec) == ()


NO_RECORDS = ["", "{", "[]", "null", "7", "{}", '{"step": "moved"}', '{"outcome": 7}', "\xff\0"]


@pytest.mark.parametrize("text", NO_RECORDS)
def test_a_file_that_is_not_a_record_is_listed_as_that(release_spec, text):
    record(release_spec, "good", started=1, outcome="deployed")
    record_path({**release_spec, "id": "bad"}).write_text(text, "latin-1")
    for limit in (1, 200):
        good, bad = listed(release_spec, limit)
        assert (good.id, good.unread) == ("good", "")
        assert (bad.id, bad.unread, bad.is_unfinished) == ("bad", "it is damaged", False)
    assert bad.problem == "the record of release bad cannot be read: it is damaged"


ODD_FILES = {
    "folder": lambda place: place.mkdir(),
    "link": lambda place: place.symlink_to("/etc/hostname"),
    "link to nothing": lambda place: place.symlink_to("nowhere"),
    "pipe": lambda place: os.mkfifo(place),
}


@pytest.mark.parametrize("kind", ODD_FILES)
def test_something_else_in_place_of_a_record_is_listed_as_that(release_spec, kind):
    place = record_path(release_spec)
    place.parent.mkdir(parents=True)
    ODD_FILES[kind](place)
    assert [item.unread for item in listed(release_spec)] == ["it is damaged"]


def closed_to_us(path, **options):
    raise PermissionError(13, "Permission denied", path)


def test_a_record_of_root_is_listed_with_the_reason(release_spec, monkeypatch):
    record(release_spec, "r1", outcome="")
    monkeypatch.setattr(release_records, "read", closed_to_us)
    (found,) = listed(release_spec)
    assert found.problem == "the record of release r1 cannot be read: permission denied"
    assert found.result == "unreadable"


def test_a_folder_of_records_that_is_no_folder_is_listed_as_that(release_spec, tmp_path):
    (tmp_path / "opstasks").mkdir()
    (tmp_path / "opstasks" / "releases").write_text("")
    (found,) = listed(release_spec)
    assert found.problem == "the folder of release records cannot be read: it is not a folder"


@pytest.mark.parametrize(
    ("unread", "hint"),
    [
        ("it is damaged", "mv /s/releases/r1.json /s/releases/r1.json.bad"),
        ("permission denied", "as root: chown -R opensafely: /s; chmod -R u+rwX /s"),
    ],
)
def test_the_hint_fits_the_reason_why_a_record_cannot_be_read(unread, hint):
    assert hint in client_release.unread_hint("/s", "opensafely", Release("../r1", unread=unread))


@pytest.mark.parametrize("place", ["opstasks/releases", "opstasks", ""])
def test_the_hint_moves_what_is_there_instead_of_a_folder(release_spec, tmp_path, place):
    """A file may be in the place of the folder, or of one above it."""
    spec = {**release_spec, "state_dir": f"{tmp_path}/home/opstasks"}
    blocking = tmp_path / "home" / place
    blocking.parent.mkdir(parents=True, exist_ok=True)
    blocking.write_text("")
    (found,) = listed(spec)
    assert found.problem == "the folder of release records cannot be read: it is not a folder"
    assert found.unread_place == str(blocking)
    hint = client_release.unread_hint(spec["state_dir"], "opensafely", found)
    wanted = f"mv {blocking} {blocking}.old" if place else f"namei -l {spec['state_dir']}"
    assert hint.endswith(wanted)


@pytest.mark.parametrize("place", ["opstasks/snapshots", "opstasks"])
def test_the_hint_of_a_plan_moves_what_is_there_instead_of_a_folder(tmp_path, place):
    state, blocking = tmp_path / "opstasks", tmp_path / place
    blocking.parent.mkdir(parents=True, exist_ok=True)
    blocking.write_text("")
    folder = next(item for item in closed_folders(str(state)) if item["name"] == "snapshots")
    hint = problems.folder_hint("tpp", str(state), "opensafely", ClosedFolder(**folder))
    assert hint.endswith(f"mv {blocking} {blocking}.old")


def test_what_a_host_says_about_a_place_gets_into_no_hint():
    found = Release("", unread="it is not a folder", unread_place="/s/releases; rm -rf x")
    assert "rm" not in client_release.unread_hint("/s", "opensafely", found)


def test_an_unfinished_release_comes_before_one_that_cannot_be_read():
    unread, begun, ended = Release("a", unread="x"), Release("b"), Release("c", outcome="deployed")
    assert client_release.blocking([ended, unread, begun]) == begun
    assert client_release.blocking([ended, unread]) == unread
    assert client_release.blocking([ended]) is None


def test_nothing_starts_beside_a_record_that_cannot_be_read(fake_host):
    host = fake_host()
    answer = ReleasesAnswer((Release("r1", unread="it is damaged"),))
    host.expect(RELEASES, ANY, answer)
    with pytest.raises(Refused, match="the record of release r1 cannot be read") as caught:
        client_release.refuse_half_way(host.service)
    assert "/releases/r1.json.bad" in caught.value.hint


def test_the_snapshot_of_a_record_that_cannot_be_read_is_kept(release_spec):
    later = ("20240101T000000-abcdef.sqlite", "20240102T000000-abcdef.sqlite")
    folder = snapshots(release_spec, "bad.sqlite", "a.sqlite", *later)
    record_path({**release_spec, "id": "bad"}).parent.mkdir(parents=True)
    record_path({**release_spec, "id": "bad"}).write_text("")
    record(release_spec, "a", outcome="rolled back", started="yesterday")
    assert prune(release_spec) == ["a"]
    assert (folder / "bad.sqlite").exists()


@pytest.mark.parametrize(
    "odd",
    [
        {"started": 1e30},
        {"started": "yesterday"},
        {"started": None, "who": None, "reason": 7},
        {"to_version": -1, "from_version": "x"},
        {"rolling_back": "yes", "id": None},
        {"reason": "x" * 100_000},
    ],
)
def test_invalid_values_do_not_hide_an_unfinished_release(release_spec, odd):
    path = record_path({**release_spec, "id": "r1"})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"outcome": "", **commits(release_spec), **odd}))
    (found,) = listed(release_spec)
    assert (found.id, found.is_unfinished) == ("r1", True)
