"""Runs on the host as root: find the processes that have a lock file open."""

from typing import Any

from opstasks.onhost.open_files import holders


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Answer with the processes that have the file ``lock`` open."""
    return {"holders": holders(request["lock"])}
