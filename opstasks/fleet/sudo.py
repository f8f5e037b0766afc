"""When sudo on a host may get a password, and where the password comes from.

A host knows the prompt that we wait for, because it is on the command line that we send. So with
`sudo: ask` a hostile host gets the password that the person types for it. It gets no other
password, and none at all where we start no sudo or sudo may not ask.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from opstasks.core.command import Secret

ASK, NEVER_ASKS = "ask", "nopasswd"

# A context with the password for a host, by its name; None if there is no person to ask. The caller
# stays in the context until sudo has accepted the password. If sudo does not accept it, the caller
# raises `refusals.PasswordNotAccepted` in the context.
PasswordSource = Callable[[str], AbstractContextManager[Secret | None]]


def mode(setting: str, login: str) -> str:
    """How sudo is started for a host's `sudo` setting; root is never asked for a password."""
    return ASK if setting == ASK and login != "root" else NEVER_ASKS


@contextlib.contextmanager
def no_passwords(host: str) -> Iterator[Secret | None]:
    """The source that has no password for any host."""
    yield None
