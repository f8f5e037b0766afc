"""The paths and names that the host's programs need, and calling them with a hint for errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from opstasks.core.errors import ProgramFailed, Refused
from opstasks.fleet import audit
from opstasks.fleet.host import Host, Shell
from opstasks.fleet.inventory import HostSpec
from opstasks.fleet.program import Program
from opstasks.maintenance.onhost.site import Site

Q = TypeVar("Q")
A = TypeVar("A")
# The checks run job-runner's commands and docker; each has its own limit on the host.
TIMEOUT_S = 300.0


def site_for(spec: HostSpec) -> Site:
    """The host's own paths and names."""
    return Site(
        host=spec.name,
        service_user=spec.service_user,
        home=spec.home,
        state_dir=spec.state_dir,
        lock_dir=spec.lock_dir,
        lock_file=spec.lock_file,
        code_dir=spec.code_dir,
        config_dir=spec.config_dir,
        database=spec.database,
        unit=spec.unit,
    )


def call(shell: Shell, program: Program[Q, A], request: Q, *, hint: str = "") -> A:
    """Call a program; its errors get the hint."""
    try:
        return shell.call(program, request)
    except Refused as error:
        error.hint = error.hint or hint
        raise
    except ProgramFailed as error:
        error.hint = hint or error.hint
        raise


@contextmanager
def noted(host: Host, task: str, run_id: str, args: Mapping[str, str]) -> Iterator[audit.Ending]:
    """The operator's own audit of work that the host itself writes into its journal."""
    recorded = {key: value for key, value in args.items() if value}
    entry = audit.start(host.name, task, recorded, run_id)
    audit.write_local(entry)
    with audit.ending(entry, audit.write_local) as ended:
        yield ended
