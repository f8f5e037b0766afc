"""Runs on the host: import a release's code, without the host's secrets.

A preview imports code that nobody may have reviewed. So it is confined, and gets placeholders
instead of secrets. Names of configuration keys leave the host, but not their values.
"""

import json
import os
from pathlib import Path
from typing import Any

from opstasks.deploy.onhost import confined
from opstasks.onhost import masking

TIMEOUT_S = 60
# More folders or migrations than any release has.
MAX_ITEMS = 1000
# Of one migration, in characters.
MOST_SQL = 500
# A shorter value may be contained in another one by chance.
MIN_SECRET = 6
# Programs need these. They contain no secret; a match with one is chance.
USUAL = ("PATH", "HOME", "LANG", "LANGUAGE", "USER", "LOGNAME", "SHELL", "TERM", "TZ")
# The new release also starts by importing the service and its migrations.
PROBE = """
import json, site, sys
folders = [*sys.path, site.getusersitepackages(), sys.executable]
import jobrunner.service, jobrunner.cli.migrate, jobrunner.cli.flags, jobrunner.models
from jobrunner.lib import database
migrations = getattr(database, "MIGRATIONS", {})
texts = {str(v): " ".join(sql.split())[:500] for v, sql in migrations.items()}
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


def harmless(env: dict[str, str], config_dir: str) -> dict[str, str]:
    """The steady variables, with placeholders instead of secrets: code may need the names.

    Secrets are values that the file of secrets sets, values that were typed as secrets, values
    with a secret's name or form, and values that contain one of these. A file of the host is
    replaced by an empty file: confined code cannot see the file, but may need it to exist.
    """
    names = masking.all_assigned(_text(config_dir, masking.SECRETS_FILE).split("\n"))
    names |= masking.marked(_text(config_dir, masking.LOCAL_FILE))
    found = steady(env)
    secret = {name for name, value in found.items() if masking.is_secret(name, [value], names)}
    values = [env[name] for name in secret if len(env[name]) >= MIN_SECRET]
    return {
        name: masking.placeholder(value)
        if name not in USUAL
        and (name in secret or is_hidden_file(value) or any(part in value for part in values))
        else value
        for name, value in found.items()
    }


def _text(folder: str, name: str) -> str:
    try:
        return Path(folder, name).read_text("utf-8", "replace")
    except OSError:
        return ""


def is_hidden_file(value: str) -> bool:
    """Whether a value is the path of a file that confined code cannot see."""
    if not value.startswith("/") or f"{value}/".startswith(tuple(f"{p}/" for p in confined.SYSTEM)):
        return False
    try:
        return Path(value).is_file()
    except (OSError, ValueError):
        return False


def try_import(
    code: str, lib: str, env: dict[str, str], *, confines: bool = True
) -> dict[str, Any]:
    """Import the code with its dependencies: an error, or the migrations.

    `env` has no secrets, unless the code ran with them before (`confines` false). `folders` has
    Python's own part of the import: its program and its package folders. `is_confined`: it could
    reach nothing else (`opstasks.deploy.onhost.confined`).
    """
    code, lib = os.path.realpath(code), os.path.realpath(lib)
    paths = {**env, "PYTHONPATH": f"{code}:{lib}"}
    ended = confined.run(PROBE, (code, lib), paths, code, timeout_s=TIMEOUT_S, confines=confines)
    return {**_found(ended, {"", code, lib}), "is_confined": ended.is_confined}


def _found(ended: confined.Ended, ours: set[str]) -> dict[str, Any]:
    if ended.code is None:
        return failed_import(f"its import did not end within {TIMEOUT_S} s")
    if ended.code:
        last = "\n".join(masking.masked(ended.err.strip()).split("\n")[-4:])
        return failed_import(last[-MAX_ITEMS:] or f"exit code {ended.code}")
    try:
        texts, folders = json.loads(ended.out.strip().split("\n")[-1])
        numbered = list(texts.items())[:MAX_ITEMS]
        migrations = {int(key): str(text)[:MOST_SQL] for key, text in numbered}
        used = sorted({str(folder) for folder in folders[:MAX_ITEMS]} - ours)
    except (ValueError, TypeError, IndexError, AttributeError, RecursionError):
        return failed_import("its import did not report its migrations")
    return {"import_error": "", "migrations": migrations, "folders": used}


def failed_import(error: str) -> dict[str, Any]:
    """The facts of code that cannot be imported."""
    return {"import_error": error, "migrations": {}, "folders": []}
