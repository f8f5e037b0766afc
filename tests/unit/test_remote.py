"""Our scripts as they reach a host: several modules above one another, one program."""

import ast
import base64
import json
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

import opstasks
from opstasks.primitives import remote

ROOT = Path(opstasks.__file__).parent


def modules():
    """Every module of ours that runs on a host."""
    paths = sorted(ROOT.rglob("remote_*.py"))
    return [".".join(path.relative_to(ROOT.parent).with_suffix("").parts) for path in paths]


def names(source):
    """What a module defines at its top."""
    found = []
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.append(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found += [n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)]
    return found


PROGRAMS = [name for name in modules() if "main" in names(remote.sources(name)[name])]


def test_there_are_programs_and_modules_that_they_share():
    assert len(PROGRAMS) > 15
    assert {*modules()} - {*PROGRAMS} >= {
        "opstasks.primitives.remote_commands",
        "opstasks.primitives.remote_json",
    }


@pytest.mark.parametrize("program", PROGRAMS)
def test_no_module_of_a_program_hides_what_another_one_defines(program):
    seen = {}
    for module, source in remote.sources(program).items():
        for name in names(source):
            # The program's own `main` comes last, and counts.
            if name != "main":
                assert seen.setdefault(name, module) == module


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_module_stands_below_those_that_it_imports_from(program):
    order = list(remote.sources(program))
    assert order[-1] == program
    for at, module in enumerate(order):
        tree = ast.parse(remote.sources(program)[module])
        ours = [n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
        assert {name for name in ours if name.startswith("opstasks")} <= set(order[:at])


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_needs_nothing_but_the_standard_library(program, tmp_path):
    text = remote.text(program)
    imported = {
        name.split(".")[0]
        for node in ast.parse(text).body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module] if isinstance(node, ast.ImportFrom) else [n.name for n in node.names]
        )
    }
    assert imported <= set(sys.stdlib_module_names)
    done = subprocess.run(
        [sys.executable, "-I", "-c", text],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


# What the standard library has only since Python 3.11; Ubuntu 22.04 has 3.10.
NEWER = {
    "asyncio": {"Barrier", "Runner", "TaskGroup", "timeout"},
    "builtins": {"BaseExceptionGroup", "ExceptionGroup"},
    "contextlib": {"chdir"},
    "datetime": {"UTC"},
    "enum": {"ReprEnum", "StrEnum", "member", "nonmember", "verify"},
    "hashlib": {"file_digest"},
    "itertools": {"batched"},
    "tomllib": {"load", "loads"},
    "typing": {"LiteralString", "Never", "Self", "assert_never", "assert_type", "override"},
}


def newer(source):
    """What a module uses that Python 3.10 does not have."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name == "tomllib"]
        elif isinstance(node, ast.ImportFrom):
            there = NEWER.get(node.module, set())
            found += [alias.name for alias in node.names if alias.name in there]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            found += [node.attr] if node.attr in NEWER.get(node.value.id, set()) else []
        elif isinstance(node, ast.Name) and node.id in NEWER["builtins"]:
            found.append(node.id)
        elif isinstance(node, ast.TryStar):
            found.append("except*")
    return found


@pytest.mark.parametrize("module", modules())
def test_a_host_with_python_3_10_will_do(module):
    assert newer(remote.sources(module)[module]) == []


@pytest.mark.parametrize(
    "source",
    [
        "from datetime import UTC",
        "import datetime\ndatetime.UTC",
        "import tomllib",
        "raise ExceptionGroup",
        "try: pass\nexcept* OSError: pass",
    ],
)
def test_what_python_3_10_lacks_is_found(source):
    assert newer(source)


def test_what_is_sent_holds_the_program_and_the_request():
    request = {"words": "quotes ' \" \\ and \udce9"}
    sent = remote.program("opstasks.workflows.reboot.remote_records", request)
    data = sent.partition("a2b_base64('")[2].partition("'")[0]
    whole = zlib.decompress(base64.b64decode(data)).decode("utf-8", "surrogatepass")
    text, _, call = whole.strip().rpartition("\n\nmain(")
    assert text.strip() == remote.text("opstasks.workflows.reboot.remote_records").strip()
    assert json.loads(ast.literal_eval(call[:-1])) == request
