"""Preparing for a reboot as the service account, on the host itself, without a password.

It has the rights for the playbook's recipe: stop the service, requeue its jobs. Everything that
needs root (a time, draining, a pause until after the boot, the reboot) is refused by sudo, with a
hint that says who may do it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from opstasks.core.errors import VerifyFailed
from opstasks.core.state import HostState
from opstasks.fleet.change import change
from opstasks.fleet.host import Host
from opstasks.fleet.program import Program
from opstasks.maintenance.onhost.prepare import REQUEUE_TIMEOUT_S
from opstasks.maintenance.onhost.site import Site
from opstasks.maintenance.site import TIMEOUT_S, call, site_for


@dataclass(frozen=True)
class OwnRequest:
    """The host, and the id of the run, which names the copy of the database."""

    site: Site
    id: str


@dataclass(frozen=True)
class OwnAnswer:
    """The jobs that wait for the reboot, and the state of the host."""

    changed: bool
    requeued: tuple[str, ...] = ()
    now: HostState = field(default_factory=HostState)


OWN = Program(
    "opstasks.maintenance.onhost.prepare_own",
    OwnRequest,
    OwnAnswer,
    timeout_s=REQUEUE_TIMEOUT_S + TIMEOUT_S,
    changes=True,
)


def is_own(host: Host, *, needs_root: bool) -> bool:
    """Whether the service account itself prepares the host, with its own rights."""
    return not needs_root and host.login_user() == host.spec.service_user


def apply(host: Host, why: str) -> OwnAnswer:
    """Stop the service and requeue its jobs; raises Refused, ProgramFailed or VerifyFailed."""
    with change(host.service, "prepare-reboot", {"why": why} if why else {}) as run_id:
        done = call(host.service, OWN, OwnRequest(site_for(host.spec), run_id))
        if done.now.prepared is not True:
            error = VerifyFailed(
                f"it was prepared, but somebody has changed that since: service {done.now.service}",
                host=host.name,
                hint=f"inv -H {host.name} history --since 1h",
            )
            error.now = done.now
            raise error
    return done
