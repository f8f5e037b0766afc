"""Removing Level 4 files: the host's side on real trees, hostile names, hostile neighbours."""

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opstasks.core.errors import Refused
from opstasks.core.formats import size_text
from opstasks.fleet.inventory import HostSpec
from opstasks.outputs import act, names, records
from opstasks.outputs.onhost import outputs as ro

ROOT = "/srv/medium_privacy"

# Bytes that a file's name may hold, hostile ones first; the shell's, a terminal's, rsync's.
HOSTILE = (
    *("\n", "'", '"', "*", "?", "[a]", "\\", "$HOME", "`id`", ";rm -rf .", "-rf", "--", " ", "~"),
    *("\x1b[2J", "\x07", "ü", "\udcff", "%s", "{a,b}", "!", "#", "&", "|", "..x", "...", "\t"),
)
NAME = st.lists(
    st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(codec="utf-8"), max_size=4)),
    min_size=1,
    max_size=4,
).map(lambda parts: "".join(parts).replace("/", "").replace("\0", ""))
GOOD_NAME = NAME.filter(lambda n: n not in ("", ".", "..") and len(os.fsencode(n)) < 200)


# -- the drive -------------------------------------------------------------------------------


def test_the_folder_that_a_mount_would_hide_is_no_drive(tmp_path, monkeypatch):
    drive = tmp_path / "e"
    drive.mkdir()
    monkeypatch.setattr(ro, "mounted", lambda: ["/", str(drive)])
    assert not ro.is_away(str(drive))
    assert not ro.is_away("")
    assert ro.is_away(str(drive / "none"))
    monkeypatch.setattr(ro, "mounted", lambda: ["/"])
    assert ro.is_away(str(drive))


# -- names -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/", "a\0b"])
def test_a_workspace_is_one_folder(name):
    with pytest.raises(Refused):
        names.workspace(name)


@pytest.mark.parametrize(
    "name", ["", "/", "..", "a/../b", "a//b", "a/", "/etc/passwd", "./a", f"{ROOT}/workspaces/V/a"]
)
def test_a_path_that_could_lead_out_is_refused(name):
    with pytest.raises(Refused):
        names.file(name, "W", ROOT)


def test_the_full_path_of_a_file_in_the_workspace_is_fine():
    assert names.file(f"{ROOT}/workspaces/W/out/a b.csv", "W", ROOT) == "out/a b.csv"


@given(st.lists(GOOD_NAME, min_size=1, max_size=4))
def test_any_name_that_a_file_may_have_is_taken_as_it_is(parts):
    assert names.file("/".join(parts), "W", ROOT) == "/".join(parts)


@settings(max_examples=200, deadline=None)
@given(GOOD_NAME)
def test_a_name_is_shown_as_bash_reads_it(name):
    shown = names.typed(name)
    assert shown.isprintable()
    done = subprocess.run(
        ["bash", "-c", f"printf %s {shown}"],
        capture_output=True,
        env={"LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"]},
        check=True,
    )
    assert done.stdout == os.fsencode(name)


def test_the_partners_path_has_the_partners_slashes():
    shown = names.manual_path("D:\\Level4Files\\workspaces", "W", "out/a b.csv")
    assert shown == "D:\\Level4Files\\workspaces\\W\\out\\a b.csv"
    assert names.manual_path("/mnt/l4/", "W", "a") == "/mnt/l4/W/a"


@pytest.mark.parametrize(
    ("count", "shown"), [(0, "0 B"), (999, "999 B"), (1400, "1.37 KiB"), (23e6, "21.9 MiB")]
)
def test_sizes_for_people(count, shown):
    assert size_text(int(count)) == shown


# -- a tree ----------------------------------------------------------------------------------


