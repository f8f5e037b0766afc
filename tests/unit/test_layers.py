"""Imports go downward only, and heavy ones wait until they are needed (design: the layers)."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# From the bottom up. A module belongs to the longest name that its own begins with.
LAYERS = (
    ("errors", "command", "result", "events", "argv", "durations", "known_hosts", ""),
    ("inventory", "session", "transport", "host", "terminal"),
    ("fleet", "lock", "audit", "change"),
    ("primitives",),
    ("jobrunner",),
    ("workflows", "manage"),
    ("output",),
    ("app", "completion"),
    ("tasks",),
    ("cli",),
)
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
MODULES = sorted((ROOT / "opstasks").rglob("*.py"))


def name_of(path):
    parts = path.relative_to(ROOT / "opstasks").with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def rank(module):
    return RANK[module.split(".")[0]]


# What runs on a host prints, too: its answer.
REMOTE = [path for path in MODULES if path.name.startswith("remote_")]
SILENT = [path for path in MODULES if rank(name_of(path)) < RANK["output"] and path not in REMOTE]


def imports(path):
    """Every module of ours that a module imports, at any place in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_go_downward_only(path):
    mine = name_of(path)
    known = {name_of(module) for module in MODULES}
    for imported in imports(path):
        other = imported.removeprefix("opstasks.")
        if imported.startswith("opstasks.") and other in known:
            assert rank(other) <= rank(mine), f"{mine} imports {other}, which lies above it"


def test_the_sandbox_uses_nothing_of_opstasks():
    for path in (ROOT / "sandbox").rglob("*.py"):
        ours = {name for name in imports(path) if name.startswith("opstasks")}
        assert ours <= {"opstasks.inventory"}, path


@pytest.mark.parametrize("path", REMOTE, ids=name_of)
def test_what_runs_on_a_host_needs_the_standard_library_only(path):
    for imported in imports(path):
        # Another of our scripts is sent along (opstasks.primitives.remote).
        if not (imported.startswith("opstasks.") and ".remote_" in imported):
            assert imported.split(".")[0] in sys.stdlib_module_names, imported


@pytest.mark.parametrize("path", SILENT, ids=name_of)
def test_only_the_output_layer_prints(path):
    calls = (n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call))
    assert not [call.lineno for call in calls if getattr(call.func, "id", "") in ("print", "input")]


def test_listing_tasks_imports_nothing_heavy():
    script = "import sys; import opstasks.tasks, opstasks.cli; print(' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    heavy = {"paramiko", "fabric", "msgspec", "tabulate", "rich", "docker", "pytds"}
    assert not heavy & set(done.stdout.split())
