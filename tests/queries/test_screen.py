"""The screens of `jobs.queries` and `db.progress`."""

import pytest

from opstasks.core.clock import Clock
from opstasks.core.errors import Refused
from opstasks.core.result import FleetResult, HostResult
from opstasks.queries.progress import TableProgress, check_names, described
from opstasks.queries.screen import progress_screen, statements_screen
from opstasks.queries.statements import JobStatement
from tests.screen_check import WIDTHS, check_fits, check_golden, check_whole, shown

NOW = 1_795_679_760.0


def clock():
    return Clock(NOW)


IMAGE = "ghcr.io/opensafely-core/ehrql:v1"


def statement(id, action, began_s=0, ended_s=0, **more):
    began_at = NOW - began_s if began_s else 0.0
    ended_at = NOW - ended_s if ended_s else 0.0
    return JobStatement(id, "study-b", action, IMAGE, NOW, began_at, ended_at, **more)


UNKNOWN = "the log format of this image is unknown"
FOUND = (
    statement("ovlotuqhnfcjxr2q", "extract", 7000),
    statement("mhc4pvwnyfi7uzsa", "generate_dataset_of_all_patients", 900, 840),
    statement("k2x7apbcdefg2345", "python", reason=UNKNOWN),
    statement("e44o5jq7wmznabcd", "python", reason=UNKNOWN),
)


def result_of(**values):
    return FleetResult(
        [HostResult(name.replace("_", "-"), "ok", value) for name, value in values.items()]
    )


@pytest.mark.parametrize("width", WIDTHS)
def test_the_screen_of_queries_is_as_recorded(width):
    lines = statements_screen(clock, whole_ids=False).lines(
        result_of(sandbox_1=FOUND, sandbox_2=()), width
    )
    check_fits(lines, width)
    check_whole(lines, [item.job[:6] for item in FOUND])
    check_golden(__file__, f"jobs.queries-{width}", lines)


def test_ids_are_whole_in_a_pipe():
    lines = statements_screen(clock, whole_ids=True, in_pipe=True).lines(result_of(tpp=FOUND), 0)
    check_whole(lines, [item.job for item in FOUND])
    assert "2026-11-26 05:59:20 UTC" in "\n".join(shown(lines))


def test_no_database_job_says_where_was_looked():
    (line,) = shown(statements_screen(clock, whole_ids=False).lines(result_of(a=(), b=()), 80))
    assert line == "no database job is running on 2 hosts: jobs.ls shows all jobs"


@pytest.mark.parametrize("width", WIDTHS)
def test_the_screen_of_progress_is_as_recorded(width):
    tables = [TableProgress("#tmp_1", 1_234_567, True), TableProgress("#tmp_12", 5, True)]
    lines = progress_screen(clock, "x").lines(result_of(tpp=tables), width)
    check_fits(lines, width)
    check_golden(__file__, f"db.progress-{width}", lines)


def test_one_table_is_the_answer():
    made = progress_screen(clock, "x")
    counted = result_of(tpp=[TableProgress("DataExtract_ab", 42, False)])
    assert shown(made.lines(counted, 80))[0] == "42 rows at 07:56:00 UTC"
    estimated = result_of(tpp=[TableProgress("#tmp_1", 42, True)])
    assert shown(made.lines(estimated, 80))[0] == "about 42 rows at 07:56:00 UTC"


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("tmp_1", ""), "temporary table whose name begins with #tmp_1"),
        (("#tmp_1", ""), "temporary table whose name begins with #tmp_1"),
        (("", "DataExtract_ab"), "table DataExtract_ab"),
    ],
)
def test_no_table_says_what_was_looked_for(words, what):
    (line,) = shown(progress_screen(clock, described(*words)).lines(result_of(tpp=[]), 0))
    assert line == f"no {what} on 1 host: the query may have ended, or not have started"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("", "", "default"), "--temp-table and --table are both missing"),
        (("a", "b", "default"), "--temp-table and --table exclude each other"),
        (("a b", "", "default"), "--temp-table: '#?a b' is not valid"),
        (("", "a.b.c", "default"), "--table: 'a.b' is not valid"),
        (("a", "", "Default!"), "--database: 'Default!' is not a valid name"),
    ],
)
def test_a_wrong_name_is_refused_with_its_flag(words, said):
    with pytest.raises(Refused, match=said):
        check_names(*words)
