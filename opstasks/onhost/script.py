"""A program as one readable file, which a timer or the next boot starts."""

import json
from functools import cache
from typing import Any

PYTHON = "/usr/bin/python3"


def script_text(sources: dict[str, str], program: str, request: Any, about: str) -> str:
    """The text of the file: the modules in `sources`, the loader, and a call of the program.

    `about` is a line at its top, for people; it cannot become code, whoever wrote it. The order of
    keys is fixed, so the same input gives the same text.
    """
    modules = "".join(f"    {path!r}: (\n{_lines(text)}    ),\n" for path, text in sources.items())
    loader = sources["opstasks/onhost/loader.py"]
    request_text = json.dumps(request, sort_keys=True)
    return (
        # Python looks for an encoding in the first two lines, so `about` is on the third.
        f"#!{PYTHON} -I\n# -*- coding: utf-8 -*-\n# {one_line(about)}\n\n"
        f"MODULES = {{\n{modules}}}\n\n\n{loader}\n\n"
        f"start(MODULES, {program!r}, {request_text!r})\n"
    )


def one_line(text: str) -> str:
    """A text without line ends and other control characters: it cannot end a comment."""
    return "".join(char if char.isprintable() else "?" for char in text)


@cache
def _lines(text: str) -> str:
    """The text of a module as literals: the same for each host."""
    return "".join(f"        {line!r}\n" for line in text.splitlines(keepends=True))
