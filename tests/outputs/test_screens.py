"""outputs: what a person sees, at any width, from recorded facts; names of any characters."""

import subprocess
from dataclasses import replace

import pytest

from opstasks.core.clock import Clock
from opstasks.core.result import FleetResult, HostResult
from opstasks.fleet.inventory import HostSpec
from opstasks.output.paragraphs import folded
from opstasks.output.table import draw
from opstasks.outputs import removal_screen, reports
from opstasks.outputs.act import RemovalResult
from opstasks.outputs.listing import OutputFile, OutputWorkspace, UnreadablePath
from opstasks.outputs.onhost.records import Attestation, RemovalRecord
from opstasks.outputs.plan import OutputFacts, RemovalItem, RemovalPlan
from opstasks.outputs.removals import AttestResult
from opstasks.outputs.screen import files_screen, workspaces_screen
from tests.screen_check import WIDTHS, check_fits, check_golden, check_whole, shown

NOW = 1_790_000_000.0
CLOCK = Clock(NOW)
ROOT = "/srv/medium_privacy/workspaces"
TPP = HostSpec(
    name="tpp", level3_source="/e/FILESFORL4", level4_folder="D:\\Level4Files\\workspaces"
)
LONG = "output/some-rather-long-name-of-a-table-of-a-study_2026-01-31.csv"
ODD = 'it\'s "odd"\n[x]*.csv'
NAMES = ("output/table1.csv", LONG, "it's.csv", ODD, "-rf", "a b", "日本語.csv")
SHA = "ab12" * 16


def of(**values):
    return FleetResult([HostResult(host.replace("_", "-"), "ok", v) for host, v in values.items()])


def listing(*names, kind="file"):
    entries = tuple(
        OutputFile(name, kind, 3 << (10 * at), "opensafely", NOW - 60, 60.0 * (at + 1))
        for at, name in enumerate(names)
    )
    size_bytes = sum(entry.size_bytes for entry in entries)
    return OutputWorkspace("my-study", len(entries), size_bytes, NOW - 60, 60.0, None, entries)


LISTED = of(tpp=[listing(*NAMES[:6])])
WORKSPACES = of(
    tpp=[
        OutputWorkspace("my-study", 120, 3 << 30, NOW, 75.0),
        OutputWorkspace("a workspace's name", 1, 7, NOW, 4e7),
        OutputWorkspace("empty", 0, 0, 0.0, None),
        OutputWorkspace("closed", 0, 0, 0.0, None, "Permission denied"),
    ]
)


# -- outputs.ls ------------------------------------------------------------------------------


@pytest.mark.parametrize("width", WIDTHS)
def test_workspaces_fit_any_window(width):
    lines = workspaces_screen(ROOT, 1).lines(WORKSPACES, width)
    check_fits(lines, width)
    if width <= 80:
        check_golden(__file__, f"workspaces-{width}", lines)


@pytest.mark.parametrize("width", WIDTHS)
def test_files_fit_any_window_and_no_name_is_broken(width):
    lines = files_screen(["my-study"], 1).lines(LISTED, width)
    check_fits(lines, width)
    check_whole(lines, ["output/table1.csv", '"it\'s.csv"', r"""$'it\'s "odd"\x0a[x]*.csv'"""])
    check_whole(lines, [LONG] if width > 70 else [])
    if width <= 100:
        check_golden(__file__, f"files-{width}", lines)


def test_several_workspaces_are_named_in_each_row():
    lines = shown(files_screen(["my-study", "b"], 2).lines(LISTED, 120))
    assert lines[1].split() == ["HOST", "WORKSPACE", "FILE", "SIZE", "AGE", "OWNER"]


def test_what_is_not_a_file_is_marked():
    lines = shown(files_screen(["my-study"], 1).lines(of(tpp=[listing("x", kind="link")]), 120))
    assert "link" in lines[2]


def test_an_empty_listing_says_what_was_looked_for():
    assert shown(files_screen(["my-study"], 1).lines(of(a=[listing()], b=[listing()]), 80)) == [
        "no file in my-study on 2 hosts"
    ]
    assert shown(workspaces_screen(ROOT, 1).lines(of(a=[]), 80)) == [f"no workspace in {ROOT} on a"]


