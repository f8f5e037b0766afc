"""The rules of the layout (docs/architecture.md): what may import what, and what runs on a host."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "opstasks"
# The folders below the features. `cli` gives tasks their context; no folder here knows a feature.
BELOW = ("onhost", "core", "fleet", "primitives", "output", "cli")
# What each of these folders may use of the others, and nothing else of ours.
MAY_USE = {
    "onhost": set(),
    "core": {"onhost"},
    "fleet": {"core", "onhost"},
    "primitives": {"core", "fleet", "onhost"},
    "output": {"core", "fleet", "onhost"},
    "cli": {"core", "fleet", "onhost", "output"},
}
# What assembles the whole; nothing imports these.
TOP = ("opstasks.namespace", "opstasks.__main__")


def module_name(path):
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return name.removesuffix(".__init__")


MODULES = {
    module_name(path): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if "files" not in path.relative_to(PACKAGE).parts
}
ON_HOST = sorted(name for name in MODULES if "onhost" in name.split(".")[1:-1])


def folder(module):
    parts = module.split(".")
    if module == "opstasks":
        return ""
    return parts[1] if len(parts) > 2 or MODULES[module].name == "__init__.py" else ""


def imports(module):
    """Every module of ours that a module imports, at any place in it."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in MODULES}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "opstasks":
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.add(full if full in MODULES else node.module)
    return found - {module}


GRAPH = {module: imports(module) for module in MODULES}


def cycles(graph):
    """Groups of nodes that reach each other (Tarjan's algorithm)."""
    index, low, stack, found = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in graph.get(node, ()):
            if other not in index:
                visit(other)
            if other in stack:
                low[node] = min(low[node], low[other])
        if low[node] == index[node]:
            at = stack.index(node)
            group = stack[at:]
            del stack[at:]
            if len(group) > 1:
                found.append(sorted(group))

    for node in graph:
        if node not in index:
            visit(node)
    return found


def test_a_cycle_is_found():
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]


def test_no_modules_import_each_other_in_a_circle():
    assert cycles(GRAPH) == []


def test_no_folders_import_each_other_in_a_circle():
    graph = {}
    for module, used in GRAPH.items():
        graph.setdefault(folder(module), set()).update(map(folder, used))
    graph = {name: used - {name, ""} for name, used in graph.items()}
    assert cycles(graph) == []


@pytest.mark.parametrize("module", MODULES)
def test_the_folders_below_use_no_feature(module):
    mine = folder(module)
    if mine in BELOW:
        used = {folder(other) for other in GRAPH[module]} - {mine, ""}
        assert used <= MAY_USE[mine]


@pytest.mark.parametrize("module", MODULES)
def test_a_feature_uses_no_tasks_and_no_host_code_of_another(module):
    if module in TOP:
        return
    for other in GRAPH[module]:
        if folder(other) != folder(module) and folder(other) not in BELOW:
            words = other.split(".")[2:]
            assert "onhost" not in words, f"{module} uses {other}"
            assert not other.endswith("tasks"), f"{module} uses {other}"
        assert other not in TOP


@pytest.mark.parametrize("module", ON_HOST)
def test_host_code_uses_the_standard_library_and_host_code_only(module):
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports do not work on a host"
            names = [node.module]
        for name in names:
            ours = name.startswith("opstasks.") and "onhost" in name.split(".")
            assert ours or name.split(".")[0] in sys.stdlib_module_names, name


@pytest.mark.parametrize("module", ON_HOST)
def test_host_code_uses_only_its_own_folder_and_the_shared_one(module):
    mine = module.rpartition(".")[0]
    for other in GRAPH[module]:
        assert other.rpartition(".")[0] in (mine, "opstasks.onhost"), other


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("__init__.py")), ids=module_name)
def test_importing_a_package_runs_nothing(path):
    (only,) = ast.parse(path.read_text()).body
    assert isinstance(only, ast.Expr)
    assert isinstance(only.value, ast.Constant)


def test_features_are_at_most_one_folder_deep():
    for module, path in MODULES.items():
        parts = path.relative_to(PACKAGE).parts[:-1]
        assert len(parts) <= 2, module
        assert len(parts) < 2 or parts[1] == "onhost", module


# What runs on a host prints its answer; a sandbox task tells how far it is.
PRINTING = ("output", "cli", "sandbox")


@pytest.mark.parametrize("module", sorted({*MODULES} - {*ON_HOST}))
def test_only_the_output_folder_prints(module):
    if folder(module) in PRINTING:
        return
    tree = ast.parse(MODULES[module].read_text())
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    assert not [c.lineno for c in calls if getattr(c.func, "id", "") in ("print", "input")]


@pytest.mark.parametrize("module", MODULES)
def test_no_module_uses_private_names_of_another(module):
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("opstasks"):
            assert not [a.name for a in node.names if a.name.startswith("_")], node.lineno
        if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
            dunder = node.attr.startswith("__")
            own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls", "os", "sys")
            assert dunder or own, f"{module}:{node.lineno} {ast.unparse(node)}"


HEAVY = {
    "paramiko",
    "fabric",
    "msgspec",
    "tabulate",
    "rich",
    "docker",
    "pytds",
    "opstasks.fleet",
}


@pytest.mark.parametrize("what", ["opstasks.namespace", "opstasks.cli.program", "opstasks.cli.app"])
def test_listing_tasks_imports_nothing_heavy(what):
    script = f"import sys; import {what}; print(' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not HEAVY & set(done.stdout.split())
