"""The preview of a deploy: the drawings of the screens, and what must never be missed."""

from dataclasses import replace

import pytest

from opstasks.deploy import preview, resume
from opstasks.deploy.facts import Commit, Dirt
from opstasks.output.parts import Painted, text_of_line
from tests.deploy.facts_help import FACTS, RECORD
from tests.deploy.screens_help import (
    BACK,
    COMMITS,
    DIVERGED,
    MANY_JOBS,
    NEW,
    OLD,
    STOPPED,
    plan,
    rollback,
)
from tests.screen_check import WIDTHS, check_screen

TWO = {"sandbox-1": plan(OLD), "sandbox-2": plan(STOPPED)}
UNDO = "inv -H sandbox deploy.rollback"
ODD = {
    "a-very-long-name-of-a-host.example.org": plan(
        replace(DIVERGED, database=replace(OLD.database, running=MANY_JOBS))
    ),
    "b": plan(replace(OLD, service=None, service_for_s=None)),
    "c": plan(replace(OLD, unit_drop_ins=("/etc/systemd/system/jobrunner.service.d/a.conf",))),
    "d": plan(replace(OLD, is_confined=False, code=replace(OLD.code, gained=COMMITS * 40))),
}


def shown(plans, width=80, **how):
    return [text_of_line(line) for line in preview.lines(plans, width, **how)]


def red(plans):
    """The texts in red."""
    lines = preview.lines(plans, 80)
    return [
        part.text
        for line in lines
        for part in line
        if isinstance(part, Painted) and part.colour == "red"
    ]


# -- the drawings ----------------------------------------------------------------------------


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(
    ("name", "plans", "undo"),
    [
        ("deploy", TWO, UNDO),
        ("lost", {"sandbox-1": plan(OLD), "sandbox-2": plan(DIVERGED)}, UNDO),
        ("rollback", {"sandbox-1": rollback(BACK)}, "inv -H sandbox-1 deploy --ref 3c67cf9aacb5"),
        ("odd", ODD, UNDO),
    ],
)
def test_the_preview_looks_like_its_drawing(name, plans, undo, width):
    check_screen(__file__, name, width, preview.lines(plans, width, undo=undo))


@pytest.mark.parametrize("width", WIDTHS)
def test_an_unfinished_release_looks_like_its_drawing(width):
    dirt = Dirt(staged=("a.py",), unstaged=("a.py", *(f"f{n:02}.py" for n in range(20))))
    begun = replace(RECORD, started_at=1_764_123_180.0)
    facts = replace(FACTS, code=replace(OLD.code, dirt=dirt), releases=(begun,))
    check_screen(__file__, "unfinished", width, resume.lines({"tpp": plan(facts)}))


# -- what must not be missed -----------------------------------------------------------------


def test_hosts_with_the_same_plan_are_one_preview():
    lines = shown(TWO)
    assert lines[0] == "2 hosts: v2.71.0 -> v2.73.0   5 commits, 2 migrations"
    assert sum("3c67cf9" in line for line in lines) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"code": replace(OLD.code, head="d" * 40)},
        {"code": replace(OLD.code, target_name="v2.74.0")},
        {"code": replace(OLD.code, gained=COMMITS[:1])},
        {"lib": replace(OLD.lib, target="e" * 40)},
        {"migrations": OLD.migrations[:1]},
        {"database": replace(OLD.database, user_version=2)},
    ],
)
def test_hosts_with_different_plans_are_not_one_preview(change):
    plans = {"a": plan(OLD), "b": plan(replace(OLD, **change)), "c": plan(OLD)}
    assert [group.hosts for group in preview.grouped(plans)] == [("a", "c"), ("b",)]


def test_a_lost_commit_is_red_and_before_the_others():
    plans = {"tpp": plan(DIVERGED)}
    lines = shown(plans)
    assert "LOSES 1 commit, 5 commits, 2 migrations" in " ".join(lines[0:2])
    lost = next(n for n, line in enumerate(lines) if "0ddba11" in line)
    assert lost < next(n for n, line in enumerate(lines) if "3c67cf9" in line)
    assert any("0ddba11" in text for text in red(plans))
    assert "LOSES 1 commit" in red(plans)


def test_hosts_that_would_lose_commits_come_first():
    groups = preview.grouped({"a": plan(OLD), "b": plan(DIVERGED)})
    assert [group.hosts for group in groups] == [("b",), ("a",)]


def test_a_lost_commit_of_the_dependencies_is_red_too():
    lib = replace(DIVERGED.code, path="/lib")
    plans = {"tpp": plan(replace(OLD, lib=lib))}
    assert any("0ddba11" in text for text in red(plans))


def test_the_commits_that_a_rollback_takes_back_are_expected():
    plans = {"tpp": rollback(BACK)}
    assert red(plans) == []
    assert shown(plans)[0] == (
        "tpp goes back: v2.73.0 -> v2.71.0   takes back 5 commits, 2 migrations undone"
    )


