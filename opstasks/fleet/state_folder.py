"""The folder of the program's own files on this machine, and a name for each inventory."""

from __future__ import annotations

import hashlib
import os
import socket
from pathlib import Path


def state_folder() -> Path:
    """``$XDG_STATE_HOME/opstasks``, by default in ``~/.local/state``."""
    base = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(base).expanduser() / "opstasks"


def inventory_key(inventory: Path | None) -> str:
    """A file name for what belongs to one inventory; another machine or file has another one."""
    where = f"{socket.gethostname()}\0{inventory.resolve() if inventory else ''}"
    return hashlib.sha256(where.encode("utf-8", "surrogateescape")).hexdigest()[:16]
