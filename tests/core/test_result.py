"""Results of a fleet."""

from opstasks.core.errors import Refused
from opstasks.core.result import FleetResult, HostResult


def test_mapped_results_keep_errors_outcomes_and_findings():
    error = Refused("no")
    found = FleetResult(
        [HostResult("a", "ok", 1), HostResult("b", "refused", error=error)], findings=True
    )
    mapped = found.mapped(str)
    assert [(item.host, item.outcome, item.value, item.error) for item in mapped] == [
        ("a", "ok", "1", None),
        ("b", "refused", None, error),
    ]
    assert mapped.findings
