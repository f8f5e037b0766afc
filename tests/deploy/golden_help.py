"""Screens as text files that a person can read: FOLDER/golden/NAME-WIDTH.txt.

`UPDATE_GOLDEN=1 pytest ...` writes them anew.
"""

import os

from opstasks.output import fit
from opstasks.output.paragraph import Whole
from opstasks.output.parts import text_of_line

WIDTHS = (60, 80, 100, 140, 200)


def check(folder, name, width, lines):
    """Compare lines with the file, and require that each fits into the window."""
    assert too_wide(lines, width) == []
    texts = [text_of_line(line).rstrip() for line in lines]
    path = folder / "golden" / f"{name}-{width}.txt"
    shown = "\n".join(texts) + "\n"
    if os.environ.get("UPDATE_GOLDEN") == "1":
        path.write_text(shown)
    assert shown == path.read_text()


def too_wide(lines, width):
    """The lines that do not fit into the window; a command to paste stays in one piece."""
    texts = [
        text_of_line(line) for line in lines if not any(isinstance(part, Whole) for part in line)
    ]
    return [text for text in texts if len(fit.filled(text)) > width]
