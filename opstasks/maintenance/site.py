"""Calling `remote_maintenance`: what it must know of a host, and its answers as errors."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from opstasks.core.command import Command
from opstasks.core.errors import CommandFailed, Refused
from opstasks.fleet import audit
from opstasks.fleet import old_program as remote
from opstasks.fleet.host import Host, Shell
from opstasks.fleet.inventory import HostSpec

SCRIPT = "opstasks.maintenance.onhost.maintenance"
# Arming checks job-runner's commands and docker; each has its own limit on the host.
TIMEOUT_S = 300.0


def site(spec: HostSpec) -> dict[str, str]:
    """The host's own paths and names."""
    return {
        "host": spec.name,
        "service_user": spec.service_user,
        "home": spec.home,
        "state_dir": spec.state_dir,
        "lock_dir": spec.lock_dir,
        "lock_file": spec.lock_file,
        "code": spec.code_dir,
        "config_dir": spec.config_dir,
        "database": spec.database,
        "unit": spec.unit,
    }


def command(spec: HostSpec, op: str, **words: Any) -> Command:
    """One call of the script."""
    request = {"op": op, "site": site(spec), **words}
    return remote.call(SCRIPT, request).within(TIMEOUT_S)


def ask(shell: Shell, op: str, *, hint: str = "", **words: Any) -> dict[str, Any]:
    """Call the script and judge its answer; raises Refused when nothing was touched."""
    host = shell.host
    result = shell.run(command(host.spec, op, **words))
    answer: dict[str, Any] = json.loads(result.lines[-1])
    if answer["ok"]:
        return answer
    if answer["refused"]:
        raise Refused(answer["reason"], host=host.name, tail=answer["detail"], hint=hint)
    raise CommandFailed(
        answer["reason"],
        returned=1,
        host=host.name,
        tail=answer["detail"],
        hint=hint or f"inv -H {host.name} status",
    )


def own_text() -> str:
    """The program itself, for the host to keep a copy."""
    return remote.text(SCRIPT)


@contextmanager
def noted(host: Host, task: str, run_id: str, args: Mapping[str, str]) -> Iterator[audit.Ending]:
    """The operator's own audit of work whose lines in the journal the host itself writes."""
    told = {key: value for key, value in args.items() if value}
    entry = audit.start(host.name, task, told, run_id)
    audit.write_local(entry)
    with audit.ending(entry, audit.write_local) as ended:
        yield ended
