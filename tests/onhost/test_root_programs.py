"""Every program that runs as root has a row in the test that plants files for it."""

from tests.onhost.root_programs import (
    ROWS,
    files_that_root_runs,
    programs_of_units,
    uses_of_root,
)


def test_everything_that_runs_as_root_is_tested_with_planted_files():
    found = uses_of_root() | programs_of_units() | files_that_root_runs()
    assert found == {name for row in ROWS for name in row.runs}