class Tree:
    """A host's storage: a workspace among others, high privacy, and things outside."""

    def __init__(self, top):
        self.top = Path(top)
        self.root = self.top / "medium/workspaces"
        self.high = self.top / "high/workspaces"
        self.outside = self.top / "outside"
        for folder in (self.root / "W/out", self.root / "V", self.high / "W/out", self.outside):
            folder.mkdir(parents=True)
        self.put(self.high / "W/out/table.csv", "high")
        self.put(self.high / "W/secret.csv", "secret")
        self.put(self.root / "V/table.csv", "other workspace")
        self.put(self.outside / "table.csv", "outside")
        self.put(self.outside / "passwd", "root")

    @staticmethod
    def put(path, text):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def precious(self):
        """Every file that must survive, by what it is on the disk and what it says."""
        found = {}
        for folder in (self.high, self.root / "V", self.outside):
            for path in folder.rglob("*"):
                info = path.lstat()
                if path.is_file() and not path.is_symlink():
                    found[info.st_ino] = hashlib.sha256(path.read_bytes()).hexdigest()
        return found

    def everything(self):
        """Every regular file below the top, wherever it lies by now."""
        found = {}
        for folder, _, files in os.walk(self.top):
            for name in files:
                path = Path(folder, name)
                if not path.is_symlink() and path.is_file():
                    found[path.lstat().st_ino] = hashlib.sha256(path.read_bytes()).hexdigest()
        return found

    def digest(self, folder):
        """Names, kinds and contents below a folder."""
        found = []
        for path in sorted(folder.rglob("*"), key=os.fsencode):
            kind = os.readlink(path) if path.is_symlink() else path.is_file() and path.read_bytes()
            found.append((os.fsencode(path.relative_to(folder)), kind, path.lstat().st_mode))
        return found

    def asked(self, workspace, path, facts, **over):
        root = str(self.root)
        hold = str(self.top / "medium/.opstasks-removed")
        place = {"root": root, "hold": hold, "facts": facts, "sha256": facts.get("sha256", "")}
        return {
            "record": {"id": "abc-1", "workspace": workspace, "file": path, "time": 1.0},
            "records": str(self.top / "records"),
            "places": [place],
            "held": "abc-1",
            "sync_lock": "",
            **over,
        }

    def remove(self, path, workspace="W", facts=None, **over):
        if facts is None:
            facts = ro.look_at(str(self.root), workspace, path)
            if not facts or "error" in facts:
                raise ro.OutputError(facts.get("error", "absent"))
        return ro.remove(self.asked(workspace, path, facts, **over))


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


def test_exactly_one_file_goes_and_its_folder_stays(tree):
    tree.put(tree.root / "W/out/table.csv", "medium")
    tree.put(tree.root / "W/table.csv", "medium, too")
    high, other = tree.digest(tree.high), tree.digest(tree.root / "V")
    tree.remove("out/table.csv")
    assert (tree.root / "W/out").is_dir()
    assert not list((tree.root / "W/out").iterdir())
    assert (tree.root / "W/table.csv").read_text() == "medium, too"
    assert (tree.digest(tree.high), tree.digest(tree.root / "V")) == (high, other)
    assert not (tree.top / "medium/.opstasks-removed").exists()


LAYOUTS = ("plain", "folder-link", "file-link", "hard-link", "folder", "pipe", "deep", "loop")


