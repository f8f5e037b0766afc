"""Our own scripts on a host: standard library only, request in, JSON out.

The request travels with the script on standard input, so its size has no limit and it stands
in nobody's process list.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
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


def call(
    package: str | None, scripts: str | Sequence[str], request: Any, shown: str = ""
) -> Command:
    """Run scripts of a package of ours: the last one's ``main`` gets the request as JSON text.

    The host's process list shows one word of what is being done.
    """
    return python(script(package, scripts, request), *([shown] if shown else []))


def script(package: str | None, scripts: str | Sequence[str], request: Any) -> str:
    """The whole program, packed, with what it is asked; anybody on the host may see it."""
    return packed(f"{text(package, scripts)}\n\nmain({json.dumps(request)!r})\n")


def packed(program: str) -> str:
    """The same program in a third of the bytes.

    A shell reads what it is to run byte by byte: 17 kB cost a busy host a tenth of a second.
    """
    data = base64.b64encode(zlib.compress(program.encode("utf-8", "surrogatepass"), 9)).decode()
    return f"import binascii, zlib\nexec(zlib.decompress(binascii.a2b_base64({data!r})))\n"
