"""Our connections are those of `ssh` with the same files, or are refused by name."""

import json

import pytest

from tests.fleet.openssh import (
    rows_checking,
    rows_config,
    rows_host_keys,
    rows_keys,
    rows_proxies,
    rows_servers,
)

# All rows are played before the first test.
pytestmark = [pytest.mark.sandbox, pytest.mark.hosts(1), pytest.mark.timeout(1800)]
TABLES = (rows_config, rows_keys, rows_host_keys, rows_checking, rows_proxies, rows_servers)
ROWS = [row for table in TABLES for row in table.ROWS]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_outcome_is_that_of_ssh(outcomes, row):
    found = outcomes[row.name]
    shown = json.dumps({"ssh": found.theirs, "ours": found.ours}, indent=1)
    assert not found.problems, "\n".join([*found.problems, shown])


def test_the_table_has_enough_rows_with_different_names():
    assert len({row.name for row in ROWS}) == len(ROWS) >= 60
