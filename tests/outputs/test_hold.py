"""outputs.rm on the host: hostile layouts, and other processes that move files."""

import contextlib
import os
import shutil
import tempfile
import threading
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opstasks.onhost.protocol import HostFailure
from opstasks.outputs import names
from opstasks.outputs.onhost import remove
from opstasks.outputs.onhost.facts import STABLE_IDENTITY
from tests.outputs.outputs_help import GOOD_NAME, NAME, Tree


def test_exactly_one_file_is_removed_and_its_folder_stays(tree):
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
    """Put an entry of a kind at a path; returns whether it may be removed."""
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
    """200 of them: nothing outside is removed, the high-privacy tree is byte-identical."""
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
            with pytest.raises(HostFailure):
                tree.remove(path)
            assert tree.digest(tree.root / "W") == inside
        assert {d: tree.digest(d) for d in before} == before


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.one_of(st.sampled_from(["..", ".", "", "out", "V", "W"]), NAME), max_size=6))
def test_the_host_itself_refuses_paths_with_dots(parts):
    """The host's program checks paths itself and does not trust the client."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Tree(folder)
        before = {d: tree.digest(d) for d in (tree.high, tree.root / "V", tree.outside)}
        path, facts = "/".join([*parts, "table.csv"]), None
        with contextlib.suppress(HostFailure, OSError):
            facts = tree.facts(path)
        with contextlib.suppress(HostFailure, OSError):
            tree.remove(path, facts=facts or {})
        assert {d: tree.digest(d) for d in before} == before


# -- other processes move things meanwhile ---------------------------------------------------


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
# Another process may act before every system call of a removal.
HOOKS = ("open", "stat", "fstat", "rename", "unlink", "link", "read", "fsync", "dup", "close")


def act_at(tree, hook, moment, action):
    """Remove the file while something happens just before one of the calls; counts calls."""
    tree.put(tree.root / "W/out/table.csv", "medium")
    facts = tree.facts("out/table.csv")
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
        with contextlib.suppress(HostFailure, OSError):
            tree.remove("out/table.csv", facts=facts)
    return len(calls)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_no_replacement_before_any_call_removes_another_file(attack, tmp_path):
    """Any replacement before any call: no other file is lost, in 300 races."""
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


def test_a_thread_that_swaps_folders_all_the_time_loses_nothing(tree):
    """A real race: a thread replaces the folder with a link, as fast as it can."""
    aim, aside = tree.root / "W/out", tree.root / "W/aside"
    for number in range(60):
        tree.put(aim / f"{number}.csv", f"medium {number}")
        tree.put(tree.high / f"W/out/{number}.csv", f"high {number}")
    shown = {n: tree.facts(f"out/{n}.csv") for n in range(60)}
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
                with contextlib.suppress(HostFailure, OSError):
                    held = {"id": f"abc-{number}"}
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
    facts = tree.facts("out/a.csv")
    rename = os.rename

    def move_out(*args, **options):
        rename(tree.root / "W/out", tree.outside / "out")
        rename(*args, **options)

    monkeypatch.setattr(os, "rename", move_out)
    with pytest.raises(HostFailure, match="moved away"):
        tree.remove("out/a.csv", facts=facts)
    assert (tree.outside / "out/a.csv").read_text() == "x"


def test_a_file_that_changed_since_it_was_shown_stays(tree):
    tree.put(tree.root / "W/a.csv", "as shown")
    facts = tree.facts("a.csv")
    tree.put(tree.root / "W/a.csv", "as it is")
    with pytest.raises(HostFailure, match="changed since it was shown"):
        tree.remove("a.csv", facts=facts)
    assert (tree.root / "W/a.csv").read_text() == "as it is"


def test_a_replaced_file_is_renamed_back_but_never_over_a_newer_one(tree, monkeypatch):
    file = tree.root / "W/a.csv"
    tree.put(file, "shown")
    facts = tree.facts("a.csv")
    rename = os.rename

    def exchange(*args, **options):
        file.unlink()
        file.write_text("exchanged")
        rename(*args, **options)
        file.write_text("newer still")

    monkeypatch.setattr(os, "rename", exchange)
    with pytest.raises(HostFailure, match="now has its name"):
        tree.remove("a.csv", facts=facts)
    assert file.read_text() == "newer still"
    assert (tree.top / "medium/.opstasks-removed/abc-1").read_text() == "exchanged"


def test_a_replaced_file_is_renamed_back_without_hard_links(tree, monkeypatch):
    file, rename = tree.root / "W/a.csv", os.rename
    tree.put(file, "shown")
    facts = tree.facts("a.csv")

    def exchange(*args, **options):
        monkeypatch.setattr(os, "rename", rename)
        file.unlink()
        file.write_text("exchanged")
        rename(*args, **options)

    def no_link(*args, **options):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "rename", exchange)
    monkeypatch.setattr(os, "link", no_link)
    with pytest.raises(HostFailure, match="replaced meanwhile"):
        tree.remove("a.csv", facts=facts)
    assert file.read_text() == "exchanged"
    assert not list((tree.top / "medium/.opstasks-removed").iterdir())


def test_a_file_is_removed_from_a_drive_that_renumbers_its_files(tree):
    tree.put(tree.root / "W/a.csv", "x")
    facts = tree.facts("a.csv")
    tree.remove("a.csv", facts={key: facts[key] for key in STABLE_IDENTITY})
    assert not (tree.root / "W/a.csv").exists()


def test_a_file_that_was_absent_when_it_was_shown_stays(tree):
    tree.put(tree.root / "W/a.csv", "new")
    with pytest.raises(HostFailure, match="not there"):
        remove.main(tree.asked("W", "a.csv", {}))
    assert (tree.root / "W/a.csv").exists()


def test_a_hold_that_is_a_link_or_of_another_account_is_not_used(tree):
    tree.put(tree.root / "W/a.csv", "x")
    hold = tree.top / "medium/.opstasks-removed"
    hold.symlink_to(tree.outside)
    with pytest.raises(HostFailure, match=r"directory|symbolic"):
        tree.remove("a.csv")
    hold.unlink()
    hold.mkdir()
    hold.chmod(0o777)
    if (tree.top / "medium").stat().st_uid != os.getuid():
        with pytest.raises(HostFailure, match="can be changed by other accounts"):
            tree.remove("a.csv")
    assert (tree.root / "W/a.csv").exists()
