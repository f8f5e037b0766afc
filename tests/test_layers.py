"""The rules of the layout (docs/architecture.md): what may import what, and what runs on a host."""

import ast
import subprocess
import sys

import pytest

from opstasks.fleet.program import sources
from scripts.layout import (
    BELOW,
    PACKAGE,
    ROOT,
    cycles,
    folder,
    folder_graph,
    module_graph,
    module_name,
    modules,
    reduced,
)

# What each folder below the features may use of the others, and nothing else of ours.
MAY_USE = {
    "onhost": set(),
    "core": {"onhost"},
    "fleet": {"core", "onhost"},
    "primitives": {"core", "fleet", "onhost"},
    "output": {"core", "fleet", "onhost"},
    "cli": {"core", "fleet", "onhost", "output"},
}
# These assemble the program; nothing imports them.
TOP = ("opstasks.namespace", "opstasks.__main__")
MODULES = modules()
GRAPH = module_graph()
ON_HOST = sorted(name for name in MODULES if "onhost" in name.split(".")[1:-1])


def test_a_cycle_is_found():
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]


def test_an_arrow_that_others_imply_is_left_out():
    assert reduced({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == {
        "a": {"b"},
        "b": {"c"},
        "c": set(),
    }


def test_no_modules_import_each_other_in_a_cycle():
    assert cycles(GRAPH) == []


def test_no_folders_import_each_other_in_a_cycle():
    assert cycles(folder_graph(GRAPH)) == []


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


@pytest.mark.parametrize("module", ON_HOST)
def test_a_program_is_sent_with_all_that_it_imports(module):
    sent = {name.removesuffix(".py").replace("/", ".") for name in sources(module)}
    needed, waiting = set(), [module]
    while waiting:
        name = waiting.pop()
        needed.add(name)
        waiting += GRAPH[name] - needed
    assert needed <= sent


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("__init__.py")), ids=module_name)
def test_importing_a_package_runs_nothing(path):
    (only,) = ast.parse(path.read_text()).body
    assert isinstance(only, ast.Expr)
    assert isinstance(only.value, ast.Constant)


@pytest.mark.parametrize("module", MODULES)
def test_a_feature_is_at_most_one_folder_deep(module):
    parts = MODULES[module].relative_to(PACKAGE).parts[:-1]
    assert len(parts) <= 2
    assert len(parts) < 2 or parts[1] == "onhost"


MOST_LINES, MOST_TEST_LINES, MOST_FUNCTION_LINES = 400, 600, 40
FILES = sorted(
    [*MODULES.values(), *(ROOT / "scripts").glob("*.py"), *(ROOT / "bench").glob("*.py")]
)


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_files_and_functions_stay_short(path):
    text = path.read_text()
    assert len(text.splitlines()) <= MOST_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < MOST_FUNCTION_LINES, node.name


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("*.py")), ids=module_name)
def test_test_files_stay_short(path):
    assert len(path.read_text().splitlines()) <= MOST_TEST_LINES


def test_a_class_name_has_one_meaning():
    found = {}
    for module, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found.setdefault(node.name, []).append(module)
    assert {name: where for name, where in found.items() if len(where) > 1} == {}


# Host programs print their answer; sandbox tasks print their progress.
PRINTING = ("output", "cli", "sandbox")


@pytest.mark.parametrize("module", sorted({*MODULES} - {*ON_HOST}))
def test_only_the_output_folder_prints(module):
    if folder(module) in PRINTING:
        return
    tree = ast.parse(MODULES[module].read_text())
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    assert not [c.lineno for c in calls if getattr(c.func, "id", "") in ("print", "input")]


@pytest.mark.parametrize("module", ON_HOST)
def test_host_code_prints_by_the_protocol_only(module):
    if module == "opstasks.onhost.protocol":
        return
    tree = ast.parse(MODULES[module].read_text())
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    # Programs that a timer starts write to standard error, for the journal.
    answers = (call for call in calls if not any(word.arg == "file" for word in call.keywords))
    assert not [c.lineno for c in answers if getattr(c.func, "id", "") in ("print", "input")]


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
    "docker",
    "fabric",
    "msgspec",
    "opstasks.fleet",
    "paramiko",
    "pytds",
    "rich",
    "tabulate",
}


@pytest.mark.parametrize("what", ["opstasks.namespace", "opstasks.cli.program", "opstasks.cli.app"])
def test_listing_tasks_imports_nothing_heavy(what):
    script = f"import sys; import {what}; print(' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not HEAVY & set(done.stdout.split())
