"""The host's side of a release: whether the service is healthy."""

import pytest

from opstasks.deploy.onhost import service_log
from opstasks.onhost import unit_state
from opstasks.onhost.protocol import HostFailure


def test_a_service_between_two_crashes_should_be_up():
    assert unit_state.is_wanted({"ActiveState": "activating", "SubState": "auto-restart"})
    assert not unit_state.is_wanted({"ActiveState": "failed"})


def test_exceptions_are_found_in_tracebacks():
    log = [
        "2024 run started",
        "Traceback (most recent call last):",
        '  File "x", line 1',
        "    boom()",
        "requests.exceptions.ConnectionError: no",
        "Traceback (most recent call last):",
        '  File "y"',
        "KeyError: 'x'",
    ]
    assert service_log.exceptions(log) == {"requests.exceptions.ConnectionError", "KeyError"}
    assert service_log.exceptions(["no such thing"]) == set()


def test_a_log_without_the_started_line_is_not_healthy():
    with pytest.raises(HostFailure, match="did not log"):
        service_log.judge("jobrunner", ["something"], set())


def test_a_traceback_fails_unless_the_previous_release_had_it():
    log = ["jobrunner.service started", "Traceback (most recent call last):", " x", "KeyError: 1"]
    with pytest.raises(HostFailure, match="KeyError"):
        service_log.judge("jobrunner", log, set())
    assert service_log.judge("jobrunner", log, {"KeyError"}) == ["KeyError"]
