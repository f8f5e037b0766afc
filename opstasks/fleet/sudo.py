"""When sudo on a host may get a password, and where the password comes from.

A host knows the prompt that we wait for, because it is on the command line that we send. So with
`sudo: ask` a hostile host gets the password that the person types for it. It gets no other
password, and none at all where we start no sudo or sudo may not ask.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from opstasks.core.command import Secret

if TYPE_CHECKING:
    from opstasks.fleet.inventory import HostSpec

ASK, NEVER_ASKS = "ask", "nopasswd"
# The groups whose members may do everything on a host: ours (see `backends/`), and Debian's.
ADMINS = ("developers", "sudo")

# A context with the password for a host, by its name; None if there is no person to ask. The caller
# stays in the context until sudo has accepted the password. If sudo does not accept it, the caller
# raises `refusals.PasswordNotAccepted` in the context.
PasswordSource = Callable[[str], AbstractContextManager[Secret | None]]


def mode(setting: str, login: str, service_user: str) -> str:
    """How sudo is started for a host's `sudo` setting.

    root is never asked for a password, and the service account has none.
    """
    return ASK if setting == ASK and login not in ("root", service_user) else NEVER_ASKS


def advice(spec: HostSpec, login: str) -> str:
    """The hint when sudo refuses the service account: who can run the command; "" for others."""
    if login != spec.service_user:
        return ""
    people = members(ADMINS) if spec.local else []
    who = f" ({', '.join(people)})" if people else ""
    return (
        f"{login} has no password, and may only start, stop and restart {spec.unit}:"
        f" log in with the account of a developer{who} and run it there"
    )


def members(groups: tuple[str, ...]) -> list[str]:
    """The members of groups of this machine, by name; groups that do not exist have none."""
    import grp

    found: set[str] = set()
    for name in groups:
        with contextlib.suppress(KeyError):
            found.update(grp.getgrnam(name).gr_mem)
    return sorted(found)


@contextlib.contextmanager
def no_passwords(host: str) -> Iterator[Secret | None]:
    """The source that has no password for any host."""
    yield None
