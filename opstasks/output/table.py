"""Tables that fit into a window of any width.

Where a table is too wide, texts become narrower first, then the least important columns are left
out (one dim line names them), then the first column becomes titles above its rows, and at last each
row becomes a short block. An id, a path or a name
is never broken, and nothing is cut without `…`. In a pipe, each row is one whole line.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from opstasks.core.lines import clipped
from opstasks.output import fit, paragraphs
from opstasks.output.escape import printable, unlike_ours
from opstasks.output.parts import Line, Painted, Part, dim, text_of

# The rank of a column whose value is said elsewhere: it is left out first, and nothing says so.
TOLD_ELSEWHERE = 9
# The longest path of Linux. Each row is as wide as the widest cell of each column, so one long text
# of a host would make all rows long.
MOST_CELL = 4096
GAP = "  "


@dataclass(frozen=True)
class Column:
    """A column of a table.

    `rank` 0 is always shown; of the others, the one with the highest rank is left out first. A
    value is kept `whole`; or, where space is short, a text is cut ("clip") or continued on the
    next line ("wrap"), but never narrower than `least` or, for "wrap", than its longest word.
    """

    title: str
    rank: int = 0
    long: Literal["whole", "clip", "wrap"] = "whole"
    is_right: bool = False
    least: int = 16


@dataclass(frozen=True)
class Layout:
    """Which columns are shown, by index, and how wide each is; `dropped` had no room."""

    shown: tuple[int, ...]
    widths: tuple[int, ...]
    dropped: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Table:
    """The lines of a table; `layout` is None where rows became sections or blocks.

    `hidden` are the titles of the columns that were left out.
    """

    lines: list[Line]
    layout: Layout | None
    hidden: tuple[str, ...] = ()
    width: int = 0

    def with_hint(self) -> list[Line]:
        """The lines, and the one that names the hidden columns."""
        return [*self.lines, *hidden_lines(self.hidden, self.width)]


def hidden_lines(titles: Sequence[str], width: int = 0) -> list[Line]:
    """What names hidden columns, if there are any, for a window of a width (0: no limit)."""
    if not titles:
        return []
    line: list[Part] = [dim("not shown:")]
    for number, title in enumerate(titles, 1):
        end = "," if number < len(titles) else ""
        line += [" ", Painted(f"{title.lower()}{end}", "dim", is_whole=True)]
    return paragraphs.folded([[*line, dim(" (--wide)")]], width)


class _Cell(NamedTuple):
    """One value as a line of text, where a wide character is followed by a FILLER."""

    text: str
    colour: str = ""

    def saying(self, text: str) -> _Cell:
        """Another text in the same colour."""
        return _Cell(text, self.colour)

    def part(self, text: str) -> Part:
        """Some text of the cell, in its colour."""
        return Painted(fit.bare(text), self.colour) if self.colour and text else fit.bare(text)


def _cell(value: object) -> _Cell:
    colour = value.colour if isinstance(value, Painted) else ""
    text = text_of(value) if isinstance(value, str | Painted) else cell_text(value)
    # Escapes make a text longer: it is cut before and after.
    return _Cell(fit.filled(clipped(printable(text[: MOST_CELL + 1]), MOST_CELL)).strip(), colour)


def _row(values: Sequence[object], most_first: int) -> list[_Cell]:
    """The cells of a row; those up to `most_first` may be at the beginning of a line."""
    cells = [_cell(value) for value in values]
    for at in range(most_first + 1):
        cells[at] = cells[at].saying(unlike_ours(cells[at].text))
    return cells


def _most_first(columns: Sequence[Column]) -> int:
    """The last column that can become the first one when others are left out."""
    return next((at for at, column in enumerate(columns) if not column.rank), len(columns) - 1)


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
    above: the header is repeated only if columns change.
    """
    most_first = _most_first(columns)
    cells = [_row(row, most_first) for row in rows]
    if not cells:
        return Table([], before)
    layout = _Fitting(columns, cells, width, wide, before).layout()
    if layout is None:
        return _sections(columns, cells, width, wide) or _blocks(columns, cells, width, wide=wide)
    hidden = _hidden(columns, cells, layout.shown)
    lines = _grid(columns, cells, layout)
    has_header = before is None or before.shown != layout.shown
    return Table(lines if has_header else lines[1:], layout, hidden, width)


def _hidden(
    columns: Sequence[Column], cells: Sequence[Sequence[_Cell]], shown: Sequence[int]
) -> tuple[str, ...]:
    """The titles of columns that have values and are left out."""
    return tuple(
        column.title
        for at, column in enumerate(columns)
        if at not in shown and column.rank < TOLD_ELSEWHERE and any(row[at].text for row in cells)
    )


# -- the layout --------------------------------------------------------------------------------