def closed(count, *entries, name="my-study"):
    bad = tuple(UnreadablePath(f"out/it's {at}", "permission denied") for at in range(count))
    return replace(listing(*entries), name=name, unreadable=bad)


@pytest.mark.parametrize("screen", [workspaces_screen(ROOT, 1), files_screen(["my-study"], 1)])
def test_what_cannot_be_read_is_named_below_the_rest(screen):
    *_, one = shown(screen.lines(of(tpp=[closed(1, "a.csv")]), 100))
    assert one == """tpp  "my-study/out/it's 0" cannot be read: permission denied"""
    *_, last, more = shown(screen.lines(of(tpp=[closed(5, "a.csv")]), 100))
    assert last == """tpp  "my-study/out/it's 2" cannot be read: permission denied"""
    assert more == "tpp  my-study: 2 more cannot be read (--json)"


def test_an_empty_listing_says_if_there_may_be_other_files():
    first, *_ = shown(files_screen(["my-study"], 1).lines(of(tpp=[closed(1)]), 80))
    assert first == "no file that can be read in my-study on tpp"


@pytest.mark.parametrize("name", NAMES)
def test_a_name_can_be_copied_from_the_screen_and_from_the_ids(name):
    found = listing(name)
    (typed,) = files_screen(["my-study"], 1).ids([found])
    assert "\n" not in typed
    done = subprocess.run(["bash", "-c", f"printf %s {typed}"], capture_output=True, check=True)
    assert done.stdout.decode() == ("./-rf" if name == "-rf" else name)
    assert any(typed in line for line in shown(files_screen(["w"], 1).lines(of(a=[found]), 200)))


# -- outputs.rm ------------------------------------------------------------------------------


def item(path, *, at_source=False):
    facts = OutputFacts(1, 2, 3 << 20, int((NOW - 3600) * 1e9), "opensafely", SHA)
    return RemovalItem(path, facts, facts if at_source else None)


GONE = RemovalRecord("3f9a1c-1", "my-study", "old.csv", state="removed", who="ada@laptop")
GONE = replace(GONE, removed_at=NOW - 90_000, started_at=NOW - 90_100)
PLAN = RemovalPlan(
    "my-study",
    (
        item(LONG, at_source=True),
        item(ODD),
        RemovalItem("c.csv", None, None, replace(GONE, state="removing", file="c.csv")),
    ),
    (GONE,),
    NOW,
)


def rm_lines(width, plan=PLAN, *, wide=False):
    rows = removal_screen.item_rows(plan, wide=wide)
    table = draw(removal_screen.FILES, rows, width, wide=wide)
    notes = removal_screen.rm_notes(plan, TPP, CLOCK)
    return folded([removal_screen.rm_headline(plan, TPP), *table.with_hint(), *notes], width)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_plan_of_a_removal_fits_any_window(width):
    lines = rm_lines(width)
    check_fits(lines, width)
    check_whole(lines, [LONG] if width > 70 else [])
    if width <= 100:
        check_golden(__file__, f"rm-{width}", lines)
    check_whole(rm_lines(width, wide=True), [SHA] if width > 70 else [])


def test_the_question_counts_files_and_says_what_happens_at_the_source():
    assert removal_screen.rm_question(PLAN, "tpp", "remove") == (
        "3 files, 6 MiB will be removed for good from my-study on tpp (1 copy at the sync's source"
        " removed). Type the workspace's name to continue:"
    )
    one = replace(PLAN, items=(item("a"),))
    assert removal_screen.rm_question(one, "tpp", "keep").startswith("1 file, 3 MiB will be")


def test_nothing_to_remove_says_who_removed_it():
    lines = shown(rm_lines(80, replace(PLAN, items=())))
    assert lines == [
        "tpp: nothing to remove from my-study",
        "old.csv: removed before, by ada@laptop, 2026-09-20 13:13 UTC (3f9a1c-1)",
    ]


# -- outputs.pending and outputs.attest ------------------------------------------------------

