"""The Tab key offers the possible words."""

import pytest

from opstasks.cli.argv import TaskShape
from opstasks.cli.completion import candidates

CORE = {"-H": True, "--hosts": True, "--json": False}
TASKS = {"deploy": TaskShape(flags={"--ref": True, "--restart": False}), "status": TaskShape()}


def offered(line):
    return candidates(line.split(" "), CORE, TASKS, lambda: ["tpp", "emis", "prod", "all"])


@pytest.mark.parametrize("line", ["-H", "-H ", "-H t", "deploy --hosts "])
def test_hosts_and_groups_after_the_host_flag(line):
    assert "tpp" in offered(line)
    assert "prod" in offered(line)


def test_the_last_of_a_list_is_completed():
    assert "tpp,!emis" in offered("-H tpp,!e")


def test_flags_of_the_task_and_of_the_program():
    assert offered("deploy --re") == ["--hosts", "--json", "--ref", "--restart"]


def test_tasks_are_offered_elsewhere():
    assert offered("-H tpp d") == ["deploy", "status"]
    assert offered("") == ["deploy", "status"]


def test_nothing_for_the_value_of_another_flag():
    assert offered("deploy --ref ") == []
