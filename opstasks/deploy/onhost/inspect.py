"""Runs on the host, as the service account: look at code, configuration and database.

Asked with one JSON object; prints one. Changes nothing. Names of
configuration keys leave the host, their values never do.
"""

import ast
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

from opstasks.onhost.environment import environment

IMPORT_TIMEOUT_S = 60
# Importing the service and its migrations is what the new release does first when it starts.
PROBE = """
import json
import jobrunner.service, jobrunner.cli.migrate, jobrunner.cli.flags, jobrunner.models
from jobrunner.lib import database
migrations = getattr(database, "MIGRATIONS", {})
print(json.dumps({str(v): " ".join(sql.split())[:120] for v, sql in migrations.items()}))
"""


def try_import(code: str, lib: str, env: dict[str, str]) -> dict[str, Any]:
    """Import the code with its dependencies in a process of its own."""
    try:
        done = subprocess.run(
            [sys.executable, "-B", "-c", PROBE],
            env={**env, "PYTHONPATH": f"{code}:{lib}"},
            cwd=code,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=IMPORT_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"error": f"its import did not end within {IMPORT_TIMEOUT_S} s"}
    if done.returncode:
        return {"error": "\n".join(done.stderr.strip().splitlines()[-4:]) or "no output"}
    found = json.loads(done.stdout.strip().splitlines()[-1])
    return {"error": "", "migrations": {int(key): text for key, text in found.items()}}


def env_keys(code: str) -> list[str]:
    """Names of the environment variables that the code reads."""
    trees = map(syntax, Path(code, "jobrunner").rglob("*.py"))
    return sorted({key for tree in trees for node in ast.walk(tree) if (key := env_key(node))})


def syntax(path: Path) -> ast.Module:
    """A file's syntax; nothing for one that has none, which the import will tell."""
    try:
        return ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return ast.Module(body=[], type_ignores=[])


def env_key(node: ast.AST) -> str:
    """The variable that one piece of syntax reads: os.environ["A"], .get("A"), getenv("A")."""
    match node:
        case ast.Subscript(value=value, slice=ast.Constant(key), ctx=ast.Load()):
            if ast.unparse(value) == "os.environ":
                return str(key)
        case ast.Call(func=function, args=[ast.Constant(key), *_]):
            if ast.unparse(function) in ("os.environ.get", "os.getenv"):
                return str(key)
    return ""


def database(path: str) -> dict[str, Any]:
    """Size, health, version and unfinished jobs of job-runner's database, read-only."""
    if not Path(path).exists():
        return {"exists": False}
    facts: dict[str, Any] = {"exists": True, "size_bytes": Path(path).stat().st_size}
    try:
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
        facts["user_version"] = connection.execute("PRAGMA user_version").fetchone()[0]
        facts["quick_check"] = connection.execute("PRAGMA quick_check").fetchone()[0]
        rows = connection.execute(
            "SELECT id, workspace, action, state FROM job WHERE state IN ('running', 'pending')"
        )
        facts["jobs"] = [list(row) for row in rows]
        connection.close()
    except sqlite3.Error as error:
        facts["error"] = str(error)
    return facts


def health(path: str) -> str:
    """Say "ok" for a sound database, or what is wrong with it."""
    try:
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
        return str(connection.execute("PRAGMA quick_check").fetchone()[0])
    except sqlite3.Error as error:
        return f"{path}: {error}"


def main(request: str) -> None:
    """Print everything as one JSON object."""
    asked = json.loads(request)
    env = environment(asked["config_dir"])
    staged = Path(asked["staged_code"]).is_dir() and Path(asked["staged_lib"]).is_dir()
    code = asked["staged_code"] if staged else asked["code"]
    lib = asked["staged_lib"] if staged else asked["lib"]
    # Snapshots lie in the home, a restored database beside the present one.
    disks = [os.statvfs(path) for path in (asked["home"], Path(asked["database"]).parent)]
    answer: dict[str, Any] = {
        "set_keys": sorted(env),
        "database": database(asked["database"]),
        "snapshot": health(asked["snapshot"]) if asked["snapshot"] else "ok",
        "free_bytes": min(disk.f_bavail * disk.f_frsize for disk in disks),
    }
    if Path(code, "jobrunner").is_dir():
        answer["import"] = try_import(code, lib, env)
        answer["new_keys"] = env_keys(code)
        answer["old_keys"] = env_keys(asked["code"])
    print(json.dumps(answer))
