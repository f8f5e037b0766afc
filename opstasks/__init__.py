"""Operator tasks for OpenSAFELY job-runner backends."""

__version__ = "0.1.0"
