"""Tables that fit into a window of any width.

Where a table is too wide, texts become narrower first, then the least important columns are left
out (one dim line names them), and at last each row becomes a short block. An id, a path or a name
is never broken, and nothing is cut without `…`. In a pipe, each row is one whole line.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from opstasks.core.lines import clipped
from opstasks.output import fit
from opstasks.output.escape import printable
from opstasks.output.parts import Line, Painted, Part, dim, text_of

# The longest path of Linux. Each row is as wide as the widest cell of each column, so one long text
# of a host would make all rows long.
MOST_CELL = 4096
GAP = "  "


@dataclass(frozen=True)
class Column:
    """A column of a table.

    `rank` 0 is always shown; of the others, the one with the highest rank is left out first. A
    value is kept `whole`; or, where space is short, a text is cut ("clip") or continued on the
    next line ("wrap"), but never narrower than `least`.
    """

    title: str
    rank: int = 0
    long: Literal["whole", "clip", "wrap"] = "whole"
    is_right: bool = False
    least: int = 16


@dataclass(frozen=True)
class Layout:
    """Which columns are shown, by index, and how wide each is."""

    shown: tuple[int, ...]
    widths: tuple[int, ...]


@dataclass(frozen=True)
class Table:
    """The lines of a table; `layout` is None where each row became a block.

    `hidden` are the titles of the columns that were left out.
    """

    lines: list[Line]
    layout: Layout | None
    hidden: tuple[str, ...] = ()

    def with_hint(self) -> list[Line]:
        """The lines, and the one that names the hidden columns."""
        return [*self.lines, *hidden_lines(self.hidden)]


def hidden_lines(titles: Sequence[str]) -> list[Line]:
    """The line that names hidden columns, if there are any."""
    return [[dim(f"not shown: {', '.join(titles).lower()} (--wide)")]] if titles else []


@dataclass(frozen=True)
class _Cell:
    """One value as a line of text, where a wide character is followed by a FILLER."""

    text: str
    colour: str = ""

    @classmethod
    def of(cls, value: object) -> _Cell:
        colour = value.colour if isinstance(value, Painted) else ""
        text = text_of(value) if isinstance(value, str | Painted) else cell_text(value)
        return cls(fit.filled(clipped(printable(text), MOST_CELL)).strip(), colour)

    def part(self, text: str) -> Part:
        """Some text of the cell, in its colour."""
        return Painted(text, self.colour) if self.colour and text else text


def cell_text(value: object) -> str:
    """One table cell: nothing for None, yes and no for truth."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def draw(
    columns: Sequence[Column],
    rows: Iterable[Sequence[object]],
    width: int,
    *,
    wide: bool = False,
    before: Layout | None = None,
) -> Table:
    """A table for a window of a width; 0 for no limit. No lines without rows.

    `wide`: no column is left out and no text is cut. `before` is the layout of the rows that are
    above: columns do not become narrower, and the header is repeated only if columns change.
    """
    cells = [[_Cell.of(value) for value in row] for row in rows]
    if not cells:
        return Table([], before)
    layout = _fitted(columns, cells, width, wide=wide, before=before)
    if layout is None:
        return _blocks(columns, cells, width, wide=wide)
    hidden = _hidden(columns, cells, layout.shown)
    lines = _grid(columns, cells, layout)
    has_header = before is None or before.shown != layout.shown
    return Table(lines if has_header else lines[1:], layout, hidden)


def _hidden(
    columns: Sequence[Column], cells: Sequence[Sequence[_Cell]], shown: Sequence[int]
) -> tuple[str, ...]:
    """The titles of columns that have values and are left out."""
    return tuple(
        column.title
        for at, column in enumerate(columns)
        if at not in shown and any(row[at].text for row in cells)
    )


# -- the layout --------------------------------------------------------------------------------


def _fitted(
    columns: Sequence[Column],
    cells: Sequence[Sequence[_Cell]],
    width: int,
    *,
    wide: bool,
    before: Layout | None,
) -> Layout | None:
    """The columns that fit, and their widths; None if those that must be shown do not fit."""
    least = dict(zip(before.shown, before.widths, strict=True)) if before else {}
    natural = [
        max(len(column.title), least.get(at, 0), *(len(row[at].text) for row in cells))
        for at, column in enumerate(columns)
    ]
    shown = [at for at in range(len(columns)) if not width or not _is_empty(columns, cells, at)]
    while True:
        widths = {at: natural[at] for at in shown}
        if not width or _shrink(columns, widths, least, width, wide=wide):
            return Layout(tuple(shown), tuple(widths.values()))
        able = [] if wide else [at for at in shown if columns[at].rank]
        if not able:
            return None
        shown.remove(max(able, key=lambda at: (columns[at].rank, at)))


def _is_empty(columns: Sequence[Column], cells: Sequence[Sequence[_Cell]], at: int) -> bool:
    """Whether a column that may be left out has nothing in it."""
    return columns[at].rank > 0 and not any(row[at].text for row in cells)


