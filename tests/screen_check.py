"""Checks of screens: every line fits into the window, nothing is broken, and golden files.

Golden files are plain text that a person can read, `tests/FEATURE/golden/NAME.txt`.
`UPDATE_GOLDEN=1 pytest ...` writes them anew: read the difference before it is committed.
"""

import os
import re
from pathlib import Path

from opstasks.output import fit
from opstasks.output.escape import printable
from opstasks.output.paragraphs import folded
from opstasks.output.parts import Painted, text_of_line

COMMAND = re.compile(r"([A-Za-z ]+: +)?inv ")
WIDTHS = (60, 80, 100, 140, 200)


def shown(lines):
    """The lines as a terminal shows them, without colours."""
    return [printable(text_of_line(line)).rstrip() for line in lines]


def text(lines):
    """The same as one text."""
    return "".join(f"{line}\n" for line in shown(lines))


def check_fits(lines, width):
    """No line is wider than the window, except one with something to type, or one word."""
    wide = [line for line in lines if len(fit.filled(*shown([line]))) > width]
    wide = [line for line in wide if not any(map(_is_whole, line))]
    texts = [line.strip() for line in shown(wide)]
    assert [line for line in texts if " " in line and not COMMAND.match(line)] == [], width


def _is_whole(part):
    return isinstance(part, Painted) and part.is_whole


def check_whole(lines, values):
    """Each of these ids, paths or names is in one line, unbroken."""
    texts = shown(lines)
    broken = [value for value in values if not any(value in line for line in texts)]
    assert broken == [], "\n".join(texts)


def check_golden(test_file, name, lines):
    """The lines are those of a golden file beside the test."""
    path = Path(test_file).parent / "golden" / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text(lines))
    assert text(lines) == path.read_text(), path


def check_screen(test_file, name, width, lines):
    """The lines, as the console folds them, fit, and are those of the file `NAME-WIDTH.txt`."""
    lines = folded(lines, width)
    check_fits(lines, width)
    check_golden(test_file, f"{name}-{width}", lines)
