"""Runs on the host: remove old snapshots, and what was left of copies that did not end."""

import shutil
import time
from pathlib import Path

from opstasks.deploy.onhost.record import ALL, ReleaseSpec, read_all
from opstasks.deploy.onhost.releases import moment
from opstasks.onhost.database_copy import clear_partial


def prune(spec: ReleaseSpec) -> list[str]:
    """Keep the newest snapshots of releases in force, and as many others; returns removed names.

    They are counted separately: failed attempts must not displace what a rollback needs. Those of
    releases that are, or may be, unfinished are kept. Raises OSError.
    """
    folder = Path(spec["state_dir"], "snapshots")
    clear_leftovers(spec)
    known, unread = read_all(spec["state_dir"])
    needed = {spec["id"], *unread, *(id for id in known if not known[id].get("outcome"))}
    if ALL in unread:
        return []
    ages: dict[str, float] = {}
    for path in folder.glob("*.sqlite*"):
        release = path.name.split(".")[0]
        ages[release] = moment(known.get(release, {}).get("started")) or path.stat().st_mtime
    old = []
    for deployed in (True, False):
        group = [r for r in ages if (known.get(r, {}).get("outcome") == "deployed") == deployed]
        group.sort(key=lambda release: ages[release], reverse=True)
        old += [release for release in group[spec["keep_snapshots"] :] if release not in needed]
    for release in old:
        for path in folder.glob(release + ".*"):
            path.unlink()
    return old


# Folders of a restore, and of an inspection.
RESTORES, STAGINGS = ".restore-*", "staging-*"
# Others may inspect the host at the same time, without the lock; an inspection takes minutes.
STAGING_AGE_S = 3600


def clear_leftovers(spec: ReleaseSpec) -> None:
    """Remove what a process that was killed left of a copy, a record, a restore or an inspection.

    The caller has the lock, so no other release makes one now. Raises OSError.
    """
    state = Path(spec["state_dir"])
    for folder in (state / "snapshots", state / "releases"):
        clear_partial(folder)
    old_at = time.time() - STAGING_AGE_S
    folders = [path for path in state.glob(STAGINGS) if path.lstat().st_mtime < old_at]
    for path in (*folders, *Path(spec["database"]).parent.glob(RESTORES)):
        shutil.rmtree(path, ignore_errors=True)
