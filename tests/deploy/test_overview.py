"""The tables of deploy.pending and deploy.releases."""

from dataclasses import replace
from pathlib import Path

import pytest

from opstasks.core.clock import Clock
from opstasks.core.errors import Unreachable
from opstasks.core.result import FleetResult, HostResult
from opstasks.deploy import overview, tasks
from opstasks.deploy.document import document
from opstasks.deploy.facts import Dirt
from opstasks.deploy.release import Release
from opstasks.output.documents import fleet_document, plain
from opstasks.output.escape import json_text
from opstasks.output.parts import text_of_line
from tests.deploy.facts_help import RECORD
from tests.deploy.screens_help import DIVERGED, MANY_JOBS, NEW, OLD, STOPPED, plan
from tests.screen_check import WIDTHS, check_screen

HERE = Path(__file__).parent
NOW_AT = 1_795_745_580.0  # 2026-11-26 02:13 UTC
CLOCK = Clock(NOW_AT)
DIRTY = replace(OLD, code=replace(OLD.code, dirt=Dirt(unstaged=("jobrunner/run.py",))))
NOWHERE = replace(
    OLD,
    code=replace(OLD.code, target="", target_name="", error="cannot fetch: no route", gained=()),
)


def fleet(**facts):
    items = [HostResult(host, "ok", document(plan(found))) for host, found in facts.items()]
    dead = HostResult("tpp", "unreachable", error=Unreachable("no answer", host="tpp"))
    return FleetResult([*items, dead])


ALL = fleet(
    sandbox_1=OLD,
    sandbox_2=STOPPED,
    sandbox_3=NEW,
    sandbox_4=DIVERGED,
    sandbox_5=replace(OLD, releases=(RECORD,)),
    sandbox_6=replace(DIRTY, database=replace(OLD.database, running=MANY_JOBS)),
    sandbox_7=NOWHERE,
    sandbox_8=replace(OLD, not_inspected="cannot unpack it"),
)


def pending(result, width=80):
    return [text_of_line(line) for line in overview.pending("-H sandbox").lines(result, width)]


@pytest.mark.parametrize("width", WIDTHS)
def test_pending_looks_like_its_drawing(width):
    check_screen(__file__, "pending", width, overview.pending("-H sandbox").lines(ALL, width))


def test_pending_has_one_row_for_each_host_at_80_columns():
    lines = pending(ALL)
    rows = lines[2 : 2 + len(ALL.results)]
    assert [row.split()[0] for row in rows] == [item.host for item in ALL]


@pytest.mark.parametrize(
    ("facts", "word"),
    [
        (OLD, "5 behind"),
        (NEW, "up to date"),
        (DIVERGED, "5 behind, 1 ahead"),
        (replace(OLD, releases=(RECORD,)), "UNFINISHED"),
        (DIRTY, "5 behind, refused"),
        (NOWHERE, "unknown, refused"),
        (replace(OLD, code=replace(OLD.code, gained=OLD.code.gained * 40)), "200+ behind"),
    ],
)
def test_a_row_says_where_the_host_is(facts, word):
    assert word in pending(fleet(a=facts))[2]


def test_a_host_that_would_be_refused_says_why_and_what_to_do():
    lines = pending(fleet(a=DIRTY), 200)
    at = lines.index("a  /code was changed by hand: 1 unstaged (jobrunner/run.py)")
    assert lines[at + 1].startswith("  next:  commit the changes upstream")
    assert not any(line.startswith("deploy  ") for line in lines)


def test_an_import_that_could_reach_the_host_is_said():
    text = "\n".join(pending(fleet(a=replace(OLD, is_confined=False)), 200))
    assert "a  this host has no user namespaces" in text


def test_the_command_to_deploy_is_below_the_table():
    assert pending(fleet(a=OLD))[-1] == "deploy  inv -H sandbox deploy"
    assert pending(fleet(a=NEW))[0] == "nothing to deploy on 1 host"


