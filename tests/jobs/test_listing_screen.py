"""The screen of `jobs.ls`: drawings, and any data in any window."""

from dataclasses import replace

import pytest

from opstasks.jobs.listing import Listing, select
from opstasks.jobs.listing_screen import Asked, screen
from opstasks.jobs.model import Job
from opstasks.jobs.short_ids import MOST_JOBS, short_ids
from opstasks.output.parts import Painted
from tests.jobs import recorded
from tests.screen_check import WIDTHS, check_fits, check_golden, shown

ACTIVE = Asked.of(select("", "", "", everything=False), 50)
ALL = Asked.of(select("", "", "", everything=True), 50)


def lines_of(result, width, asked=ACTIVE, *, wide=False):
    """The lines of a screen; in a pipe (0) and with `wide` with whole ids."""
    whole_ids = wide or not width
    made = screen(asked, recorded.clock, whole_ids=whole_ids, in_pipe=not width)
    return made.lines(result, width, wide=wide)


def text_of(result, width, asked=ACTIVE):
    return shown(lines_of(result, width, asked))


@pytest.mark.parametrize("width", WIDTHS)
def test_the_drawing_of_the_list_is_as_recorded(width):
    lines = lines_of(recorded.drawn_hosts(), width)
    check_fits(lines, width)
    check_golden(__file__, f"jobs.ls-{width}", lines)


def test_the_list_in_a_pipe_is_as_recorded():
    check_golden(__file__, "jobs.ls-pipe", lines_of(recorded.drawn_hosts(), 0))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("wide", [False, True])
def test_no_line_of_odd_jobs_is_wider_than_the_window(width, wide):
    lines = lines_of(recorded.odd_hosts(), width, ALL, wide=wide)
    check_fits(lines, width)
    check_golden(__file__, f"jobs.ls-odd-{width}{'-wide' if wide else ''}", lines)


@pytest.mark.parametrize("width", WIDTHS)
def test_every_job_has_an_unbroken_id_that_can_be_typed(width):
    for result in (recorded.drawn_hosts(), recorded.odd_hosts()):
        words = " ".join(text_of(result, width, ALL)).split()
        for found in result.values.values():
            for job in found.jobs:
                assert any(len(word) >= 3 and job.id.startswith(word) for word in words), job.id


@pytest.mark.parametrize("width", WIDTHS)
def test_what_is_left_out_is_named(width):
    lines = text_of(recorded.drawn_hosts(), width)
    titles = {"STARTED", "FOR", "MEMORY", "MESSAGE", "IMAGE", "CONTAINER", "CPU LIMIT"}
    hint = " ".join(lines[6:8])
    for title in titles:
        assert title in lines[1] or title.lower() in hint


# -- the first line, and an empty table ------------------------------------------------------


def test_the_first_line_counts_all_jobs_and_not_only_those_shown():
    jobs = tuple(replace(recorded.WAITING, id=f"waiting{n}") for n in range(3))
    counts = {"pending": 120, "failed": 9}
    found = recorded.result_of(tpp=Listing(jobs, "", recorded.NOW, "tpp", counts, has_more=True))
    lines = text_of(found, 80, Asked.of(select("", "", "", everything=False), 3))
    assert lines[0] == "0 running, 120 pending; newest first; 07:56 UTC"
    assert lines[-1] == "tpp: only the newest 3; all: --limit 0"


def test_a_filter_that_is_cut_off_says_at_least():
    jobs = (recorded.OLD,)
    found = recorded.result_of(
        tpp=Listing(jobs, "", recorded.NOW, "tpp", {"failed": 99}, has_more=True)
    )
    asked = Asked.of(select("failed", "", "7d", everything=False), 1, "7d")
    assert text_of(found, 80, asked)[0].startswith("at least 1 failed; newest first")


@pytest.mark.parametrize(
    ("state", "workspace", "since", "everything", "said"),
    [
        ("", "", "", False, "no job is running or pending on 2 hosts; 5 ended in 24 h"),
        ("failed", "", "2d", False, "no failed job created or ended since 2d on 2 hosts"),
        ("", "w1", "", False, "no running or pending job of workspace w1 on 2 hosts"),
        ("", "w1", "", True, "no job of workspace w1 on 2 hosts"),
        ("", "", "1h", False, "no job created or ended since 1h on 2 hosts"),
    ],
)
def test_an_empty_list_says_what_was_looked_for(state, workspace, since, everything, said):
    empty = Listing((), "", recorded.NOW, "x", {}, {"failed": 2, "succeeded": 3})
    found = recorded.result_of(one=empty, two=replace(empty, ended_day={}))
    asked = Asked.of(select(state, workspace, since, everything=everything), 50, since)
    assert text_of(found, 0, asked) == [f"{said}: jobs.ls --all"]


