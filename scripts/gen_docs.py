"""Write docs/reference.md and the generated parts of docs/architecture.md from the code.

``--check`` only checks whether they are up to date.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from opstasks.cli.old_names import OLD_NAMES
from opstasks.cli.options import CORE_FLAGS
from opstasks.namespace import namespace
from scripts import layout

DOCS = Path(__file__).resolve().parents[1] / "docs"
HEAD = """# Every command

Made from the code by `make docs`. `inv --help TASK` shows the same in the terminal.

## Flags that can be anywhere on the line

"""


# -- docs/reference.md -------------------------------------------------------------------------


def reference(old: str) -> str:
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
    """The tasks as the parser sees them; cached: Invoke returns the help texts only once."""
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


# -- docs/architecture.md ----------------------------------------------------------------------


def architecture(old: str) -> str:
    """The page with new generated parts; the rest is written by hand."""
    for name, text in (("diagram", diagram()), ("commands", other_folders())):
        begin, end = f"<!-- {name}: made by make docs -->\n", f"<!-- end of {name} -->\n"
        before, _, rest = old.partition(begin)
        after = rest.partition(end)[2]
        old = f"{before}{begin}\n{text}\n{end}{after}"
    return old


def diagram() -> str:
    """The folders and what they import from; arrows that other arrows imply are left out."""
    graph = layout.reduced(layout.folder_graph(layout.module_graph()))
    lines = ["```mermaid", "graph TD"]
    features = sorted(set(graph) - set(layout.BELOW) - {"backends"})
    lines += ["  subgraph features", *(f"    {name}" for name in features), "  end"]
    lines += ["  subgraph below", *(f"    {name}" for name in reversed(layout.BELOW)), "  end"]
    lines += [f"  {name} --> {used}" for name in sorted(graph) for used in sorted(graph[name])]
    return "\n".join([*lines, "```"]) + "\n"


def other_folders() -> str:
    """The commands whose folder has another name, by folder."""
    found: dict[str, list[str]] = {}
    typed = {context.name: [context.name, *map(str, context.aliases)] for context in contexts()}
    for full_name in names():
        # `scheduled.show` is the default of its collection: people type `scheduled`.
        name = min(typed[full_name], key=len)
        place = layout.folder(inspect.unwrap(namespace[full_name].body).__module__)
        if place != name.partition(".")[0]:
            found.setdefault(place, []).append(f"`{name}`")
    rows = "".join(f"| {', '.join(found[name])} | `opstasks/{name}/` |\n" for name in sorted(found))
    return f"| command | folder |\n| --- | --- |\n{rows}"


# ----------------------------------------------------------------------------------------------

PAGES = {DOCS / "reference.md": reference, DOCS / "architecture.md": architecture}


def main() -> int:
    """Write the pages, or compare."""
    stale = []
    for path, make in PAGES.items():
        old = path.read_text() if path.exists() else ""
        new = make(old)
        if new != old and "--check" in sys.argv:
            stale.append(path.name)
        elif new != old:
            path.write_text(new)
    if stale:
        print(f"{', '.join(stale)}: out of date; run `make docs`", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
