"""What to do next when a release did not go as planned: pure."""

from __future__ import annotations

from opstasks.core.errors import Refused
from opstasks.core.hints import one_word
from opstasks.deploy.release import closed_hint
from opstasks.fleet.inventory import HostSpec
from opstasks.primitives import systemd


def logs(spec: HostSpec) -> str:
    """The command that shows why a service fell."""
    return f"inv -H {spec.name} logs --since 5m"


def refused(spec: HostSpec, no: Refused, task: str) -> str:
    """After a step that a host refused: what helps with the unit, or else a task."""
    return no.hint or systemd.hint_for(spec.unit, no.message, f"inv -H {spec.name} {task}")


def unclosed(spec: HostSpec, cause: str) -> str:
    """After a release whose record cannot be written; `cause` is the host's word for it."""
    folder = str(spec.state_dir)
    state = one_word(folder)
    first = {
        "full": "free some space there",
        "read-only": "find out why the disk is read-only (dmesg)",
        "no folder": f"look at what is in {state} instead of a folder, and move it away (mv)",
        "closed": closed_hint(folder, spec.service_user, folder, ""),
    }.get(cause, f"find out why {state} cannot be written (ls -l)")
    return f"{first}; then: inv -H {spec.name} deploy --unfinished finish"


def not_back(spec: HostSpec, snapshot: str) -> str:
    """After a failure to go back; `snapshot` is the copy of the database, "" if there is none."""
    before = "; the database from before the release is "
    copy = f"{before}{one_word(snapshot)}" if snapshot else ""
    return f"fix that, then run `inv -H {spec.name} deploy --unfinished back`{copy}"
