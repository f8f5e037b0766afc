"""Runs on the host, as the service account: the workspaces and their sizes."""

import time
from typing import Any

from opstasks.onhost.protocol import Answer, HostFailure, Request
from opstasks.outputs.onhost.folders import open_folder, opened
from opstasks.outputs.onhost.walk import (
    KEPT,
    Unreadable,
    open_workspaces,
    reason,
    walk,
    workspace_names,
)


def main(request: Request) -> Answer:
    """Every workspace below `root`, by name."""
    with opened(open_workspaces(request["root"])) as top:
        return {
            "workspaces": [_summary(name, top) for name in workspace_names(top)],
            "now_at": time.time(),
        }


def _summary(name: str, top: int) -> dict[str, Any]:
    """A workspace: number of files, total size, the time of the newest one, what is unreadable."""
    count, size_bytes, newest_at = 0, 0, 0.0
    unreadable: list[Unreadable] = []
    try:
        with opened(open_folder(name, top)) as folder:
            for file in walk(folder, unreadable):
                count += 1
                size_bytes += file["size_bytes"]
                newest_at = max(newest_at, file["modified_at"])
    except (HostFailure, OSError) as error:
        return {"name": name, "error": reason(error)}
    return {
        "name": name,
        "files": count,
        "size_bytes": size_bytes,
        "newest_at": newest_at,
        "unreadable": unreadable[:KEPT],
    }
