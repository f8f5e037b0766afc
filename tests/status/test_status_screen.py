"""The screen of `status`: golden files, any width, hostile texts."""

from dataclasses import replace
from pathlib import Path

import pytest

from opstasks.core.errors import Unreachable
from opstasks.fleet import lock
from opstasks.output import failures
from opstasks.output.parts import text_of, text_of_line
from opstasks.status.model import KINDS, Concern
from opstasks.status.screen import headline, notes, row, status_screen
from opstasks.sync.facts import SyncState
from tests.screen_check import WIDTHS, check_fits, check_golden, check_whole, shown
from tests.status.status_help import (
    CLOCK,
    HOUR,
    NOW,
    OPS,
    REBOOT,
    RUNS,
    drawn_fleet,
    dying,
    fleet,
    judged,
    maintenance,
    pause,
    release,
    stopped,
)

LONG = "study-with-a-name-that-nobody-wants-to-type-again-and-again"
ODD = "e\u0301\u202e日本語\x1b[31m\nup 12m"


def screen(result, width, *, wide=False):
    lines = status_screen(lambda: CLOCK, width, wide=wide).lines(result, width, wide=wide)
    errors = [item.error for item in result if item.error]
    return [*lines, *(line for error in errors for line in failures.lines([error], width))]


@pytest.mark.parametrize("width", [60, 80, 140])
def test_the_drawing_is_as_in_its_golden_file(width):
    check_golden(__file__, f"status-{width}", screen(drawn_fleet(), width))


def test_all_is_well_is_said_in_the_first_line():
    lines = shown(screen(fleet(emis=judged(), tpp=judged()), 80))
    assert lines[0] == "02:13 UTC, 2 of 2 ok"
    assert len(lines) == 4, lines


def odd_fleet():
    everything = judged(
        host=LONG,
        release=f"{LONG}-14-gabc1234",
        unit=dying(),
        runs=RUNS,
        behind=12345,
        disks_percent={"/": 99, f"/srv/{LONG}": 100},
        misfit=f"the code needs {ODD * 40}",
        problems=(f"releases: {ODD * 9}",),
        maintenance=maintenance(REBOOT, pause=pause(48 * HOUR, who=ODD, why=ODD * 30)),
        lock_owner=lock.Owner(ODD * 4, "deploy", "2020-01-01T00:00:00+00:00", "r"),
        releases=(release(kind="rollback"),),
    )
    silent = Unreachable(f"no answer {ODD}", host="silent-host", hint="is it up?")
    return fleet(**{LONG: everything, "b": judged(), "silent-host": silent})


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("wide", [False, True])
def test_odd_and_long_texts_fit_into_any_window(width, wide):
    lines = screen(odd_fleet(), width, wide=wide)
    check_fits(lines, width)
    check_whole(lines, [LONG, f"inv -H {LONG} logs", "99", f"inv -H {LONG} unpause"])
    assert not any("\x1b" in line or "\u202e" in line for line in shown(lines))


def test_in_a_pipe_each_entry_is_one_line_with_its_commands():
    lines = shown(status_screen(lambda: CLOCK, 0).closing(drawn_fleet()))
    (crash,) = [line for line in lines if "died" in line]
    assert crash.endswith("undo: inv -H sandbox-2 deploy.rollback")
    assert "impossible state  look: inv -H sandbox-2 logs" in crash


def test_a_host_without_an_answer_says_so_in_the_service_column_only():
    (line,) = [line for line in shown(screen(drawn_fleet(), 140)) if line.startswith("tpp ")]
    assert line.split() == ["tpp", "no", "answer"]


def cells(**facts):
    titles = [column.title for column in status_screen(lambda: CLOCK, 0).columns]
    values = row("h", judged(**facts), CLOCK)
    texts = ["" if v is None else v if isinstance(v, int) else text_of(v) for v in values]
    return dict(zip(titles, texts, strict=True))


def test_the_last_deploy_says_what_happened():
    def shown_as(**values):
        return cells(releases=(release(**values),))["LAST DEPLOY"]

    assert shown_as() == "v2.73.0 3h ago"
    assert shown_as(kind="rollback", to_name="v2.71.0") == "back to v2.71.0 3h ago"
    assert shown_as(outcome="rolled back") == "v2.73.0 undone 3h ago"
    assert shown_as(outcome="") == "v2.73.0 UNFINISHED 3h ago"


def test_the_disk_is_the_fullest_and_named_where_disks_differ():
    found = cells(disks_percent={"/": 25, "/srv": 91})
    assert (found["DISK"], found["FULLEST"]) == ("91%", "/srv")
    assert cells(disks_percent={"/": 25, "/srv": 25})["FULLEST"] == ""


@pytest.mark.parametrize(
    ("age_s", "words"), [(60.0, "1m ago"), (-60.0, "0s ago"), (-HOUR, "unknown"), (NOW, "never")]
)
def test_a_last_copy_in_the_future_has_no_age(age_s, words):
    sync = SyncState("/e", on=True, enabled=True, now_at=NOW, last_success_at=NOW - age_s)
    assert text_of(row("tpp", judged(sync=sync), CLOCK)[-1]) == words


def test_next_is_the_reboot_or_else_the_end_of_the_pause():
    assert cells(maintenance=maintenance(REBOOT, pause=OPS))["NEXT"] == "reboot in 3h59m"
    assert cells(maintenance=maintenance())["NEXT"] == ""


def test_a_value_that_was_not_read_is_a_question_mark():
    found = cells(release=None, jobs=judged_jobs())
    assert [found[name] for name in ("RELEASE", "RUN", "WAIT", "FAIL24h", "DISK")] == ["?"] * 5


def judged_jobs():
    from opstasks.jobs.read import JobsAnswer

    return JobsAnswer(0, {}, {}, (), problem="the database is locked")


def test_a_stop_is_yellow_and_a_crash_is_red_and_in_capitals():
    def service(**facts):
        return row("h", judged(**facts), CLOCK)[1]

    assert (service().text, service().colour) == ("up 12m", "green")
    assert service(unit=stopped(HOUR)).colour == "yellow"
    assert (service(unit=dying()).text, service(unit=dying()).colour) == ("CRASH LOOP 52s", "red")


def test_the_page_about_status_shows_the_golden_file():
    folder = Path(__file__).parent
    page = (folder.parents[1] / "docs" / "status.md").read_text()
    golden = (folder / "golden" / "status-80.txt").read_text().partition("error  ")[0]
    for line in golden.splitlines():
        assert f"    {line}".rstrip() in page.splitlines()


def test_what_needs_a_person_is_sorted_by_how_bad_it_is():
    """Not by host: a forgotten pause is never above the crash loop of another host."""
    found = {
        "a": replace(judged(), concerns=tuple(Concern(kind, kind) for kind in reversed(KINDS))),
        "b": replace(judged(), concerns=(Concern("down", "crash loop"),)),
    }
    result = fleet(**found)
    shown = [text_of(note.text) for note in notes(result)]
    assert shown == ["down", "crash loop", *KINDS[1:]]
    assert "2 down" in text_of_line(headline(result, CLOCK))