def lay_out(tree, layout, parts):
    """Put something of a kind where the parts lead; whether it may be removed."""
    place = tree.root / "W" / "/".join(parts)
    place.parent.mkdir(parents=True, exist_ok=True)
    if layout == "folder-link" and len(parts) > 1:
        shutil.rmtree(tree.root / "W" / parts[0])
        tree.put(tree.outside / "/".join(parts[1:]), "outside, by a link")
        (tree.root / "W" / parts[0]).symlink_to(tree.outside)
        return False
    if layout == "file-link":
        place.symlink_to(tree.high / "W/secret.csv")
        return False
    if layout == "loop":
        place.symlink_to(place)
        return False
    if layout == "hard-link":
        os.link(tree.high / "W/secret.csv", place)
        return True
    if layout == "folder":
        place.mkdir()
        (place / "inner").write_text("inner")
        return False
    if layout == "pipe":
        os.mkfifo(place)
        return False
    place.write_text("medium")
    return True


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(LAYOUTS),
    st.lists(GOOD_NAME, min_size=1, max_size=4).filter(
        lambda p: len(os.fsencode("/".join(p))) < 900
    ),
)
def test_hostile_names_and_layouts_never_reach_outside(layout, parts):
    """200 of them: nothing outside goes, the high-privacy tree is byte-identical."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Tree(folder)
        tree.put(tree.root / "W/kept.csv-not-asked-for", "kept")
        removable = lay_out(tree, layout, parts)
        path = "/".join(parts)
        before = {d: tree.digest(d) for d in (tree.high, tree.root / "V", tree.outside)}
        inside = tree.digest(tree.root / "W")
        if removable:
            tree.remove(names.file(path, "W", str(tree.root.parent)))
            gone = [line for line in inside if line not in tree.digest(tree.root / "W")]
            assert [line[0] for line in gone] == [os.fsencode(path)]
        else:
            with pytest.raises(ro.OutputError):
                tree.remove(path)
            assert tree.digest(tree.root / "W") == inside
        assert {d: tree.digest(d) for d in before} == before


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.one_of(st.sampled_from(["..", ".", "", "out", "V", "W"]), NAME), max_size=6))
def test_paths_with_dots_never_reach_outside_on_the_host_either(parts):
    """The host's side checks by itself: it need not trust the client."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Tree(folder)
        before = {d: tree.digest(d) for d in (tree.high, tree.root / "V", tree.outside)}
        facts = ro.look_at(str(tree.root), "W", "/".join([*parts, "table.csv"]))
        with contextlib.suppress(ro.OutputError, OSError):
            tree.remove("/".join([*parts, "table.csv"]), facts=facts)
        assert {d: tree.digest(d) for d in before} == before


# -- somebody else moves things while we work ------------------------------------------------


def swap_file_for_link(tree):
    file = tree.root / "W/out/table.csv"
    file.unlink(missing_ok=True)
    file.symlink_to(tree.high / "W/out/table.csv")


def swap_file_for_other(tree):
    file = tree.root / "W/out/table.csv"
    file.unlink(missing_ok=True)
    (tree.outside / "passwd").rename(file)


def swap_folder_for_link(tree):
    with contextlib.suppress(OSError):
        (tree.root / "W/out").rename(tree.root / "W/moved")
        (tree.root / "W/out").symlink_to(tree.high / "W/out")


def swap_folder_for_high(tree):
    with contextlib.suppress(OSError):
        (tree.root / "W/out").rename(tree.outside / "taken")
        (tree.high / "W/out").rename(tree.root / "W/out")


def swap_workspace_for_link(tree):
    with contextlib.suppress(OSError):
        (tree.root / "W").rename(tree.outside / "W")
        (tree.root / "W").symlink_to(tree.high / "W")


def write_into(tree):
    with contextlib.suppress(OSError), (tree.root / "W/out/table.csv").open("a") as file:
        file.write("more")


def put_a_folder_there(tree):
    file = tree.root / "W/out/table.csv"
    file.unlink(missing_ok=True)
    (file / "deep").mkdir(parents=True)
    os.link(tree.high / "W/secret.csv", file / "deep/secret.csv")


ATTACKS = (
    swap_file_for_link,
    swap_file_for_other,
    swap_folder_for_link,
    swap_folder_for_high,
    swap_workspace_for_link,
    write_into,
    put_a_folder_there,
)
# Every call to the system that a removal makes is a moment at which another process may act.
HOOKS = ("open", "stat", "fstat", "rename", "unlink", "link", "read", "fsync", "dup", "close")


def act_at(tree, hook, moment, action):
    """Remove the file, something else happening just before one of the calls; calls counted."""
    tree.put(tree.root / "W/out/table.csv", "medium")
    facts = ro.look_at(str(tree.root), "W", "out/table.csv")
    calls, real = [], getattr(os, hook)

    def hooked(*args, **options):
        calls.append(1)
        if len(calls) == moment:
            with pytest.MonkeyPatch.context() as undo:
                undo.setattr(os, hook, real)
                action()
        return real(*args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, hook, hooked)
        with contextlib.suppress(ro.OutputError, OSError):
            tree.remove("out/table.csv", facts=facts)
    return len(calls)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_no_race_ever_removes_anything_else(attack, tmp_path):
    """Whatever is exchanged before whichever call, no other file is lost: 300 races."""
    races = 0
    for hook in HOOKS:
        count = act_at(Tree(tmp_path / hook), hook, 0, lambda: None)
        for moment in range(1, count + 1):
            tree = Tree(tmp_path / f"{hook}-{moment}")
            precious = tree.precious()
            act_at(tree, hook, moment, lambda tree=tree: attack(tree))
            left = tree.everything()
            assert {ino: left.get(ino) for ino in precious} == precious, (hook, moment)
            races += 1
    assert races > 40


