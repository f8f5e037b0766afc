"""The settings of this folder."""

import pytest
from hypothesis import settings

from tests.fuzz.examples import EXAMPLES, FEW

# The tests that run with many examples, one for each row of a table.
KINDS = {
    "test_nonsense_of_a_host_neither_crashes_nor_controls": "readers",
    "test_nonsense_of_a_program_is_a_value_or_an_error": "other programs",
    "test_any_text_is_read_or_refused": "parsers",
}


@pytest.fixture(autouse=True)
def many_examples():
    """The settings of this folder."""
    before = settings.get_current_profile_name()
    settings.load_profile("fuzz")
    yield
    settings.load_profile(before)


def pytest_terminal_summary(terminalreporter):
    """In `make fuzz`: what ran with all examples, and what failed."""
    if EXAMPLES == FEW:
        return
    counts = dict.fromkeys(KINDS.values(), 0)
    bad = []
    for outcome in ("passed", "failed", "error"):
        for report in terminalreporter.getreports(outcome):
            name, _, row = report.nodeid.rpartition("::")[2].partition("[")
            if name in KINDS:
                counts[KINDS[name]] += 1
            if outcome != "passed":
                bad.append(row.removesuffix("]") or name)
    ran = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    failed = f"{len(bad)} failed {'; '.join(bad)}".rstrip()
    terminalreporter.write_line(f"fuzz: {ran}, {EXAMPLES} examples each: {failed}")
