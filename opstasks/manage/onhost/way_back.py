"""Runs on the host as root: keeps the old login files, and restores them.

One folder has everything: ``manifest.json`` (the old files, and which units to reload), and
``putback.py``, which a systemd timer runs. The timer runs even when the client or its network is
gone.
"""

import base64
import contextlib
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from opstasks.manage.onhost.file_actions import reload
from opstasks.manage.onhost.running import run
from opstasks.onhost.backups import keep_replaced
from opstasks.onhost.commands import attempt
from opstasks.onhost.protocol import HostFailure, error_text
from opstasks.onhost.safe_files import look, parent_of, put, put_link, read

Kept = dict[str, Any]
TIMER = "opstasks-access-putback"
SYSTEMCTL_TIMEOUT_S = 60.0


def keep(path: str, kept_in: str) -> Kept:
    """The state of a file: content and rights, or the target of a link; else no content.

    `kept_in` is the folder for what a restoration replaces.
    """
    info, kept = look(path), {"path": path, "kept_in": kept_in, "content": None}
    if info is not None and stat.S_ISLNK(info.st_mode):
        with parent_of(path) as (folder, name):
            return {**kept, "link": os.readlink(name, dir_fd=folder)}
    if info is None or not stat.S_ISREG(info.st_mode):
        return kept
    return {
        **kept,
        "content": base64.b64encode(read(path)).decode(),
        "owner": str(info.st_uid),
        "group": str(info.st_gid),
        "mode": f"{stat.S_IMODE(info.st_mode):04o}",
    }


def restore(kept: Kept) -> None:
    """Restore a file; what is there now is kept if possible: a person may have edited it."""
    if kept.get("kept_in"):  # an earlier version of opstasks did not name the folder
        with contextlib.suppress(OSError, HostFailure):
            keep_replaced(kept["path"], kept["kept_in"])
    if kept["content"] is not None:
        data = base64.b64decode(kept["content"])
        put(kept["path"], data, kept["owner"], kept["group"], kept["mode"])
        return
    if kept.get("link"):
        put_link(kept["path"], kept["link"])
        return
    # A folder in place of a file was refused before: it still exists, and stays.
    gone = contextlib.suppress(FileNotFoundError, IsADirectoryError)
    with gone, parent_of(kept["path"]) as (folder, name):
        os.unlink(name, dir_fd=folder)


def write_manifest(place: str, kept: Kept) -> None:
    """Keep the old files, and which units to reload after they are restored."""
    put(str(Path(place, "manifest.json")), json.dumps(kept).encode(), "0", "0", "0600")


def claim(place: str) -> Kept | None:
    """Claim the kept files, so that only one process restores them; None if nothing is kept."""
    claimed = Path(place, "claimed.json")
    with contextlib.suppress(FileNotFoundError):
        Path(place, "manifest.json").rename(claimed)
    try:
        kept: Kept = json.loads(claimed.read_text())
    except FileNotFoundError:
        return None
    return kept


def restore_all(place: str) -> bool:
    """Restore all kept files; returns whether there were any.

    One that fails stops no other. Raises HostFailure with each file that was not restored and each
    unit that was not reloaded; these stay kept, for the timer and for the next run.
    """
    kept = claim(place)
    if kept is None:
        return False
    failed = [(item, why) for item in reversed(kept["files"]) if (why := why_not(restore, item))]
    problems = [f"{item['path']} was not restored: {why}" for item, why in failed]
    units = [(unit, why) for unit in kept["reload"] if (why := why_not(reload, unit))]
    problems += [f"{unit} was not reloaded: {why}" for unit, why in units]
    if problems:
        with contextlib.suppress(OSError):  # a full disk: then all of them are restored again
            left = [item for item, _ in reversed(failed)]
            write_manifest(place, {"files": left, "reload": kept["reload"]})
        raise HostFailure("; ".join(problems))
    forget(place)
    return True


def why_not(step: Callable[[Any], None], about: Any) -> str:
    """Do a step; returns why it failed, or ""."""
    try:
        step(about)
    except HostFailure as error:
        return ": ".join(filter(None, [error.reason, error.detail.rpartition("\n")[2]]))
    except Exception as error:  # whatever it is: people wait to log in
        if isinstance(error, OSError):
            error.filename = None  # a temporary name; the file is named anyway
        return error_text(error)
    return ""


def forget(place: str) -> None:
    """Delete the kept files."""
    for name in ("manifest.json", "claimed.json", "putback.py"):
        Path(place, name).unlink(missing_ok=True)


def start_timer(place: str, script: str, patience_s: int) -> None:
    """Make systemd restore the files later, even if this program is gone."""
    program = Path(place, "putback.py")
    put(str(program), script.encode(), "0", "0", "0600")
    run(
        *("systemd-run", "--quiet", "--collect", f"--unit={TIMER}"),
        *(f"--on-active={patience_s}s", "--timer-property=AccuracySec=1s"),
        *("python3", "-I", str(program)),
    )


def stop_timer() -> None:
    """Stop the timer, if it runs."""
    for args in (
        ("stop", f"{TIMER}.timer"),
        ("stop", f"{TIMER}.service"),
        ("reset-failed", f"{TIMER}.*"),
    ):
        attempt("systemctl", *args, timeout_s=SYSTEMCTL_TIMEOUT_S)
