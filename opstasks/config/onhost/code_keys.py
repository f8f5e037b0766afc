"""Runs on the host: which keys job-runner's code reads from its environment."""

import ast
import contextlib
from pathlib import Path

# In a pattern, this means letters, digits and underscores.
ANY = "*"


def keys_of_code(code_dir: str) -> dict[str, list[str]]:
    """Names that the code reads: `required` without a default, `optional`, and `patterns`."""
    found: dict[str, set[str]] = {"required": set(), "optional": set(), "patterns": set()}
    for path in sorted(Path(code_dir, "jobrunner").rglob("*.py")):
        with contextlib.suppress(OSError, SyntaxError, ValueError, RecursionError):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                for kind, name in _keys_of(node):
                    found[kind].add(name)
    return {kind: sorted(names) for kind, names in found.items()}


def _keys_of(node: ast.AST) -> list[tuple[str, str]]:
    """A key that an expression reads: ``os.environ["A"]``, ``.get("A")``, ``"A" in environ``."""
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
        return _names("required", node.slice) if _is_environ(node.value) else []
    if isinstance(node, ast.Call) and node.args:
        function = node.func
        if isinstance(function, ast.Attribute) and (
            (function.attr in ("get", "pop", "setdefault") and _is_environ(function.value))
            or function.attr == "getenv"
        ):
            return _names("optional", node.args[0])
    if isinstance(node, ast.Compare) and any(_is_environ(item) for item in node.comparators):
        return _names("optional", node.left)
    return []


def _is_environ(node: ast.AST) -> bool:
    return ast.unparse(node) in ("os.environ", "environ", "env")


def _names(kind: str, node: ast.AST) -> list[tuple[str, str]]:
    """The name; for an f-string, the pattern of its names."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [(kind, node.value)]
    if isinstance(node, ast.JoinedStr):
        parts = [str(part.value) if isinstance(part, ast.Constant) else ANY for part in node.values]
        return [("patterns", "".join(parts))]
    return []
