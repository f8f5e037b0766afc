"""Our own scripts on a host: standard library only, request in, JSON out.

The request travels with the script on standard input, so its size has no limit and it stands
in nobody's process list.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from functools import cache
from importlib import resources
from typing import Any

from opstasks.core.command import Command, python

# How one of our scripts imports from another one; on the host that one simply stands above it.
_OURS = re.compile(r"^from (opstasks\.[\w.]+) import (?:\([^)]*\)|[^(\n]*)\n", re.MULTILINE)


@cache
def text(script: str) -> str:
    """One of our scripts, named as a module, below all that it imports from us: one program."""
    return "\n\n".join(_OURS.sub("", source) for source in sources(script).values())


def sources(script: str) -> dict[str, str]:
    """The modules of a program and what they hold; each stands after those that it imports."""
    package, _, name = script.rpartition(".")
    source = resources.files(package).joinpath(f"{name}.py").read_text()
    found: dict[str, str] = {}
    for module in _OURS.findall(source):
        found |= sources(module)
    return {**found, script: source}


def call(script: str, request: Any, shown: str = "") -> Command:
    """Run one of our scripts: its ``main`` gets the request as JSON text.

    The host's process list shows one word of what is being done.
    """
    return python(program(script, request), *([shown] if shown else []))


def program(script: str, request: Any) -> str:
    """The whole program, packed, with what it is asked; anybody on the host may see it."""
    return packed(f"{text(script)}\n\nmain({json.dumps(request)!r})\n")


def packed(program: str) -> str:
    """The same program in a third of the bytes.

    A shell reads what it is to run byte by byte: 17 kB cost a busy host a tenth of a second.
    """
    data = base64.b64encode(zlib.compress(program.encode("utf-8", "surrogatepass"), 9)).decode()
    return f"import binascii, zlib\nexec(zlib.decompress(binascii.a2b_base64({data!r})))\n"
