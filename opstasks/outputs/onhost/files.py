"""Runs on the host, as the service account: the files of one workspace."""

import itertools
import time

from opstasks.onhost.protocol import Answer, HostFailure, HostRefusal, Request
from opstasks.outputs.onhost.folders import open_folder, opened
from opstasks.outputs.onhost.walk import (
    KEPT,
    Unreadable,
    open_workspaces,
    reason,
    walk,
    workspace_names,
)

LIMIT = 20_000


def main(request: Request) -> Answer:
    """Every file of the `workspace` below `root`, by path, and what is `unreadable`.

    If there is no such workspace, `workspaces` are the names of those that exist.
    """
    workspace = request["workspace"]
    unreadable: list[Unreadable] = []
    with opened(open_workspaces(request["root"])) as top:
        try:
            fd = open_folder(workspace, top)
        except FileNotFoundError:
            return {"files": [], "now_at": time.time(), "workspaces": workspace_names(top)}
        except (HostFailure, OSError) as error:
            return {"files": [], "now_at": time.time(), "error": reason(error)}
        with opened(fd) as folder:
            files = list(itertools.islice(walk(folder, unreadable), LIMIT + 1))
    if len(files) > LIMIT:
        raise HostRefusal(f"{workspace} has more than {LIMIT} files")
    return {
        "files": sorted(files, key=lambda file: str(file["path"])),
        "now_at": time.time(),
        "unreadable": unreadable[:KEPT],
    }