def test_a_neighbour_who_swaps_folders_all_the_time_loses_nothing(tree):
    """A real race: a thread exchanges the folder for a link, as fast as it can."""
    aim, aside = tree.root / "W/out", tree.root / "W/aside"
    for number in range(60):
        tree.put(aim / f"{number}.csv", f"medium {number}")
        tree.put(tree.high / f"W/out/{number}.csv", f"high {number}")
    shown = {n: ro.look_at(str(tree.root), "W", f"out/{n}.csv") for n in range(60)}
    before, stop = tree.digest(tree.high), threading.Event()
    swaps = []

    def swap():
        while not stop.is_set():
            aim.rename(aside)
            aim.symlink_to(tree.high / "W/out")
            aim.unlink()
            aside.rename(aim)
            swaps.append(1)

    thread = threading.Thread(target=swap)
    thread.start()
    tries = 0
    try:
        deadline = time.monotonic() + 4
        while shown and time.monotonic() < deadline:
            for number, facts in list(shown.items()):
                tries += 1
                with contextlib.suppress(ro.OutputError, OSError):
                    held = {"held": f"abc-{number}"}
                    tree.remove(f"out/{number}.csv", facts=facts, **held)
                    del shown[number]
    finally:
        stop.set()
        thread.join()
    assert len(swaps) > 10
    assert tries >= 60
    assert tree.digest(tree.high) == before


def test_a_folder_that_was_moved_out_meanwhile_keeps_its_file(tree, monkeypatch):
    tree.put(tree.root / "W/out/a.csv", "x")
    facts = ro.look_at(str(tree.root), "W", "out/a.csv")
    rename = os.rename

    def move_out(*args, **options):
        rename(tree.root / "W/out", tree.outside / "out")
        rename(*args, **options)

    monkeypatch.setattr(os, "rename", move_out)
    with pytest.raises(ro.OutputError, match="moved away"):
        tree.remove("out/a.csv", facts=facts)
    assert (tree.outside / "out/a.csv").read_text() == "x"


def test_a_file_that_changed_since_it_was_shown_stays(tree):
    tree.put(tree.root / "W/a.csv", "as shown")
    facts = ro.look_at(str(tree.root), "W", "a.csv")
    tree.put(tree.root / "W/a.csv", "as it is")
    with pytest.raises(ro.OutputError, match="not as it was shown"):
        tree.remove("a.csv", facts=facts)
    assert (tree.root / "W/a.csv").read_text() == "as it is"


def test_what_was_exchanged_goes_back_and_never_over_something_new(tree, monkeypatch):
    file = tree.root / "W/a.csv"
    tree.put(file, "shown")
    facts = ro.look_at(str(tree.root), "W", "a.csv")
    rename = os.rename

    def exchange(*args, **options):
        file.unlink()
        file.write_text("exchanged")
        rename(*args, **options)
        file.write_text("newer still")

    monkeypatch.setattr(os, "rename", exchange)
    with pytest.raises(ro.OutputError, match="took its name"):
        tree.remove("a.csv", facts=facts)
    assert file.read_text() == "newer still"
    assert (tree.top / "medium/.opstasks-removed/abc-1").read_text() == "exchanged"


def test_what_was_exchanged_goes_back_on_a_drive_without_hard_links(tree, monkeypatch):
    file, rename = tree.root / "W/a.csv", os.rename
    tree.put(file, "shown")
    facts = ro.look_at(str(tree.root), "W", "a.csv")

    def exchange(*args, **options):
        monkeypatch.setattr(os, "rename", rename)
        file.unlink()
        file.write_text("exchanged")
        rename(*args, **options)

    def no_link(*args, **options):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "rename", exchange)
    monkeypatch.setattr(os, "link", no_link)
    with pytest.raises(ro.OutputError, match="exchanged meanwhile"):
        tree.remove("a.csv", facts=facts)
    assert file.read_text() == "exchanged"
    assert not list((tree.top / "medium/.opstasks-removed").iterdir())


