"""Runs on the host: import and read a release's code before anything is changed.

Names of configuration keys leave the host, but not their values.
"""

import ast
import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from opstasks.deploy.onhost.checkout_facts import export
from opstasks.onhost.environment import environment

IMPORT_TIMEOUT_S = 60
# The new release also starts by importing the service and its migrations.
PROBE = """
import json
import jobrunner.service, jobrunner.cli.migrate, jobrunner.cli.flags, jobrunner.models
from jobrunner.lib import database
migrations = getattr(database, "MIGRATIONS", {})
print(json.dumps({str(v): " ".join(sql.split())[:120] for v, sql in migrations.items()}))
"""


@contextlib.contextmanager
def unpacked(state_dir: str, checkouts: Sequence[dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    """Temporary folders with the targets of code and dependencies.

    Without targets, or without disk space for the folders, the checkouts themselves; empty when a
    target cannot be unpacked: the present code must not be judged in its place.
    """
    with contextlib.ExitStack() as stack:
        folders = tuple(checkout["path"] for checkout in checkouts)
        with contextlib.suppress(OSError):
            Path(state_dir).mkdir(mode=0o750, parents=True, exist_ok=True)
            # Two operators may inspect at the same time: each gets their own folder.
            top = stack.enter_context(
                tempfile.TemporaryDirectory(
                    dir=state_dir, prefix="staging-", ignore_cleanup_errors=True
                )
            )
            staged = (str(Path(top, "code")), str(Path(top, "lib")))
            if all(checkout["target"] for checkout in checkouts):
                pairs = zip(checkouts, staged, strict=True)
                whole = all(export(c["path"], c["target"], folder) for c, folder in pairs)
                folders = staged if whole else ()
        yield folders


def unpackable() -> dict[str, Any]:
    """The facts of code that cannot be unpacked."""
    return {**failed_import("git cannot unpack it"), "missing_keys": []}


def code_facts(config_dir: str, old_code: str, code: str, lib: str) -> dict[str, Any]:
    """Whether the code can be imported, its migrations, and its missing configuration keys.

    Missing keys are those that the new code reads, the old code did not, and the host does not
    set. The import shows whether the code works without them: job-runner reads its configuration
    when it is imported.
    """
    if not Path(code, "jobrunner").is_dir():
        error = "there is no jobrunner package"
        return {"import_error": error, "migrations": {}, "missing_keys": []}
    env = environment(config_dir)
    found = try_import(code, lib, env)
    missing = sorted(env_keys(code) - env_keys(old_code) - set(env))
    return {**found, "missing_keys": missing}


def try_import(code: str, lib: str, env: dict[str, str]) -> dict[str, Any]:
    """Import the code with its dependencies in a separate process."""
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
        return failed_import(f"its import did not end within {IMPORT_TIMEOUT_S} s")
    if done.returncode:
        return failed_import("\n".join(done.stderr.strip().splitlines()[-4:]) or "no output")
    try:
        found = json.loads(done.stdout.strip().splitlines()[-1])
        migrations = {int(key): str(text) for key, text in found.items()}
    except (ValueError, IndexError, AttributeError):
        return failed_import("its import did not report its migrations")
    return {"import_error": "", "migrations": migrations}


def failed_import(error: str) -> dict[str, Any]:
    """The facts of code that cannot be imported."""
    return {"import_error": error, "migrations": {}}


def env_keys(code: str) -> set[str]:
    """Names of the environment variables that the code reads."""
    trees = map(syntax, Path(code, "jobrunner").rglob("*.py"))
    return {key for tree in trees for node in ast.walk(tree) if (key := env_key(node))}


def syntax(path: Path) -> ast.Module:
    """A file's syntax tree; empty for a file with an error, which the import will report."""
    try:
        return ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return ast.Module(body=[], type_ignores=[])


def env_key(node: ast.AST) -> str:
    """The variable that a syntax node reads: os.environ["A"], .get("A"), getenv("A")."""
    match node:
        case ast.Subscript(value=value, slice=ast.Constant(key), ctx=ast.Load()):
            if ast.unparse(value) == "os.environ":
                return str(key)
        case ast.Call(func=function, args=[ast.Constant(key), *_]):
            if ast.unparse(function) in ("os.environ.get", "os.getenv"):
                return str(key)
    return ""
