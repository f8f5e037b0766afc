"""All workflows, by name. `programs` of each are compared with those that the code declares."""

from tests.faults.other_workflows import HOST, MAINTENANCE, WORK
from tests.faults.release_workflows import RELEASES

WORKFLOWS = {flow.name: flow for flow in (*RELEASES, *WORK, *MAINTENANCE, *HOST)}
