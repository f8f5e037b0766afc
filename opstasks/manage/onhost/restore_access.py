"""Runs on the host as root: restores the login files, unless the change was confirmed.

The client asks for it when a fresh connection failed; the host's own timer runs it when the client
is silent for too long.
"""

import os
from typing import Any

from opstasks.manage.onhost import way_back


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Restore the old files; returns whether there was anything to restore."""
    os.umask(0o077)
    restored = way_back.restore_all(request["folder"])
    # The timer's own process must not stop itself.
    if not request["by_timer"]:
        way_back.stop_timer()
    return {"restored": restored}
