"""Start and stop job-runner."""