class _Fitting:
    """Finds the columns that fit, and their widths."""

    def __init__(
        self,
        columns: Sequence[Column],
        cells: Sequence[Sequence[_Cell]],
        width: int,
        wide: bool,
        before: Layout | None,
    ) -> None:
        self._columns, self._cells, self._width, self._wide = columns, cells, width, wide
        self._before = before or Layout((), ())
        self._above = dict(zip(self._before.shown, self._before.widths, strict=True))
        self._natural = [self._natural_width(at) for at in range(len(columns))]
        self._words: dict[int, int] = {}

    def layout(self) -> Layout | None:
        """The layout; None if the columns that must be shown do not fit."""
        everything = range(len(self._columns))
        if not self._width:
            return Layout(tuple(everything), tuple(self._natural))
        shown = [at for at in everything if self._is_wanted(at)] or [0]
        dropped = set(self._before.dropped)
        while True:
            # Rows below others are as wide as those, if there is room.
            widths = self._widths(shown, self._above) or self._widths(shown, {})
            if widths:
                return Layout(tuple(shown), widths, frozenset(dropped))
            able = [] if self._wide else [at for at in shown if self._columns[at].rank]
            if not able or len(shown) == 1:
                return None
            last = max(able, key=lambda at: (self._columns[at].rank, at))
            shown.remove(last)
            dropped.add(last)

    def _is_wanted(self, at: int) -> bool:
        """Whether a column is shown if there is room: it was shown above, or has a value."""
        if not self._columns[at].rank or at in self._above:
            return True
        return at not in self._before.dropped and any(row[at].text for row in self._cells)

    def _natural_width(self, at: int) -> int:
        longest = max(len(row[at].text) for row in self._cells)
        return max(len(self._columns[at].title), self._above.get(at, 0), longest)

    def _widths(self, shown: Sequence[int], above: dict[int, int]) -> tuple[int, ...] | None:
        """The widths of columns, the longest texts cut most; None if there is no room."""
        room = self._width - len(GAP) * (len(shown) - 1)
        pairs = [(self._natural[at], self._least(at, above)) for at in shown]

        def total(most: int) -> int:
            return sum(min(natural, max(least, most)) for natural, least in pairs)

        most = bisect_right(range(max(self._natural) + 1), room, key=total) - 1
        if most < 0:
            return None
        widths = [min(natural, max(least, most)) for natural, least in pairs]
        spare = room - sum(widths)
        for number in reversed(range(len(pairs))):
            if spare and widths[number] == most < pairs[number][0]:
                widths[number] += 1
                spare -= 1
        return tuple(widths)

    def _least(self, at: int, above: dict[int, int]) -> int:
        """How narrow a column may become."""
        column = self._columns[at]
        if column.long == "whole" or (self._wide and column.long == "clip"):
            return self._natural[at]
        word = self._longest_word(at) if column.long == "wrap" else 0
        return max(column.least, len(column.title), above.get(at, 0), word)

    def _longest_word(self, at: int) -> int:
        """The width of the longest word of a column: a path is never broken."""
        if at not in self._words:
            texts = {row[at].text for row in self._cells}
            longest = max(len(word) for text in texts for word in text.split(" "))
            self._words[at] = longest + (len(fit.INDENT) if at <= _most_first(self._columns) else 0)
        return self._words[at]


# -- a grid ------------------------------------------------------------------------------------


def _grid(columns: Sequence[Column], rows: Sequence[Sequence[_Cell]], layout: Layout) -> list[Line]:
    """The header and the rows, as lines."""
    cells = [[_Cell(columns[at].title) for at in layout.shown]]
    for row in rows:
        cells += _row_lines(row, columns, layout)
    is_right = [columns[at].is_right for at in layout.shown]
    texts = [[cell.text for cell in line] for line in cells]
    header, *lines = _aligned(texts, is_right, layout.widths)
    return [
        [Painted(header.rstrip(), "bold")],
        *(
            _coloured(text, line, is_right, layout.widths)
            for text, line in zip(lines, cells[1:], strict=True)
        ),
    ]


def _row_lines(
    row: Sequence[_Cell], columns: Sequence[Column], layout: Layout
) -> Iterator[list[_Cell]]:
    """A row as the cells of each line: texts may continue on the next line."""
    found = []
    for at, width in zip(layout.shown, layout.widths, strict=True):
        cell = row[at]
        if len(cell.text) <= width:
            found.append([cell])
        elif columns[at].long == "clip":
            found.append([cell.saying(fit.shortened(cell.text, width))])
        else:
            # No line begins with words of a host.
            indent = fit.INDENT if at == layout.shown[0] else ""
            texts = fit.wrapped(cell.text, width - len(indent))
            found.append([cell.saying(indent * (n > 0) + t) for n, t in enumerate(texts)])
    for number in range(max(map(len, found))):
        yield [lines[number] if number < len(lines) else _EMPTY for lines in found]