def test_a_host_without_any_job_offers_nothing_more():
    found = recorded.result_of(one=Listing((), "", recorded.NOW, "one"))
    assert text_of(found, 0, ALL) == ["no job on 1 host"]


# -- ids -------------------------------------------------------------------------------------


def names(*ids):
    return [Job(id, "ws", "act", "running") for id in ids]


def test_a_short_id_is_longer_where_another_job_also_has_it():
    ids = ("abcdefghij234567", "abcdefgxyz234567", "qqqqqqqqqq234567")
    assert list(short_ids(names(*ids)).values()) == ["abcdefgh", "abcdefgx", "qqqqqq"]


def test_a_short_id_is_not_in_the_middle_of_another_id_or_name():
    middle = Job("qqqqabcdefqqqqqq", "ws", "act", "running")
    named = Job("zzzzzzzzzzzzzzzz", "qqqqqq-study", "act", "running")
    (short, *_) = short_ids([*names("abcdefghij234567"), middle]).values()
    assert short == "abcdefg"
    assert short_ids([middle, named])[middle.id] == "qqqqab"


def test_an_id_of_another_form_stays_whole():
    assert short_ids(names("abc", "-rf")) == {"abc": "abc", "-rf": "-rf"}


def test_ids_of_very_many_jobs_stay_whole():
    many = [replace(recorded.EXTRACT, id=f"abcdefghij{n:06}") for n in range(MOST_JOBS + 1)]
    assert short_ids(many) == {}
    assert text_of(recorded.result_of(tpp=Listing(tuple(many))), 80)[2].split()[1] == many[0].id


def test_q_prints_whole_ids_without_orphans():
    made = screen(ALL, recorded.clock, whole_ids=False)
    orphan = Job("lost", "", "", "?", left="volume", disagreement="volume without a job")
    assert list(made.ids(Listing((recorded.EXTRACT, orphan)))) == [recorded.EXTRACT.id]


# -- what needs a person ---------------------------------------------------------------------


def test_each_disagreement_has_a_command_with_whole_ids():
    jobs = (
        recorded.LEFT,
        replace(recorded.LEFT, id="second"),
        recorded.GONE,
        replace(recorded.EXTRACT, container="", disagreement="no container"),
        Job("lost", "", "", "?", left="volume", disagreement="volume without a job"),
    )
    lines = text_of(recorded.result_of(tpp=Listing(jobs, "", recorded.NOW, "tpp")), 120, ALL)
    commands = [line.split("next:")[1].strip() for line in lines if "next:" in line]
    assert commands == [
        f"inv -H tpp jobs.kill {recorded.LEFT.id} second",
        "inv -H tpp status",
        f"inv -H tpp logs --job {recorded.EXTRACT.id}",
        "inv -H tpp doctor",
    ]


def test_a_state_is_coloured_and_also_says_it():
    made = screen(ALL, recorded.clock, whole_ids=False)
    parts = [part for line in made.lines(recorded.odd_hosts(), 200) for part in line]
    painted = {part.text: part.colour for part in parts if isinstance(part, Painted)}
    assert painted["failed: internal_error"] == "red"
    assert painted["! executing"] == "yellow"


# -- in place --------------------------------------------------------------------------------


def test_a_watched_list_has_problems_and_silent_hosts_above_the_table():
    made = screen(ALL, recorded.clock, whole_ids=False, is_watched=True)
    lines = shown(made.lines(recorded.odd_hosts(), 140))
    table = next(number for number, line in enumerate(lines) if line.startswith("HOST"))
    above = "\n".join(lines[:table])
    assert "tpp: no answer" in above
    assert "! two e44o5j: container has exited" in above
    assert "  next:  inv -H two status" in above
    check_fits(made.lines(recorded.odd_hosts(), 60), 60)


def test_a_watched_list_without_jobs_says_what_was_looked_for():
    made = screen(ACTIVE, recorded.clock, whole_ids=False, is_watched=True)
    empty = recorded.result_of(one=Listing((), "", recorded.NOW, "one"))
    assert shown(made.lines(empty, 80))[0].startswith("no job is running or pending on 1 host")
