"""The structure of the package, read from its imports: for docs/architecture.md and the tests."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "opstasks"
# The folders below the features, from the bottom up.
BELOW = ("onhost", "core", "fleet", "primitives", "output", "cli")
Graph = dict[str, set[str]]


def module_name(path: Path) -> str:
    """``opstasks/jobs/kill.py`` is ``opstasks.jobs.kill``."""
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return name.removesuffix(".__init__")


def modules() -> dict[str, Path]:
    """Every module of the package; not the files for hosts."""
    found = sorted(PACKAGE.rglob("*.py"))
    return {module_name(p): p for p in found if "files" not in p.relative_to(PACKAGE).parts}


def folder(module: str) -> str:
    """The folder of a module: ``jobs`` for ``opstasks.jobs.onhost.read``; "" at the top."""
    parts = module.split(".")
    is_package = (PACKAGE.parent / Path(*parts)).is_dir()
    return parts[1] if len(parts) > 2 or (len(parts) == 2 and is_package) else ""


def imports(path: Path, known: Iterable[str]) -> set[str]:
    """Every module of ours that a file imports anywhere."""
    found = set()
    known = set(known)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in known}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "opstasks":
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.add(full if full in known else str(node.module))
    return found - {module_name(path)}


def module_graph() -> Graph:
    """Each module and those that it imports."""
    known = modules()
    return {name: imports(path, known) for name, path in known.items()}


def folder_graph(graph: Mapping[str, set[str]]) -> Graph:
    """Each folder and those that it imports from."""
    found: Graph = {}
    for module, used in graph.items():
        mine = folder(module)
        found.setdefault(mine, set()).update(map(folder, used))
    return {name: used - {name, ""} for name, used in found.items() if name}


def cycles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Groups of nodes that reach each other (Tarjan's algorithm)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
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


def reduced(graph: Mapping[str, set[str]]) -> Graph:
    """The graph without arrows that other arrows imply (transitive reduction; no cycles)."""

    def reach(node: str) -> set[str]:
        below: set[str] = set()
        for other in graph.get(node, ()):
            below |= {other} | reach(other)
        return below

    return {
        node: {one for one in used if not any(one in reach(other) for other in used - {one})}
        for node, used in graph.items()
    }
