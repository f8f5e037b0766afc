"""The word order that people type becomes Invoke's."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.cli.argv import (
    ExtraWord,
    MisfitWord,
    MisplacedTask,
    TaskShape,
    UnknownFlag,
    UnknownTask,
    arrange,
    help_topic,
)
from opstasks.cli.values import Choice, Moment, Number, Span, SpanText
from opstasks.core.errors import Refused

CORE = TaskShape(
    flags={
        "-H": True,
        "--hosts": True,
        "--json": False,
        "--yes": False,
        "-y": False,
        "-f": True,
        "--parallel": True,
    },
    forms={"--parallel": Number()},
    early=frozenset({"-f"}),
)
TASKS = {
    "deploy": TaskShape(
        flags={"--ref": True, "-r": True, "--restart": False},
        once={"--ref": "--ref", "-r": "--ref"},
        changes=True,
    ),
    "status": TaskShape(),
    "jobs.show": TaskShape(needs=("job",)),
    "jobs.retry": TaskShape(
        flags={"--job": True}, once={"--job": "--job"}, variadic="--job", changes=True
    ),
    "logs": TaskShape(
        flags={
            "--lines": True,
            "-n": True,
            "-f": False,
            "--every": True,
            "--wait": True,
            "--for": True,
            "--since": True,
            "--only": True,
        },
        forms={
            "--lines": Number(least=1),
            "-n": Number(least=1),
            "--every": Number(float),
            "--wait": Span(float),
            "--for": SpanText(),
            "--since": Moment(),
            "--only": Choice(("a", "b", "c")),
        },
    ),
    "jobs.kill": TaskShape(
        flags={"--no-cleanup": False, "--job": True}, variadic="--job", changes=True
    ),
}
TASKS["jobs-kill"] = replace(TASKS["jobs.kill"], renamed="jobs.kill")


def words(line):
    return arrange(line.split(), CORE, TASKS)


def test_core_flags_are_allowed_anywhere():
    wanted = ["-H", "tpp", "deploy", "--ref", "v1"]
    assert words("-H tpp deploy --ref v1") == wanted
    assert words("deploy -H tpp --ref v1") == wanted
    assert words("deploy --ref v1 -H tpp") == wanted


def test_equals_signs_and_glued_short_flags_work():
    assert words("deploy --hosts=tpp --ref=v1") == ["--hosts", "tpp", "deploy", "--ref", "v1"]
    assert words("deploy -Htpp") == ["-H", "tpp", "deploy"]
    assert words("logs -yfn5") == ["-y", "logs", "-f", "-n", "5"]


def test_a_core_flag_is_not_taken_for_a_positional_argument():
    assert words("jobs.show --json abc") == ["--json", "jobs.show", "abc"]


def test_a_value_that_looks_like_a_flag_follows_an_equals_sign():
    assert words("deploy --ref=--json") == ["deploy", "--ref", "--json"]
    assert words("deploy --ref --other") == ["deploy", "--ref", "--other"]


@pytest.mark.parametrize(
    ("line", "topic"),
    [
        ("jobs.show --help", "jobs.show"),
        ("jobs.show abc -H tpp -h", "jobs.show"),
        ("-H tpp --help jobs.show", "jobs.show"),
        ("-H tpp -h", ""),
        ("-H tpp jobs.show", None),
    ],
)
def test_help_is_found_at_any_place(line, topic):
    assert help_topic(line.split(), dict.fromkeys(TASKS, "x") | {"jobs.show": "jobs.show"}) == topic


def test_any_number_of_arguments():
    assert words("jobs.kill a b -H tpp --no-cleanup c") == [
        "-H",
        "tpp",
        "jobs.kill",
        "--job",
        "a",
        "--job",
        "b",
        "--no-cleanup",
        "--job",
        "c",
    ]


def test_old_names_become_the_new_ones():
    assert words("-y jobs-kill a") == ["-y", "jobs.kill", "--job", "a"]


def test_several_tasks_in_a_row():
    assert words("deploy --restart status -y") == ["-y", "deploy", "--restart", "status"]


@pytest.mark.parametrize(
    ("line", "kind", "word", "task"),
    [
        ("stauts", UnknownTask, "stauts", ""),
        ("-H tpp sttus -y", UnknownTask, "sttus", ""),
        ("status tpp", ExtraWord, "tpp", "status"),
        ("jobs.show abc def", ExtraWord, "def", "jobs.show"),
        ("jobs.retry abc def", ExtraWord, "def", "jobs.retry"),
        ("jobs.retry --job abc def", ExtraWord, "def", "jobs.retry"),
        ("status --reff=x", UnknownFlag, "--reff", "status"),
        ("--reff status", UnknownFlag, "--reff", ""),
        ("jobs.kill a status", MisplacedTask, "status", "jobs.kill"),
        ("status deploy", MisplacedTask, "deploy", "status"),
        ("logs -n 5 deploy -H tpp", MisplacedTask, "deploy", "logs"),
        ("deploy status jobs-kill a", MisplacedTask, "jobs-kill", "status"),
        ("status logs deploy", MisplacedTask, "deploy", "logs"),
        ("status -f x", UnknownFlag, "-f", "status"),
    ],
)
def test_a_word_that_does_not_fit_is_told_with_its_task(line, kind, word, task):
    with pytest.raises(kind) as caught:
        words(line)
    assert (caught.value.word, caught.value.task) == (word, task)


def test_the_words_after_one_that_does_not_fit_are_known():
    with pytest.raises(ExtraWord) as caught:
        words("status docker ps -a")
    assert caught.value.rest == ("ps", "-a")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("deploy --ref", "deploy: --ref needs a value"),
        ("deploy -H", "deploy: -H needs a value"),
        ("deploy --ref --json", "deploy: --ref needs a value"),
        ("deploy --ref --restart=x", "deploy: --ref needs a value"),
        ("deploy --ref -Htpp", "deploy: --ref needs a value"),
        ("deploy --ref=--restart", "deploy: --ref needs a value, not --restart"),
        ("deploy --ref=--", "deploy: --ref needs a value, not --"),
        ("deploy --hosts=--yes", "deploy: --hosts needs a value, not --yes"),
        ("-H=-y deploy", "-H needs a value, not -y"),
        ("deploy --ref a --ref b", "deploy: --ref is given twice"),
        ("deploy -r a --ref b", "deploy: --ref is given twice"),
        ("-H", "-H needs a value"),
        ("deploy --restart=yes", "deploy: --restart takes no value, such as 'yes'"),
        ("jobs.show", "jobs.show: JOB is missing"),
        ("jobs.show -y", "jobs.show: JOB is missing"),
        ("logs --lines abc", "logs: --lines must be a whole number, not 'abc'"),
        ("logs -n 1.5", "logs: -n must be a whole number, not '1.5'"),
        ("logs -n 1_0", "logs: -n must be a whole number, not '1_0'"),
        ("logs -n=", "logs: -n needs a value, not ''"),
        ("logs -n 1e9", "logs: -n must be a whole number, not '1e9'"),
        ("logs -n 9999999999", "logs: -n must be 1000000000 or less, not 9999999999"),
        ("logs --every 1e3", "logs: --every must be a number, not '1e3'"),
        ("logs --wait 99999999999999", "logs: --wait: '99999999999999' is more than a year"),
        ("logs --lines 0", "logs: --lines must be 1 or greater, not 0"),
        ("logs --lines -3", "logs: --lines must be 1 or greater, not -3"),
        ("logs --every nan", "logs: --every must be a number, not 'nan'"),
        ("logs --every inf", "logs: --every must be a number, not 'inf'"),
        ("logs --wait soon", "must be a span of time (90, 90s, 2m or 1h30m), not 'soon'"),
        ("logs --for 5x", "logs: --for must be a span of time (90, 90s, 2m or 1h30m), not '5x'"),
        ("logs --for 0s", "logs: --for: '0s' is not a span longer than 0"),
        ("logs --since 2026-99-99", "logs: --since: '2026-99-99' is not a date"),
        ("logs --only d", "logs: --only must be a, b or c, not 'd'"),
        ("--parallel x logs", "--parallel must be a whole number, not 'x'"),
        ("logs --parallel=-1", "logs: --parallel must be 0 or greater, not -1"),
    ],
)
def test_wrong_usage_names_the_task_and_the_flag(line, message):
    with pytest.raises(Refused) as caught:
        words(line)
    assert message in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("typed", "seconds"),
    [("90", "90"), ("1.5", "1.5"), ("90s", "90"), ("2m", "120"), ("1h30m", "5400")],
)
def test_a_span_of_time_becomes_seconds(typed, seconds):
    assert words(f"logs --wait {typed}") == ["logs", "--wait", seconds]


@pytest.mark.parametrize("typed", ["90", "2m"])
def test_a_span_for_a_task_that_reads_it_is_checked_only(typed):
    assert words(f"logs --for={typed}") == ["logs", "--for", typed]


def test_the_name_of_a_task_can_be_a_value_with_its_flag():
    assert words("jobs.kill --job status") == ["jobs.kill", "--job", "status"]


def test_the_same_flag_may_be_given_to_two_tasks():
    assert words("deploy --ref a deploy --ref b") == [
        "deploy",
        "--ref",
        "a",
        "deploy",
        "--ref",
        "b",
    ]


@given(
    st.lists(st.sampled_from([*TASKS, *CORE.flags, "--ref", "-n", "a", "-", "", "--", "-Hx", "="]))
)
def test_any_line_is_arranged_or_refused(line):
    try:
        arranged = arrange(line, CORE, TASKS)
    except (Refused, MisfitWord):
        return
    assert len(arranged) >= len(line)