COPY = "D:\\Level4Files\\workspaces\\my-study\\output\\table one.csv"
DONE = Attestation("Alex Jones", "ada@laptop", NOW - 60)
RECORDS = [
    replace(GONE, id="3f9a1c-1", file="output/table one.csv", partner_path=COPY),
    replace(GONE, id="3f9a1c-2", file=LONG, partner_path=f"{COPY}2"),
    replace(GONE, id="77aa00-1", file=ODD, returned=True),
    replace(GONE, id="88bb11-1", file="c.csv", state="removing", removed_at=0.0),
    replace(GONE, id="99cc22-1", file="d.csv", partner_path=COPY, attested=DONE),
    replace(GONE, id="99cc22-2", file="e.csv", state="failed", removed_at=0.0),
]


def pending(width, *, all=True, records=RECORDS):
    screen = removal_screen.pending_screen({"tpp": TPP}, lambda: CLOCK, all=all)
    return screen.lines(of(tpp=records), width)


@pytest.mark.parametrize("width", WIDTHS)
def test_unfinished_removals_fit_any_window_and_lead_to_commands(width):
    lines = pending(width)
    check_fits(lines, width)
    check_whole(lines, [COPY, "3f9a1c-1", "inv -H tpp outputs.attest 3f9a1c"])
    check_whole(lines, [r"""outputs.rm my-study $'it\'s "odd"\x0a[x]*.csv' --source remove"""])
    check_whole(lines, ["inv -H tpp outputs.rm my-study c.csv"])
    if width <= 100:
        check_golden(__file__, f"pending-{width}", lines)


UNREADABLE = RemovalRecord("aa11-1", "", "", state="unreadable", error="permission denied")


def test_a_record_that_cannot_be_read_is_a_row_and_says_where_it_is():
    first, _, row, _, *notes = shown(pending(100, all=False, records=[UNREADABLE]))
    assert "1 record that cannot be read" in first
    assert row.split() == ["tpp", "aa11-1", "cannot", "be", "read"]
    assert notes == [
        "tpp: the record of aa11-1 cannot be read: permission denied",
        "look at it:   inv -H tpp run -- ls -l /home/opensafely/opstasks/outputs/aa11-1.json",
    ]


def test_an_interrupted_removal_says_which_part_was_done():
    text = "the copy at the sync's source was removed; held in /srv/x, and not removed: i/o error"
    cut = replace(RECORDS[3], error=text)
    notes = shown(pending(200, records=[cut]))[4:]
    assert notes == [f"88bb11-1: {text}", "interrupted:  inv -H tpp outputs.rm my-study c.csv"]


def test_no_removal_says_where_finished_ones_are():
    (line,) = shown(pending(80, all=False, records=[]))
    assert line == "no unfinished removals on tpp; finished ones: outputs.pending --all"
    assert shown(pending(80, records=[])) == ["no removals on tpp"]


@pytest.mark.parametrize("width", [60, 80])
def test_an_attestation_shows_what_it_records(width):
    lines = folded(removal_screen.attest_lines("tpp", RECORDS[:2] + RECORDS[4:5], "Alex"), width)
    check_fits(lines, width)
    check_golden(__file__, f"attest-{width}", lines)


# -- documents -------------------------------------------------------------------------------


def test_a_removal_in_a_document_has_none_for_what_it_has_not():
    found = reports.report(RECORDS[0])
    assert (found.error, found.reason, found.attested) == (None, None, None)
    assert (found.partner_path, found.is_open) == (COPY, True)
    assert reports.report(RECORDS[4]).attested.recorded_at == NOW - 60


def test_a_plan_and_its_outcome_are_the_same_kind_of_document():
    planned = reports.planned(PLAN)
    done = reports.removed(PLAN, RemovalResult(True, (RECORDS[0],)))
    assert planned.files == done.files
    assert [file.is_interrupted for file in done.files] == [False, False, True]
    assert (planned.changed, planned.removed, done.changed) == (False, (), True)
    assert reports.attested(AttestResult(True, (RECORDS[4],))).removals[0].id == "99cc22-1"
