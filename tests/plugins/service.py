"""Fixtures about job-runner's service on real hosts."""

import pytest


@pytest.fixture
def jobrunner_unit(managed, observer):
    """The service of sandbox-1 as systemd has it; up before and after."""
    here = observer("sandbox-1")
    here.check_output("systemctl start jobrunner")

    def show(name):
        return here.check_output(f"systemctl show jobrunner --property={name} --value")

    yield show
    if show("SubState") != "running" or show("NRestarts") != "0":
        # Stop it first: a unit that waits for a restart keeps its count.
        here.check_output("systemctl stop jobrunner")
        here.run("systemctl reset-failed jobrunner")
        here.check_output("systemctl start jobrunner")
