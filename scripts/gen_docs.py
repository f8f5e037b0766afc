"""Write docs/reference.md and the generated parts of other pages from the code.

``--check`` only checks whether they are up to date.
"""

from __future__ import annotations

import inspect
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from opstasks.cli import help
from opstasks.cli import json_values as json_types
from opstasks.cli.catalogue import Catalogue
from opstasks.cli.program import CommandLine
from opstasks.namespace import namespace
from scripts import json_shape, layout

DOCS = Path(__file__).resolve().parents[1] / "docs"
CATALOGUE = Catalogue(namespace)
HEAD = """# Every command

Made from the code by `make docs`. `inv --help TASK` shows the same in the terminal.

## Flags that can be anywhere on the line

"""


# -- docs/reference.md -------------------------------------------------------------------------


def reference(old: str) -> str:
    """The whole page."""
    core = help.core_rows(CommandLine(name="inv").core_args())
    return HEAD + table(core) + "".join(part for name in names() for part in section(name))


def names() -> list[str]:
    """Every task once, under the name that people type."""
    return sorted(CATALOGUE.changes)


def section(name: str) -> Iterator[str]:
    """One task: how it is typed, what it does, an example, its arguments and flags."""
    found = help.task_help(CATALOGUE.names_of(name), CATALOGUE.context(name), CATALOGUE.task(name))
    yield f"\n## {name}\n\n    inv {found.usage}\n\n"
    if found.names:
        yield f"Also {', '.join(f'`{other}`' for other in found.names)}.\n\n"
    yield "\n\n".join((found.summary, *found.details)) + "\n\n"
    yield "".join(f"    {example}\n" for example in found.examples)
    if rows := [*found.arguments, *found.flags]:
        yield "\n" + table(rows)


def table(rows: Sequence[help.HelpRow]) -> str:
    """Flags and what they mean."""
    cells = ([f"`{row.typed}`", row.text, row.default] for row in rows)
    lines = (" | ".join(cell.replace("|", "\\|") for cell in row) for row in cells)
    body = "".join(f"| {line} |\n" for line in lines)
    return f"| typed | meaning | default |\n| --- | --- | --- |\n{body}"


# -- docs/architecture.md ----------------------------------------------------------------------


def architecture(old: str) -> str:
    """The page with new generated parts; the rest is written by hand."""
    return with_parts(old, {"diagram": diagram(), "commands": other_folders()})


def with_parts(old: str, parts: dict[str, str]) -> str:
    """A page with new generated parts, by name."""
    for name, text in parts.items():
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
    for name in names():
        place = layout.folder(inspect.unwrap(CATALOGUE.task(name).body).__module__)
        if place != name.partition(".")[0]:
            found.setdefault(place, []).append(f"`{name}`")
    rows = "".join(f"| {', '.join(found[name])} | `opstasks/{name}/` |\n" for name in sorted(found))
    return f"| command | folder |\n| --- | --- |\n{rows}"


# -- docs/json.md ------------------------------------------------------------------------------


def json_page(old: str) -> str:
    """The page with the values of all tasks; the rest is written by hand."""
    found = [f"`{name}`" for name in names() if CATALOGUE.task(name).ids]
    ids = "\n".join(textwrap.wrap(f"Tasks with ids: {', '.join(found)}.", 100))
    return with_parts(old, {"values": json_values(), "ids": f"{ids}\n"})


def json_values() -> str:
    """The type of each task's values, and the fields of each type."""
    rows: list[str] = []
    kinds: dict[str, type] = {}
    for task in names():
        for flag, kind_name in json_types.VALUES.get(full_name(task), {}).items():
            found = json_types.resolved(kind_name)
            typed = f"{task} {flag}".strip()
            rows.append(f"| `{typed}` | {json_shape.text(found)} |\n")
            kinds |= {kind.__name__: kind for kind in json_shape.inside(found)}
    head = f"| task | value of each host |\n| --- | --- |\n{''.join(rows)}"
    return head + "".join(json_section(kinds[name]) for name in sorted(kinds))


def full_name(task: str) -> str:
    """The name of a task with its group: ``deploy.apply``."""
    return str(CATALOGUE.context(task).name)


def json_section(kind: type) -> str:
    """What a type means, and its fields."""
    rows = [
        f"| `{name}` | {json_shape.text(inner, name)} |\n"
        for name, inner in (json_types.fields_of(kind) or {}).items()
    ]
    table = f"| field | value |\n| --- | --- |\n{''.join(rows)}"
    return f"\n### {kind.__name__}\n\n{json_shape.meaning(kind)}\n\n{table}"


# ----------------------------------------------------------------------------------------------

PAGES = {
    DOCS / "reference.md": reference,
    DOCS / "architecture.md": architecture,
    DOCS / "json.md": json_page,
}


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
