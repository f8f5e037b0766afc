"""Screens as text files that a person can read: FOLDER/golden/NAME-WIDTH.txt.

`UPDATE_GOLDEN=1 pytest ...` writes them anew.
"""

import os

from opstasks.output import fit
from opstasks.output.paragraphs import folded
from opstasks.output.parts import Painted, text_of_line

WIDTHS = (60, 80, 100, 140, 200)


def check(folder, name, width, lines):
    """Compare lines, as the console folds them, with the file; each must fit into the window."""
    shown = folded(lines, width)
    assert too_wide(shown, width) == []
    text = "".join(f"{text_of_line(line).rstrip()}\n" for line in shown)
    path = folder / "golden" / f"{name}-{width}.txt"
    if os.environ.get("UPDATE_GOLDEN") == "1":
        path.write_text(text)
    assert text == path.read_text()


def too_wide(lines, width):
    """The lines that do not fit into the window; a command or a path stays in one piece."""
    texts = [text_of_line(line) for line in lines if not any(map(is_whole, line))]
    return [text for text in texts if len(fit.filled(text)) > width and " " in text.strip()]


def is_whole(part):
    return isinstance(part, Painted) and part.is_whole
