"""Runs on the host: the environment variables that job-runner's code reads."""

import ast
from pathlib import Path


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