_EMPTY = _Cell("")


def _aligned(texts: list[list[str]], is_right: Sequence[bool], widths: Sequence[int]) -> list[str]:
    """The lines of a table without rules, each column as wide as given."""
    import tabulate

    # A FILLER counts the second column of a wide character.
    tabulate.WIDE_CHARS_MODE = False
    # The header is a row, because tabulate makes each column 2 wider than its header. The last row
    # only sets the widths.
    text = tabulate.tabulate(
        [*texts, ["-" * width for width in widths]],
        tablefmt="plain",
        # Ids may look like numbers (5e12, 007): they are shown unchanged.
        disable_numparse=True,
        preserve_whitespace=True,
        colalign=["right" if right else "left" for right in is_right],
    )
    return text.split("\n")[:-1]


def _coloured(
    text: str, cells: Sequence[_Cell], is_right: Sequence[bool], widths: Sequence[int]
) -> Line:
    """A line of the table with the colours of its cells."""
    parts: list[Part] = []
    plain, start = "", 0
    for cell, right, width in zip(cells, is_right, widths, strict=True):
        end = start + width + len(GAP)
        if cell.colour and cell.text:
            begin = start + (width - len(cell.text) if right else 0)
            parts += [fit.bare(plain + text[start:begin]), cell.part(cell.text)]
            plain = text[begin + len(cell.text) : end]
        else:
            plain += text[start:end]
        start = end
    parts.append(fit.bare(plain.rstrip()))
    return [part for part in parts if part]


# -- sections ----------------------------------------------------------------------------------


def _sections(
    columns: Sequence[Column], cells: Sequence[Sequence[_Cell]], width: int, wide: bool
) -> Table | None:
    """The first value of rows as a title above a grid of the other columns, if these fit."""
    if len(columns) < 3 or columns[0].rank:
        return None
    others, indent = columns[1:], len(fit.INDENT)
    rest = [row[1:] for row in cells]
    layout = _Fitting(others, rest, width - indent, wide, None).layout()
    if layout is None or len(layout.shown) < 2:
        return None
    lines: list[Line] = []
    for _, group in itertools.groupby(cells, key=lambda row: row[0].text):
        rows = list(group)
        title = rows[0][0]
        header, *below = _grid(others, [row[1:] for row in rows], layout)
        if not lines:
            lines.append([fit.INDENT, *header])
        lines.append([title.part(fit.shortened(title.text, width)) or "-"])
        lines += ([fit.INDENT, *line] for line in below)
    return Table(lines, None, _hidden(others, rest, layout.shown), width)


# -- blocks ------------------------------------------------------------------------------------


def _blocks(
    columns: Sequence[Column], cells: Sequence[Sequence[_Cell]], width: int, *, wide: bool
) -> Table:
    """Each row as a few lines: the first value, and below it the others with their titles."""
    shown = [at for at, column in enumerate(columns) if wide or not column.rank] or [0]
    title_width = max((len(columns[at].title) for at in shown[1:]), default=0)
    is_whole = [wide and column.long == "clip" for column in columns]
    lines: list[Line] = []
    for row in cells:
        first = row[shown[0]]
        lines.append([first.part(fit.shortened(first.text, width)) or "-"])
        for at in shown[1:]:
            column = replace(columns[at], long="wrap") if is_whole[at] else columns[at]
            lines += _field(column, row[at], title_width, width)
    return Table(lines, None, _hidden(columns, cells, shown), width)


def _field(column: Column, cell: _Cell, title_width: int, width: int) -> list[Line]:
    """A title and its value; nothing without a value.

    A value that does not fit beside its title stands below it, because a broken id is useless.
    """
    if not cell.text:
        return []
    title = f"  {column.title.ljust(title_width)}  "
    room = width - len(title)
    if len(cell.text) <= room:
        return [[dim(title), cell.part(cell.text)]]
    longest_word = max(map(len, cell.text.split(" ")))
    if column.long != "whole" and room >= column.least and longest_word <= room:
        texts = fit.wrapped(cell.text, room)
        starts: list[Part] = [dim(title), *[" " * len(title)] * (len(texts) - 1)]
        return [[start, cell.part(text)] for start, text in zip(starts, texts, strict=True)]
    below = _in_lines(column, cell.text, width - 4)
    title = fit.shortened(title.rstrip(), width)
    return [[dim(title)], *(["    ", cell.part(text)] for text in below)]


def _in_lines(column: Column, text: str, width: int) -> list[str]:
    """The value of a field in lines; only a long word of a text that is not cut is wider."""
    texts = [text] if column.long == "whole" else fit.wrapped(text, width)
    return texts if column.long == "wrap" else [fit.shortened(line, width) for line in texts]
