"""Runs on the host: remove old snapshots, and what was left of copies that did not end."""

import re
import shutil
import time
from collections.abc import Container, Sequence
from pathlib import Path

from opstasks.deploy.onhost import kept_edits
from opstasks.deploy.onhost.record import ReleaseSpec, order_of
from opstasks.onhost.database_copy import clear_partial
from opstasks.onhost.database_rights import SIDE_FILES
from opstasks.onhost.release_records import ALL, Record, read_all
from opstasks.onhost.run_ids import RUN_ID

_ID = re.compile(RUN_ID)
# A copy from before a release, or of the database of a failed one; sqlite's files beside it.
_FILE = re.compile(rf"(.+?)(?:\.failed(?:-[0-9]+)?)?\.sqlite(?:{'|'.join(SIDE_FILES)})")


def prune(spec: ReleaseSpec) -> list[str]:
    """Keep the newest snapshots of releases in force, and as many others; returns removed names.

    They are counted separately: failed attempts must not displace what a rollback needs. Those of
    releases that are, or may be, unfinished are kept. Raises OSError.
    """
    clear_leftovers(spec)
    known, unread = read_all(spec["state_dir"])
    if ALL in unread:
        return []
    needed = {spec["id"], *unread, *(id for id in known if not known[id].get("outcome"))}
    copies = _copies(Path(spec["state_dir"], "snapshots"), {*known, *unread})
    ages = {id: _age(known.get(id, {}), files) for id, files in copies.items()}
    old = []
    for deployed in (True, False):
        group = [id for id in ages if (known.get(id, {}).get("outcome") == "deployed") == deployed]
        group.sort(key=lambda id: (ages[id], id), reverse=True)
        old += [id for id in group[spec["keep_snapshots"] :] if id not in needed]
    for path in [path for id in old for path in copies[id]]:
        path.unlink(missing_ok=True)
    return old


def _copies(folder: Path, known: Container[str]) -> dict[str, list[Path]]:
    """The files of each release; those with other names are a person's."""
    found: dict[str, list[Path]] = {}
    for path in folder.glob("*.sqlite*"):
        file = _FILE.fullmatch(path.name)
        if file and (file[1] in known or _ID.fullmatch(file[1])):
            found.setdefault(file[1], []).append(path)
    return found


def _age(record: Record, files: Sequence[Path]) -> tuple[bool, float]:
    """When a release began, for sorting, by the host's clock.

    Its record tells. Without one, its files do; those from the future count as old: the clock was
    set back since then.
    """
    if at := order_of(record):
        return True, at
    at = max(path.lstat().st_mtime for path in files)
    return at <= time.time(), at


# Folders of a restore, and of an inspection, as Python names them.
RESTORES, STAGINGS = ".restore-????????", "staging-????????"
# Others may inspect the host at the same time, without the lock; an inspection takes minutes.
STAGING_AGE_S = 3600


def clear_leftovers(spec: ReleaseSpec) -> None:
    """Remove what a killed process left of a copy, a record, a patch, a restore, an inspection.

    The caller has the lock, so no other release makes one now. Raises OSError.
    """
    state = Path(spec["state_dir"])
    for folder in (state / "snapshots", state / "releases"):
        clear_partial(folder)
    kept_edits.clear_partial(spec)
    old_at = time.time() - STAGING_AGE_S
    folders = [path for path in state.glob(STAGINGS) if path.lstat().st_mtime < old_at]
    for path in (*folders, *Path(spec["database"]).parent.glob(RESTORES)):
        shutil.rmtree(path, ignore_errors=True)
