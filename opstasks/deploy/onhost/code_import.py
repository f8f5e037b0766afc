"""Runs on the host: import a release's code in a separate process.

Names of configuration keys leave the host, but not their values.
"""

import json
import subprocess
import sys
from typing import Any

TIMEOUT_S = 60
# The new release also starts by importing the service and its migrations.
PROBE = """
import json, site, sys
folders = [*sys.path, site.getusersitepackages(), sys.executable]
import jobrunner.service, jobrunner.cli.migrate, jobrunner.cli.flags, jobrunner.models
from jobrunner.lib import database
migrations = getattr(database, "MIGRATIONS", {})
texts = {str(v): " ".join(sql.split())[:120] for v, sql in migrations.items()}
print(json.dumps([texts, folders]))
"""
# These differ from one connection to the next, so code must not depend on them.
UNSTEADY = ("SUDO_", "SSH_", "XDG_SESSION_")
UNSTEADY_NAMES = ("_", "SHLVL", "PWD", "OLDPWD")


def steady(env: dict[str, str]) -> dict[str, str]:
    """The variables that are the same on each connection."""
    return {
        name: value
        for name, value in env.items()
        if not name.startswith(UNSTEADY) and name not in UNSTEADY_NAMES
    }


def try_import(code: str, lib: str, env: dict[str, str]) -> dict[str, Any]:
    """Import the code with its dependencies: an error, or the migrations.

    `folders` has Python's own part of the import: its program and its package folders.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-B", "-c", PROBE],
            env={**steady(env), "PYTHONPATH": f"{code}:{lib}"},
            cwd=code,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return failed_import(f"its import did not end within {TIMEOUT_S} s")
    if done.returncode:
        return failed_import("\n".join(done.stderr.strip().splitlines()[-4:]) or "no output")
    try:
        texts, folders = json.loads(done.stdout.strip().splitlines()[-1])
        migrations = {int(key): str(text) for key, text in texts.items()}
    except (ValueError, TypeError, IndexError, AttributeError):
        return failed_import("its import did not report its migrations")
    used = sorted({str(folder) for folder in folders} - {"", code, lib})
    return {"import_error": "", "migrations": migrations, "folders": used}


def failed_import(error: str) -> dict[str, Any]:
    """The facts of code that cannot be imported."""
    return {"import_error": error, "migrations": {}, "folders": []}
