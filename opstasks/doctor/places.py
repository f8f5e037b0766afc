"""Findings about the paths and folders that the tasks need."""

from __future__ import annotations

from collections.abc import Iterator

from opstasks.core.hints import one_word
from opstasks.deploy.release import closed_hint
from opstasks.doctor.facts import DoctorFacts, DoctorPath, folders, paths
from opstasks.doctor.finding import DoctorFinding
from opstasks.fleet.inventory import HostSpec


def path_findings(spec: HostSpec, facts: DoctorFacts) -> Iterator[DoctorFinding]:
    """Whether each path is there, and the service account may read and write it as tasks do."""
    for path, written, hint in paths(spec):
        info = facts.paths.get(path)
        if info is None:
            yield DoctorFinding(path, False, "not there", hint)
        elif not (info.readable and (info.writable or not written)):
            what = "write to it" if info.readable else "read it"
            text = f"{spec.service_user} {'cannot' if info.why else 'may not'} {what}"
            text += f": {info.why}" if info.why else ""
            yield DoctorFinding(path, False, text, closed_path_hint(spec, path, info))
        else:
            yield DoctorFinding(path, True, "there")


def closed_path_hint(spec: HostSpec, path: str, info: DoctorPath) -> str:
    """What to do about a path that is there, or may be.

    `manage` gives back what it describes, and changes nothing above it. It only clones checkouts,
    and changes nothing in them.
    """
    if info.why and not info.closed_at:
        return f"look at it: ls -ld {one_word(path)}"
    checkout = next((p for p in (spec.code_dir, spec.lib_dir) if path.startswith(f"{p}/")), "")
    is_above = bool(info.closed_at) and not f"{info.closed_at}/".startswith(f"{checkout}/")
    if checkout and not is_above:
        return closed_hint(checkout, spec.service_user, checkout, "")
    described = (spec.home, spec.high_privacy, spec.medium_privacy, spec.lock_dir)
    place = f"{info.closed_at}/"
    if info.closed_at and not any(place.startswith(f"{folder}/") for folder in described):
        return f"as root: chmod a+x {one_word(info.closed_at)}"
    return f"inv -H {spec.name} manage"


def folder_findings(spec: HostSpec, facts: DoctorFacts) -> Iterator[DoctorFinding]:
    """Folders that somebody else made; tasks make those that are missing."""
    for name in folders(spec):
        why = facts.closed.get(name)
        if why:
            hint = closed_hint(name, spec.service_user, name, why)
            text = f"{spec.service_user} may not write to it: {why}"
            yield DoctorFinding(name, False, text, hint)
