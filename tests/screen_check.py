"""Checks of screens: every line fits into the window, nothing is broken, and golden files.

Golden files are plain text, `tests/FEATURE/golden/NAME-WIDTH.txt`. `UPDATE_GOLDEN=1 pytest ...`
writes them anew: read the difference before it is committed.
"""

import os
import re
from pathlib import Path

from opstasks.output import fit
from opstasks.output.escape import printable
from opstasks.output.parts import text_of_line

COMMAND = re.compile(r"([A-Za-z ]+: +)?inv ")
WIDTHS = (60, 80, 100, 140, 200)


def shown(lines):
    """The lines as a terminal shows them, without colours."""
    return [printable(text_of_line(line)).rstrip() for line in lines]


def check_fits(lines, width):
    """No line is wider than the window, except one that is a command to type, or one word."""
    text = [line.strip() for line in shown(lines) if len(fit.filled(line)) > width]
    wide = [line for line in text if " " in line and not COMMAND.match(line)]
    assert wide == [], f"wider than {width}"


def check_whole(lines, values):
    """Each of these ids, paths or names is in one line, unbroken."""
    text = shown(lines)
    broken = [value for value in values if not any(value in line for line in text)]
    assert broken == [], "\n".join(text)


def check_golden(test_file, name, lines):
    """The lines are those of a golden file beside the test."""
    path = Path(test_file).parent / "golden" / f"{name}.txt"
    text = "\n".join(shown(lines)) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text()
