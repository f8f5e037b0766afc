"""Jobs with real internal errors, for tests of several folders; on sandbox-1."""

import pytest

from tests.jobs import jobs_help as jobs

HOST = "sandbox-1"


@pytest.fixture
def internal_error_job(managed):
    """A job that was stopped, and whose outputs could not be stored: a real internal error."""
    place = jobs.BROKEN_WORKSPACE
    job = jobs.started(managed, HOST, "long", "broken")
    jobs.sh(managed, HOST, f"mkdir -p {place}; chown -R root:root {place}; chmod 700 {place}")
    jobs.sh(managed, HOST, f"docker kill --signal TERM os-job-{job}")
    row = jobs.ended(managed, HOST, job)
    assert row["status_code"] == "internal_error", row
    yield job
    jobs.sh(managed, HOST, f"rm -rf {place}; {jobs.RESTART}")


@pytest.fixture
def unstored_job(managed):
    """A job that ran well, and whose outputs could not be stored; by now they can be."""
    place = jobs.BROKEN_WORKSPACE
    make = f"rm -rf {place}; install -d -o root -g root -m 755 {place}"
    jobs.sh(managed, HOST, f"{make}; {jobs.RESTART}")
    (job,) = managed.submit(HOST, "quick", "broken")
    row = jobs.ended(managed, HOST, job)
    assert (row["state"], row["status_code"]) == ("failed", "internal_error"), row
    assert f"os-job-{job}" in jobs.containers(managed, HOST)
    jobs.allow_outputs(managed, HOST)
    yield job
    jobs.sh(managed, HOST, f"rm -rf {place}")
