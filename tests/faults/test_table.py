"""The table of faults covers each program that changes a host, and each step of a deploy."""

import re

import pytest

from opstasks.deploy.apply import STEPS
from opstasks.fleet.program import Program
from tests.faults import table
from tests.faults.catalogue import FAULTS
from tests.faults.known import KNOWN
from tests.faults.traps import MOMENTS
from tests.faults.workflows import WORKFLOWS
from tests.programs import ours

# A pair for each of these faults is the least that a step needs.
LEAST = {"client killed", "step killed"}
PAIRS = table.cases()


def changing():
    """The programs that change a host, as the code declares them (one may also only read)."""
    values = [value for module in ours().values() for value in vars(module).values()]
    return sorted({v.name for v in values if isinstance(v, Program) and v.changes})


def points_of(program):
    """The moments at a call of a program, as (workflow, moment)."""
    return {
        (flow.name, point)
        for flow in WORKFLOWS.values()
        for point, trap in flow.points.items()
        if re.search(trap.pattern, f"python3 {program}")
    }


@pytest.mark.parametrize("program", changing())
def test_each_program_that_changes_a_host_has_its_faults(program):
    points = points_of(program)
    assert points, f"{program} has no moment in tests/faults: add it to a workflow, and to ROWS"
    made = {case.fault for case in PAIRS if (case.flow, case.point) in points}
    assert made >= LEAST
    assert any(program in flow.programs for flow in WORKFLOWS.values())


def test_a_workflow_names_only_programs_that_change_a_host():
    named = {program for flow in WORKFLOWS.values() for program in flow.programs}
    assert named <= set(changing())


@pytest.mark.parametrize("number", range(1, len(STEPS) + 1))
def test_each_step_of_a_deploy_has_its_faults(number):
    points = {
        point
        for point, trap in WORKFLOWS["deploy"].points.items()
        if "deploy.steps" in trap.pattern and trap.number == number
    }
    made = {case.fault for case in PAIRS if case.flow == "deploy" and case.point in points}
    assert made >= LEAST, f"step {number} of a deploy has no pair for each of {LEAST}"


def test_the_table_has_at_least_250_pairs_of_known_parts():
    assert len(PAIRS) >= 250
    for case in PAIRS:
        assert case.fault in FAULTS
        assert not case.point or case.point in WORKFLOWS[case.flow].points


def test_each_fault_and_each_moment_is_used():
    assert {case.fault for case in PAIRS} == set(FAULTS)
    used = {(case.flow, case.point) for case in PAIRS}
    every = {(flow.name, point) for flow in WORKFLOWS.values() for point in flow.points}
    assert every <= used


def test_the_chosen_pairs_are_pairs_of_the_table_without_known_findings():
    names = table.CHOSEN.strip().splitlines()
    assert [case.name for case in table.chosen()] == [c.name for c in PAIRS if c.name in names]
    assert len(table.chosen()) == len(names)
    assert not set(names) & set(KNOWN)


def test_known_findings_are_of_pairs_of_the_table():
    assert set(KNOWN) <= {case.name for case in PAIRS}


def test_traps_stop_before_during_or_after_a_call():
    traps = [trap for flow in WORKFLOWS.values() for trap in flow.points.values()]
    assert {trap.when for trap in traps} <= set(MOMENTS)
    for trap in traps:
        re.compile(trap.pattern)
