"""Whether a task without -H makes sense on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from opstasks.cli.retyped import retyped
from opstasks.core.errors import Refused

if TYPE_CHECKING:
    from opstasks.fleet.inventory import HostSpec, Inventory

# How many hosts the message names.
NAMED = 6


def refuse_unless_backend(
    spec: HostSpec, task: str, inventory: Inventory, typed: Sequence[str] = ()
) -> None:
    """Raise Refused if a task would run on this machine, and it is no backend host.

    `typed` are the words that were typed: without them, the next command would do something else.
    It is one if hosts.yaml has its name as a `hostname`, or if it has the service account.
    """
    import pwd

    if not spec.local or spec.name in inventory.hosts:
        return
    try:
        pwd.getpwnam(spec.service_user)
    except KeyError:
        raise Refused(
            f"{task}: -H is missing, and this machine is no backend host"
            f" (it has no account {spec.service_user}){_known(inventory)}",
            hint=_hint(task, typed or [task], inventory),
        ) from None


def _known(inventory: Inventory) -> str:
    from opstasks.core.formats import first_names

    return f"; hosts: {first_names(list(inventory.hosts), NAMED)}" if inventory.hosts else ""


def _hint(task: str, words: Sequence[str], inventory: Inventory) -> str:
    if not inventory.hosts:
        return inventory.no_hosts_hint()
    # Not the name of a host: the person did not choose one, and the task may change it.
    return retyped(["-H", "HOSTS", *words], task)