@pytest.mark.parametrize(
    ("refs", "words"),
    [
        (("", ""), "deploy"),
        (("v2.71.0", ""), "deploy --ref v2.71.0"),
        (("", "v2"), "deploy --lib-ref v2"),
        (("a b", "$x"), "deploy --ref 'a b' --lib-ref '$x'"),
    ],
)
def test_the_next_command_deploys_what_was_looked_at(refs, words):
    screen = overview.pending("-H sandbox", tasks._retyped(*refs))
    shown = [text_of_line(line) for line in screen.lines(fleet(a=OLD, b=DIVERGED), 200)]
    assert shown[-1] == f"deploy  inv -H sandbox {words}"
    assert f"  next:  inv -H b {words} --dry" in shown


def test_the_document_has_typed_facts():
    found = fleet_document(fleet(a=OLD))["hosts"]["a"]["value"]
    text = json_text(found, plain)
    assert '"service_for_s": 720.0' in text
    assert '"running_jobs": 1' in text
    locked = replace(OLD, database=replace(OLD.database, error="locked"))
    value = document(plan(locked))
    assert (value.database_version, value.running_jobs) == (None, None)
    assert value.migrations_unknown == "locked"


# -- releases --------------------------------------------------------------------------------

RELEASES = (
    Release(
        id="4",
        who="ops@laptop",
        kind="rollback",
        from_name="v2.73.0",
        to_name="v2.71.0",
        from_version=3,
        to_version=1,
        outcome="deployed",
        started_at=NOW_AT - 600,
        finished_at=NOW_AT - 580,
    ),
    Release(
        id="3",
        who="ops@laptop",
        from_name="v2.73.0",
        to_name="broken-crash",
        outcome="rolled back",
        reason="jobrunner did not stay up (now activating/auto-restart): exit code 1",
        started_at=NOW_AT - 86400,
        finished_at=NOW_AT - 86370,
    ),
    Release(
        id="2",
        who="somebody-with-a-long-name@a-long-name-of-a-laptop",
        from_name="v2.71.0-12-g0ddba11",
        to_name="v2.73.0",
        from_version=1,
        to_version=3,
        outcome="deployed",
        started_at=NOW_AT - 90000,
        finished_at=NOW_AT - 89970,
    ),
    Release(id="1", who="a@b", from_name="v1", to_name="v2", started_at=NOW_AT - 200_000),
)


def releases(found, width=80):
    result = FleetResult([HostResult("sandbox-1", "ok", found)])
    return [text_of_line(line) for line in overview.releases(lambda: CLOCK).lines(result, width)]


@pytest.mark.parametrize("width", WIDTHS)
def test_releases_look_like_their_drawing(width):
    result = FleetResult([HostResult("sandbox-1", "ok", RELEASES)])
    lines = overview.releases(lambda: CLOCK).lines(result, width)
    check_screen(__file__, "releases", width, lines)


def test_releases_say_that_the_newest_is_first():
    assert "newest first" in releases(RELEASES)[0]


@pytest.mark.parametrize(
    ("kind", "outcome", "word"),
    [
        ("deploy", "deployed", "deployed"),
        ("rollback", "deployed", "rolled back"),
        ("deploy", "rolled back", "failed, undone"),
        ("rollback", "rolled back", "failed, undone"),
        ("deploy", "", "UNFINISHED"),
        ("deploy", "odd", "odd"),
    ],
)
def test_a_release_says_how_it_ended(kind, outcome, word):
    row = releases((Release(id="1", kind=kind, outcome=outcome, from_name="a", to_name="b"),))[2]
    assert row.split(maxsplit=3)[3].strip().startswith(word)


def test_a_record_that_cannot_be_read_has_a_row_and_a_next_step():
    found = releases((*RELEASES, Release("r9", unread="it is damaged")), width=200)
    (row,) = [line for line in found if "UNREADABLE" in line]
    assert "r9" in row
    assert "it is damaged" in row
    text = "\n".join(found)
    assert "the record of release r9 cannot be read: it is damaged" in text
    assert "next:  inv -H sandbox-1 doctor" in text


def test_no_release_is_said_with_the_number_of_hosts():
    assert releases(()) == ["nothing was deployed yet on 1 host"]


def test_only_ids_are_printed_for_a_pipe():
    assert list(overview.releases(lambda: CLOCK).ids(RELEASES)) == ["4", "3", "2", "1"]