def test_a_drive_that_numbers_its_files_anew_is_no_obstacle(tree):
    tree.put(tree.root / "W/a.csv", "x")
    facts = ro.look_at(str(tree.root), "W", "a.csv")
    tree.remove("a.csv", facts={key: facts[key] for key in act.STABLE})
    assert not (tree.root / "W/a.csv").exists()


def test_a_file_that_was_not_there_when_it_was_shown_stays(tree):
    tree.put(tree.root / "W/a.csv", "new")
    with pytest.raises(ro.OutputError, match="not there"):
        ro.remove(tree.asked("W", "a.csv", {}))
    assert (tree.root / "W/a.csv").exists()


def test_a_hold_that_is_a_link_or_somebody_elses_is_not_used(tree):
    tree.put(tree.root / "W/a.csv", "x")
    hold = tree.top / "medium/.opstasks-removed"
    hold.symlink_to(tree.outside)
    with pytest.raises(OSError, match=r"directory|symbolic"):
        tree.remove("a.csv")
    hold.unlink()
    hold.mkdir()
    hold.chmod(0o777)
    if (tree.top / "medium").stat().st_uid != os.getuid():
        with pytest.raises(ro.OutputError, match="not ours alone"):
            tree.remove("a.csv")
    assert (tree.root / "W/a.csv").exists()


# -- cut off, twice, at the source -----------------------------------------------------------


def test_a_removal_that_was_cut_off_between_its_moves_is_finished(tree, monkeypatch):
    tree.put(tree.root / "W/a.csv", "x")
    facts = ro.look_at(str(tree.root), "W", "a.csv")
    unlink = os.unlink

    def power_cut(*args, **options):
        if "dir_fd" in options:  # the output itself, no file of ours
            raise KeyboardInterrupt
        unlink(*args)

    monkeypatch.setattr(os, "unlink", power_cut)
    with pytest.raises(KeyboardInterrupt):
        tree.remove("a.csv", facts=facts)
    monkeypatch.setattr(os, "unlink", unlink)
    (record,) = ro.read_records(str(tree.top / "records"))
    assert record["state"] == "removing"
    assert not (tree.root / "W/a.csv").exists()
    asked = tree.asked("W", "a.csv", {})
    asked["places"][0]["sha256"] = facts["sha256"]
    ro.remove(asked)
    assert not (tree.top / "medium/.opstasks-removed").exists()
    (record,) = ro.read_records(str(tree.top / "records"))
    assert record["state"] == "removed"


def test_another_file_in_the_hold_is_not_taken_for_ours(tree):
    tree.put(tree.root / "W/a.csv", "x")
    hold = tree.top / "medium/.opstasks-removed"
    hold.mkdir(mode=0o700)
    (hold / "abc-1").write_text("somebody's")
    with pytest.raises(ro.OutputError, match="look at it"):
        tree.remove("a.csv")
    assert (hold / "abc-1").read_text() == "somebody's"
    assert (tree.root / "W/a.csv").exists()


def test_at_the_source_first_and_a_failure_there_keeps_both(tree):
    source = tree.top / "e/workspaces"
    tree.put(source / "W/a.csv", "from windows")
    tree.put(tree.root / "W/a.csv", "here")
    facts = ro.look_at(str(source), "W", "a.csv")
    there = {"root": str(source), "hold": str(source / ".opstasks-removed"), "facts": facts}
    here = tree.asked("W", "a.csv", ro.look_at(str(tree.root), "W", "a.csv"))["places"][0]
    places = [{**there, "sha256": facts["sha256"]}, here]
    tree.put(source / "W/a.csv", "changed meanwhile")
    with pytest.raises(ro.OutputError):
        tree.remove("a.csv", places=places)
    assert (source / "W/a.csv").exists()
    assert (tree.root / "W/a.csv").exists()
    (record,) = ro.read_records(str(tree.top / "records"))
    assert (record["state"], "not as it was shown" in record["error"]) == ("failed", True)
    places[0]["facts"] = ro.look_at(str(source), "W", "a.csv")
    tree.remove("a.csv", places=places)
    assert not (source / "W/a.csv").exists()
    assert not (tree.root / "W/a.csv").exists()


