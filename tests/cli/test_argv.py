"""The word order that people type becomes Invoke's."""

from dataclasses import replace

import pytest

from opstasks.cli.argv import TaskShape, arrange, help_topic

CORE = {"-H": True, "--hosts": True, "--json": False, "--yes": False, "-y": False}
TASKS = {
    "deploy": TaskShape(flags={"--ref": True, "--restart": False}),
    "status": TaskShape(),
    "jobs.show": TaskShape(positionals=1),
    "jobs.kill": TaskShape(flags={"--no-cleanup": False, "--job": True}, variadic="--job"),
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
    assert words("deploy --hosts=tpp --ref=v1") == ["--hosts=tpp", "deploy", "--ref=v1"]
    assert words("deploy -Htpp") == ["-H", "tpp", "deploy"]


def test_a_core_flag_is_not_taken_for_a_positional_argument():
    assert words("jobs.show --json abc") == ["--json", "jobs.show", "abc"]


def test_a_task_flag_keeps_its_value_even_if_it_looks_like_a_flag():
    assert words("deploy --ref --json") == ["deploy", "--ref", "--json"]


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
    assert help_topic(line.split(), TASKS) == topic


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
    assert help_topic(["jobs-kill", "-h"], TASKS) == "jobs.kill"


def test_several_tasks_in_a_row():
    assert words("deploy --restart status -y") == ["-y", "deploy", "--restart", "status"]
