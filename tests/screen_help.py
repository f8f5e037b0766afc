"""Screens in windows of several widths, compared with files that a person can read."""

import os
from pathlib import Path

from opstasks.output.fit import filled
from opstasks.output.parts import text_of_line

WIDTHS = (60, 80, 100, 140, 200)
# A command is never broken: these lines may be wider than the window.
COMMANDS = ("next:", "Undo:", "undo:")


def text(lines):
    """Lines without their colours, and without spaces at their ends."""
    return "".join(f"{text_of_line(line).rstrip()}\n" for line in lines)


def assert_golden(folder, name, width, lines):
    """The lines are those of the file; `UPDATE_GOLDEN=1 pytest ...` writes it anew."""
    path = Path(folder, "golden", f"{name}-{width}.txt")
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text(lines))
    assert text(lines) == path.read_text(), f"{path} differs"
    assert_fits(lines, width)


def assert_fits(lines, width):
    """No line is wider than the window, except for a command to type."""
    for line in lines:
        shown = text_of_line(line).rstrip()
        if not any(word in shown for word in COMMANDS):
            assert len(filled(shown)) <= width, shown
