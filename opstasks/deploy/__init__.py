"""Deploying job-runner: from one release to another, and back."""
