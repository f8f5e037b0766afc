"""Runs on the host: the environment of job-runner's own commands."""

import subprocess
from typing import Any


def environment(config_dir: str) -> dict[str, str]:
    """The variables that the script ``load-env`` of a config directory exports.

    Without this script, it is the process's own environment.
    """
    script = 'set -a; . "$1/load-env" >/dev/null 2>&1; env -0'
    done = subprocess.run(
        ["bash", "-c", script, "bash", config_dir],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        close_fds=False,
        check=False,
    )
    pairs = (item.partition("=") for item in done.stdout.decode("utf-8", "replace").split("\0"))
    return {key: value for key, _, value in pairs if key}


def of_release(spec: dict[str, Any]) -> dict[str, str]:
    """Like `environment`, for a release: `spec` has `code`, `lib` and `config_dir`."""
    return {**environment(spec["config_dir"]), "PYTHONPATH": f"{spec['code']}:{spec['lib']}"}
