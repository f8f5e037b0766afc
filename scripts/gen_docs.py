"""Write docs/reference.md from the tasks; `--check` only says whether it is up to date."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from opstasks.cli.old_names import OLD_NAMES
from opstasks.cli.options import CORE_FLAGS
from opstasks.namespace import namespace

TARGET = Path(__file__).resolve().parents[1] / "docs" / "reference.md"
HEAD = """# Every command

Made from the code by `make docs`. `inv --help TASK` shows the same in the terminal.

## Flags that stand anywhere on the line

"""


def page() -> str:
    """The whole page."""
    flags = [(list(flag["names"]), flag["help"]) for flag in CORE_FLAGS]
    return HEAD + table(flags) + "".join(part for name in names() for part in section(name))


def names() -> list[str]:
    """Every task once, under the name that people type."""
    return sorted(namespace.task_names)


def section(name: str) -> Iterator[str]:
    """One task: what it does, an example, its flags."""
    (context,) = (c for c in contexts() if c.name == name)
    text, _, example = (inspect.getdoc(namespace[name]) or "").partition("Example: ")
    old = [was for was, now in OLD_NAMES.items() if now in (name, *context.aliases)]
    aliases = [f"`{alias}`" for alias in sorted([*map(str, context.aliases), *old])]
    yield f"\n## {name}\n\n"
    if aliases:
        yield f"Also {', '.join(aliases)}.\n\n"
    yield f"{text.strip()}\n\n    {example.strip()}\n"
    flags = [(list(arg.names), arg.help or "") for arg in context.args.values()]
    if flags:
        yield "\n" + table(sorted({tuple(f): (f, h) for f, h in flags}.values()))


def contexts() -> list[Any]:
    """The tasks as the parser sees them; asked for once, as Invoke hands help out only once."""
    if not _contexts:
        _contexts.extend(namespace.to_contexts())
    return _contexts


_contexts: list[Any] = []


def table(flags: list[tuple[list[str], str]]) -> str:
    """Flags and what they mean."""
    rows = "".join(f"| {spelled(found)} | {text} |\n" for found, text in flags)
    return f"| flag | meaning |\n| --- | --- |\n{rows}"


def spelled(found: list[str]) -> str:
    """``-H``, ``--hosts``, as they are typed."""
    typed = (("-" if len(name) == 1 else "--") + name.replace("_", "-") for name in found)
    return ", ".join(f"`{name}`" for name in sorted(typed))


def main() -> int:
    """Write the page, or compare."""
    if "--check" not in sys.argv:
        TARGET.write_text(page())
        return 0
    if TARGET.exists() and TARGET.read_text() == page():
        return 0
    print("docs/reference.md is not what the code says: make docs", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
