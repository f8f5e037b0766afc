"""Operator tasks for OpenSAFELY job-runner backends."""