def _shrink(
    columns: Sequence[Column],
    widths: dict[int, int],
    least: dict[int, int],
    width: int,
    *,
    wide: bool,
) -> bool:
    """Make the widest texts narrower until everything fits; whether it does."""
    spare = sum(widths.values()) + len(GAP) * (len(widths) - 1) - width
    ways = ("wrap",) if wide else ("wrap", "clip")
    floors = {
        at: max(columns[at].least, len(columns[at].title), least.get(at, 0))
        for at in widths
        if columns[at].long in ways
    }
    while spare > 0:
        able = [at for at, floor in floors.items() if widths[at] > floor]
        if not able:
            return False
        widths[max(able, key=widths.__getitem__)] -= 1
        spare -= 1
    return True


# -- a grid ------------------------------------------------------------------------------------


def _grid(
    columns: Sequence[Column], cells: Sequence[Sequence[_Cell]], layout: Layout
) -> list[Line]:
    """The header and the rows, as lines."""
    shown = list(zip(layout.shown, layout.widths, strict=True))
    heads = [columns[at].title.ljust(0 if columns[at].is_right else 1) for at, _ in shown]
    rows: list[list[str]] = [heads]
    owners: list[Sequence[_Cell] | None] = [None]
    for row in cells:
        parts = [_lines_of(row[at].text, columns[at], width) for at, width in shown]
        for number in range(max(map(len, parts))):
            rows.append([texts[number] if number < len(texts) else "" for texts in parts])
            owners.append(row)
    aligned = _aligned(rows, [columns[at].is_right for at, _ in shown], layout.widths)
    return [
        _coloured(line, owner, layout) if owner else [Painted(_bare(line), "bold")]
        for line, owner in zip(aligned, owners, strict=True)
    ]


def _aligned(rows: list[list[str]], is_right: list[bool], widths: Sequence[int]) -> list[str]:
    """The lines of a table without rules, each column as wide as given."""
    import tabulate

    # Every cell has its width already: FILLER counts the columns of wide characters.
    tabulate.WIDE_CHARS_MODE = False
    # The header is a row: tabulate would make each column 2 wider than its header.
    rows = [*rows, ["-" * width for width in widths]]
    text = tabulate.tabulate(
        rows,
        tablefmt="plain",
        # Ids may look like numbers (5e12, 007): they are shown unchanged.
        disable_numparse=True,
        colalign=["right" if right else "left" for right in is_right],
    )
    return text.split("\n")[:-1]


def _lines_of(text: str, column: Column, width: int) -> list[str]:
    """A cell's text in lines of at most a width."""
    if len(text) <= width:
        return [text]
    if column.long == "clip":
        return [fit.shortened(text, width)]
    return fit.wrapped(text, width)


def _coloured(line: str, row: Sequence[_Cell], layout: Layout) -> Line:
    """A line of the table with the colours of its cells."""
    parts: list[Part] = []
    start = 0
    for at, width in zip(layout.shown, layout.widths, strict=True):
        end = start + width
        piece = line[start:end]
        text = piece.strip()
        left = piece[: len(piece) - len(piece.lstrip())] if text else piece
        parts += [left, row[at].part(_bare(text)), piece[len(left) + len(text) :]]
        parts.append(line[end : end + len(GAP)])
        start = end + len(GAP)
    return _joined(parts)


def _joined(parts: Sequence[Part]) -> Line:
    """Parts without empty ones, and plain texts side by side as one."""
    found: list[Part] = []
    for part in parts:
        if isinstance(part, str) and found and isinstance(found[-1], str):
            found[-1] += part
        elif part:
            found.append(part)
    return [_bare(part) if isinstance(part, str) else part for part in found]


def _bare(text: str) -> str:
    return text.replace(fit.FILLER, "")


# -- blocks ------------------------------------------------------------------------------------


def _blocks(
    columns: Sequence[Column], cells: Sequence[Sequence[_Cell]], width: int, *, wide: bool
) -> Table:
    """Each row as a few lines: the first value, and below it the others with their titles."""
    shown = [at for at, column in enumerate(columns) if wide or not column.rank]
    title_width = max((len(columns[at].title) for at in shown[1:]), default=0)
    lines: list[Line] = []
    for row in cells:
        first = row[shown[0]]
        lines.append([first.part(_bare(fit.shortened(first.text, width)))])
        for at in shown[1:]:
            lines += _field(columns[at], row[at], title_width, width)
    return Table(lines, None, _hidden(columns, cells, shown))


def _field(column: Column, cell: _Cell, title_width: int, width: int) -> list[Line]:
    """A title and its value; nothing without a value.

    A value that does not fit beside its title stands below it, because a broken id is useless.
    """
    if not cell.text:
        return []
    title = f"  {column.title.ljust(title_width)}  "
    room = width - len(title)
    if column.long != "whole" and room >= column.least:
        texts = fit.wrapped(cell.text, room)
        starts: list[Part] = [dim(title), *[" " * len(title)] * (len(texts) - 1)]
        return [[s, cell.part(_bare(t))] for s, t in zip(starts, texts, strict=True)]
    if len(cell.text) <= room:
        return [[dim(title), cell.part(_bare(cell.text))]]
    below = fit.shortened(cell.text, width - 4)
    return [[dim(title.rstrip())], ["    ", cell.part(_bare(below))]]
