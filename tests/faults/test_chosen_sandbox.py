"""The nastiest pairs of the table, on a real host; `make faults` runs all of them.

Each pair first restores the kept state of the host, so one host is enough.
"""

import pytest

from tests.faults import table
from tests.faults.client import Client
from tests.faults.ground import Ground
from tests.faults.machine import Machine
from tests.faults.run import Pair

pytestmark = [pytest.mark.sandbox, pytest.mark.hosts(1)]


@pytest.fixture(scope="module")
def ground(sandbox, sandbox_dir, tmp_path_factory):
    """A managed host with the states that the pairs start from."""
    made = Ground(Machine("sandbox-1", sandbox_dir), tmp_path_factory.mktemp("faults"))
    done = Client(made, ["manage", "--yes"]).end()
    assert done.code == 0, done.text
    made.build()
    return made


@pytest.mark.parametrize("case", table.chosen(), ids=lambda case: case.name)
def test_nothing_is_lost_and_each_statement_is_true_after_a_fault(ground, case):
    verdict = Pair(ground, case).run()
    assert not verdict.wrong, (verdict.code, verdict.message, verdict.hint, verdict.wrong)
