"""Runs on the host, as the service account: facts of files, here and at the sync's source."""

import os
import time
from pathlib import Path
from typing import Any

from opstasks.onhost.mounts import mount_of, mounted
from opstasks.onhost.protocol import Answer, HostFailure, Request
from opstasks.outputs.onhost.facts import facts_at


def main(request: Request) -> Answer:
    """The facts of each of the `files` of a workspace, below `root` and below `source`."""
    workspace, source = request["workspace"], request["source"]
    return {
        "files": [
            {
                "path": path,
                "here": found_at(request["root"], workspace, path),
                "source": found_at(source, workspace, path) if source else {},
            }
            for path in request["files"]
        ],
        "source_away": is_away(source),
        "now_at": time.time(),
    }


def found_at(root: str, workspace: str, path: str) -> dict[str, Any]:
    """The facts of a file; empty if it is absent, or a reason under `error`."""
    try:
        facts = facts_at(root, workspace, path)
    except (HostFailure, OSError) as error:
        return {"error": str(error)}
    return {} if facts is None else {"facts": facts}


def is_away(source: str) -> bool:
    """Whether the sync's source is not mounted; the mount point is a folder even then."""
    if not source:
        return False
    return not Path(source).is_dir() or mount_of(os.path.realpath(source), mounted()) == "/"
