"""Our own scripts on a host: standard library only, request in, JSON out.

The request travels with the script on standard input, so its size has no limit and it stands
in nobody's process list.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from importlib import resources
from typing import Any

from opstasks.command import Command, python

# How one of our scripts names another one; on the host that one simply stands above it.
_OURS = re.compile(r"^from opstasks\.[\w.]+ import (\([^)]*\)|[^(\n]*)\n", re.MULTILINE)


def text(package: str | None, scripts: str | Sequence[str]) -> str:
    """One or several scripts of a package of ours as one; the last one's ``main`` counts."""
    names = [scripts] if isinstance(scripts, str) else scripts
    folder = resources.files(package or __package__)
    return "\n\n".join(_OURS.sub("", folder.joinpath(name).read_text()) for name in names)


def call(package: str | None, scripts: str | Sequence[str], request: Any) -> Command:
    """Run scripts of a package of ours: the last one's ``main`` gets the request as JSON text."""
    return python(f"{text(package, scripts)}\n\nmain({json.dumps(request)!r})\n")
