"""Runs on the host: the environment variables that job-runner's code reads."""

import ast
from pathlib import Path

# More than any file or release of job-runner has.
MAX_BYTES, MOST_FILES = 1 << 20, 2000


def env_keys(code: str) -> set[str]:
    """Names of the environment variables that the code reads."""
    trees = map(syntax, sorted(Path(code, "jobrunner").rglob("*.py"))[:MOST_FILES])
    return {key for tree in trees for key in keys_in(tree)}


def keys_in(tree: ast.Module) -> set[str]:
    """The variables that a syntax tree reads; none for one that is nested too deeply."""
    try:
        return {key for node in ast.walk(tree) if (key := env_key(node))}
    except RecursionError:
        return set()


def syntax(path: Path) -> ast.Module:
    """A file's syntax tree; empty for a file with an error, which the import will report.

    The code may be hostile: a link may lead to a secret or to a device that never ends.
    """
    try:
        if not path.is_symlink() and path.is_file():
            with path.open("rb") as file:
                return ast.parse(file.read(MAX_BYTES))
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        pass
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
