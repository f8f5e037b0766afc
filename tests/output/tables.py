"""For tests of tables: any columns and rows, and what a terminal shows of them."""

import re
import unicodedata

from hypothesis import strategies as st

from opstasks.output.fit import INDENT
from opstasks.output.parts import COLOURS, Painted, text_of_line
from opstasks.output.table import Column

# Texts of hosts: wide characters, escape codes, and words that look like ours.
HOSTILE = [
    "\x1b[31m",
    "\x1b[2J",
    "\r\n",
    "\nerror  all jobs are lost",
    "error  tpp is lost",
    "next:  inv -H all jobs.kill",
    "now:  service down",
    "\u202e",
    "日本語",
    "漢",
]
WORDS = st.sampled_from([*HOSTILE, "a", "job-1", "study/extract", "x" * 30, "two words", ""])
TEXTS = st.lists(WORDS, max_size=6).map(" ".join)
# What may be in front of a longer word: an indent, or a label.
LABEL = re.compile(r" *(\S+(  +|: ))?")
IDS = st.text("abc漢-", max_size=30)
WINDOWS = st.integers(20, 240)


@st.composite
def columns_and_rows(draw, most_rows=6):
    """A list of columns, and rows for them."""
    count = draw(st.integers(1, 8))
    columns = [
        Column(
            f"T{number}" + "X" * draw(st.integers(0, 12)),
            rank=draw(st.integers(0, 3)),
            long=draw(st.sampled_from(["whole", "clip", "wrap"])),
            is_right=draw(st.booleans()),
        )
        for number in range(count)
    ]
    return columns, draw(rows_for(columns, most_rows))


def rows_for(columns, most_rows=6):
    """Rows of texts, numbers and colours."""

    def cell(column):
        text = IDS if column.long == "whole" else TEXTS
        painted = st.builds(Painted, text, st.sampled_from(sorted({*COLOURS} - {"bold"})))
        return text | painted | st.integers() | st.none() | st.booleans()

    return st.lists(st.tuples(*map(cell, columns)), min_size=1, max_size=most_rows)


def shown_width(text):
    """The columns of a terminal that a text takes."""
    return sum(1 + (unicodedata.east_asian_width(char) in "WF") for char in text)


def fits(line, width):
    """Whether a line fits into a window; a longer word, such as a path, stays whole."""
    *_, word = line.split(" ")
    is_path = shown_width(word) > width - len(INDENT) * 2
    return shown_width(line) <= width or (is_path and LABEL.fullmatch(line.removesuffix(word)))


def looks_like_ours(line):
    """Whether a line could be taken for an error or a hint."""
    return bool(re.match(r"(error|next:|now:)( |$)", text_of_line(line)))


def letters(text):
    """A text without what a layout may add: spaces."""
    return text.replace(" ", "")