def test_a_removal_waits_for_the_sync_and_gives_up_in_time(tree, monkeypatch):
    import fcntl

    monkeypatch.setattr(ro, "LOCK_WAIT_S", 0.3)
    tree.put(tree.root / "W/a.csv", "x")
    lock = tree.top / "sync.lock"
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(ro.OutputError, match="sync is at work"):
            tree.remove("a.csv", sync_lock=str(lock))
    assert (tree.root / "W/a.csv").exists()
    tree.remove("a.csv", sync_lock=str(lock))


# -- listing and records ---------------------------------------------------------------------


def test_a_listing_follows_no_link(tree):
    tree.put(tree.root / "W/out/a.csv", "four")
    (tree.root / "W/out/link").symlink_to(tree.high)
    (tree.root / "W/folder").symlink_to(tree.high)
    asked = {"root": str(tree.root), "workspace": "W"}
    found = ro.listing(asked)["files"]
    assert [(e["path"], e["kind"]) for e in found] == [
        ("folder", "link"),
        ("out/a.csv", "file"),
        ("out/link", "link"),
    ]
    (tree.root / "X").symlink_to(tree.high)
    with pytest.raises(ro.OutputError, match="link"):
        ro.listing({**asked, "workspace": "X"})
    names_found = [w["name"] for w in ro.listing({**asked, "workspace": ""})["workspaces"]]
    assert names_found == ["V", "W"]


def test_an_answer_is_json_for_any_name(tree, capsys):
    tree.put(tree.root / "W" / os.fsdecode(b"\xff\n'"), "x")
    ro.main(json.dumps({"do": "list", "root": str(tree.root), "workspace": "W"}))
    (entry,) = json.loads(capsys.readouterr().out)["files"]
    assert os.fsencode(entry["path"]) == b"\xff\n'"
    ro.main(json.dumps({"do": "list", "root": str(tree.root), "workspace": "nowhere"}))
    assert "no such workspace" in json.loads(capsys.readouterr().out)["error"]


def test_a_removal_is_open_until_it_is_attested_and_attesting_is_done_once(tree):
    folder = str(tree.top / "records")
    tree.put(tree.root / "W/a.csv", "x")
    facts = ro.look_at(str(tree.root), "W", "a.csv")
    asked = tree.asked("W", "a.csv", facts)
    asked["record"]["manual"] = "D:\\W\\a.csv"
    ro.remove(asked)
    asked = {"root": str(tree.root), "records": folder, "ids": ["abc-1"]}
    (record,) = records.parse(ro.records(asked))
    assert record.is_open
    assert not record.returned
    words = {"by": "Alex", "recorded_by": "a@b", "time": "2026-01-01T00:00:00+00:00", "note": ""}
    assert ro.attest({**asked, "attested": words})["changed"] == ["abc-1"]
    assert ro.attest({**asked, "attested": {**words, "by": "Eve"}})["changed"] == []
    tree.put(tree.root / "W/a.csv", "back")
    (record,) = records.parse(ro.records(asked))
    assert not record.is_open
    assert record.attested.by == "Alex"
    assert record.returned


def test_ids_are_found_whole_or_by_their_batch():
    known = [records.Record(id=i, workspace="W", file="f") for i in ("abc-1", "abc-2", "abd-1")]
    assert [r.id for r in records.find(known, ["abc"])] == ["abc-1", "abc-2"]
    assert [r.id for r in records.find(known, ["abc-2", "abc"])] == ["abc-2", "abc-1"]
    for unknown in ("ab", "", "abc-3"):
        with pytest.raises(Refused):
            records.find(known, [unknown])


def test_the_steps_name_every_path_and_the_way_to_close_them():
    spec = HostSpec(name="tpp")
    record = records.Record(id="abc-1", workspace="W", file="f", manual="D:\\ws\\W\\f")
    lines = act.steps(spec, [record])
    assert "  D:\\ws\\W\\f" in lines
    assert lines[-1] == "then: inv -H tpp outputs.attest abc"
    assert act.steps(spec, [records.Record(id="abc-1", workspace="W", file="f")]) == []
