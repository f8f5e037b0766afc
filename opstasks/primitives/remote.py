"""Our own scripts on a host: standard library only, request in, JSON out.

The request travels with the script on standard input, so its size has no limit and it stands
in nobody's process list.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from opstasks.command import Command, python


def call(package: str | None, script: str, request: Any) -> Command:
    """Run a script of a package of ours: its ``main`` gets the request as JSON text."""
    text = resources.files(package or __package__).joinpath(script).read_text()
    return python(f"{text}\n\nmain({json.dumps(request)!r})\n")