@pytest.mark.parametrize(("count", "more"), [(2, 0), (3, 0), (4, 0), (5, 2), (9, 6)])
def test_many_commits_are_shown_only_on_request(count, more):
    commits = tuple(Commit(f"{n:07}", "A", f"number {n}") for n in range(count))
    plans = {"tpp": plan(replace(OLD, code=replace(OLD.code, gained=commits)))}
    text = "\n".join(shown(plans))
    assert (f"+ {more} more (--all-commits)" in text) == bool(more)
    assert text.count("number ") == count - more
    whole = "\n".join(shown(plans, all_commits=True))
    assert (whole.count("number "), "more" in whole) == (count, False)


def test_a_count_that_is_only_a_limit_says_so():
    commits = tuple(Commit("abc1234", "A", "x") for _ in range(200))
    plans = {"tpp": plan(replace(OLD, code=replace(OLD.code, gained=commits)))}
    text = "\n".join(shown(plans))
    assert "200 or more commits" in text
    assert "+ at least 197 more (--all-commits)" in text


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"not_inspected": "cannot unpack it in /x: No space"}, "cannot unpack it in /x: No space"),
        ({"import_error": "Traceback\nImportError: x"}, "the release cannot be imported"),
        ({"database": replace(OLD.database, error="it is locked")}, "it is locked"),
        (
            {"database": replace(OLD.database, error="no header", is_damaged=True)},
            "the database is damaged: no header",
        ),
    ],
)
def test_a_preview_says_when_the_migrations_are_not_known(change, why):
    text = "\n".join(shown({"tpp": plan(replace(OLD, migrations=(), **change))}))
    assert f"migrations unknown: {why}" in text
    assert "no migration" not in text


def test_jobs_that_cannot_be_counted_are_unknown_and_not_none():
    locked = replace(OLD, database=replace(OLD.database, error="locked"))
    lines = shown({"tpp": plan(locked)})
    row = next(line for line in lines if line.startswith("tpp ") and "up 12m" in line)
    assert row.split()[3] == "?"
    assert lines[-1].startswith("Jobs go on.")


@pytest.mark.parametrize(
    ("facts", "how", "words"),
    [
        (OLD, {}, ("up 12m", "about 5 s", "watched for 15 s")),
        (STOPPED, {}, ("stopped 3h1m", "-", "stays stopped, not watched")),
        (replace(OLD, service="starting"), {}, ("CRASH LOOP 12m", "started, watched for 15 s")),
        (replace(OLD, service="failed"), {}, ("FAILED 12m", "started, watched for 15 s")),
        (replace(NEW, service="stopped"), {"restart": True}, ("about 2 s", "started, watched")),
        (
            replace(OLD, database=replace(OLD.database, size_bytes=20 * 10**9)),
            {},
            ("about 3 min",),
        ),
    ],
)
def test_a_row_says_what_happens_to_the_service(facts, how, words):
    lines = shown({"tpp": plan(facts, **how)})
    row = next(
        line
        for line in lines
        if line.startswith("tpp ") and "JOBS" not in line[4:] and ("watched" in line)
    )
    assert all(word in row for word in words)


def test_a_restart_says_that_nothing_moves():
    lines = shown({"tpp": plan(NEW, restart=True)})
    assert lines[0] == "tpp stays at v2.73.0, only the service is restarted"


def test_a_host_with_nothing_to_do_says_that_it_is_stopped():
    plans = {"a": plan(NEW), "b": plan(replace(NEW, service="stopped", service_for_s=60.0))}
    first, second = map(text_of_line, preview.idle_lines(plans))
    assert first == "nothing to do on a, b: at v2.73.0 already"
    assert second == "b  the service is stopped 1m   start: inv -H b service.start"


@pytest.mark.parametrize("state", ["failed", "starting", None])
def test_a_host_with_nothing_to_do_says_that_its_service_is_down(state):
    lines = preview.idle_lines({"b": plan(replace(NEW, service=state))})
    assert text_of_line(lines[1]).endswith("look: inv -H b logs")


def test_a_key_that_is_not_set_is_named():
    assert any("not set on the hosts  OTEL_EXPORTER" in line for line in shown(TWO))
    assert any("not set here  OTEL_EXPORTER" in line for line in shown({"tpp": plan(OLD)}))


def test_text_of_a_host_cannot_control_the_terminal():
    code = replace(OLD.code, gained=(Commit("abc1234", "A", "\x1b[2Jboo\nnothing to do"),))
    lines = shown({"tpp": plan(replace(OLD, code=code))})
    assert not any("\x1b" in line for line in lines if "boo" in line and len(line) > 80)
    assert not any(line.startswith("nothing to do") for line in lines)


def test_edits_that_an_unfinished_release_would_lose_are_named():
    dirt = Dirt(staged=("a.py",), unstaged=("a.py", *(f"f{n:02}.py" for n in range(20))))
    facts = replace(FACTS, code=replace(FACTS.code, dirt=dirt), releases=(RECORD,))
    texts = [text_of_line(line) for line in resume.lines({"tpp": plan(facts)})]
    assert texts[0] == f"tpp  UNFINISHED release {RECORD.describe()}; interrupted at 'moved'"
    assert texts[1] == "  /code  21 edited files, undone either way, kept as a patch"
    assert (texts[2], texts[17]) == ("    a.py", "    6 more")
    assert texts[-2:] == ["finish  go on to v2", "back    return to v1, with its database"]
