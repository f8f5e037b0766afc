"""Runs on the host: remove old snapshots of the database."""

from pathlib import Path

from opstasks.deploy.onhost.record import Record, ReleaseSpec, records


def prune(spec: ReleaseSpec) -> list[str]:
    """Keep the newest snapshots of releases in force, and as many others; returns removed names.

    They are counted separately: failed attempts must not displace what a rollback needs. Raises
    OSError.
    """
    folder = Path(spec["state_dir"], "snapshots")
    known = records(spec["state_dir"])
    ages: dict[str, float] = {}
    for path in folder.glob("*.sqlite*"):
        release = path.name.split(".")[0]
        ages[release] = known.get(release, {}).get("started") or path.stat().st_mtime
    old = []
    for deployed in (True, False):
        group = [r for r in ages if (known.get(r, {}).get("outcome") == "deployed") == deployed]
        group.sort(key=lambda release: ages[release], reverse=True)
        old += [r for r in group[spec["keep_snapshots"] :] if not is_needed(spec, known, r)]
    for release in old:
        for path in folder.glob(release + ".*"):
            path.unlink()
    return old


def is_needed(spec: ReleaseSpec, known: dict[str, Record], release: str) -> bool:
    """Whether a release is this one, or unfinished."""
    return release == spec["id"] or (release in known and not known[release].get("outcome"))
