"""Runs on the host: the new text of the local file, and whether it is acceptable."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from opstasks.config.onhost.edit import edited
from opstasks.config.onhost.files import ReadFile, read_file, service_values
from opstasks.onhost.protocol import HostRefusal, error_text

IMPORT_TIMEOUT_S = 60
_IMPORT = (
    "import sys\ntry:\n import jobrunner.config\n"
    "except Exception as error: print(type(error).__name__); sys.exit(3)"
)


def proposal(request: Mapping[str, Any]) -> tuple[ReadFile, str]:
    """The local file and its new text; raises HostRefusal when it must not be changed.

    The request has `files` (the local one last), `wanted` (keys to ``{"value": text}``, or to
    None for a key to remove), `secret_keys` (those that were typed as secrets), `code_dir` and
    `lib_dir`.
    """
    files = [read_file(path) for path in request["files"]]
    local = files[-1]
    if local.is_link:
        raise HostRefusal(f"{local.path} is a link, which would be replaced by a file")
    if local.error and local.path.exists():
        raise HostRefusal(f"{local.path}: {local.error}")
    wanted = {key: item and str(item["value"]) for key, item in request["wanted"].items()}
    new = edited(local.text, wanted, request["secret_keys"])
    others = [item.text for item in files[:-1]]
    reason = _import_error(request, service_values([*others, new]))
    if reason and not _import_error(request, service_values([*others, local.text])):
        raise HostRefusal(f"job-runner would not start with it: {reason} in jobrunner.config")
    return local, new


def _import_error(request: Mapping[str, Any], env: Mapping[str, str]) -> str:
    """Why job-runner would not start with this environment; empty if it would start.

    Only the exception's type leaves the host: its text may contain a value.
    """
    code_dir = request["code_dir"]
    if not Path(code_dir, "jobrunner", "config.py").is_file():
        return ""
    base = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
    try:
        done = subprocess.run(
            ["python3", "-B", "-c", _IMPORT],
            env={**base, **env, "PYTHONPATH": f"{code_dir}:{request['lib_dir']}"},
            cwd=code_dir,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=IMPORT_TIMEOUT_S,
            close_fds=False,
            check=False,
        )
    except subprocess.TimeoutExpired:
        reason = f"job-runner's configuration did not load within {IMPORT_TIMEOUT_S} s"
        raise HostRefusal(reason) from None
    except OSError as error:
        raise HostRefusal(
            f"job-runner's configuration cannot be tried: {error_text(error)}"
        ) from error
    return done.stdout.strip() if done.returncode == 3 else ""
