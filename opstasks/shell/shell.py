"""A login shell for a person; its start and its end are recorded in the host's journal."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from opstasks.core.errors import OpsError, Refused
from opstasks.core.hints import one_word
from opstasks.core.result import Result
from opstasks.fleet import audit
from opstasks.fleet.host import Host

# Like `sudo -i`: the account's own shell, as a login shell, in its home.
LOGIN = ("bash", "-c", 'cd; exec -l "$SHELL"')
# Whether the account's own shell is one that a person can use. Its exit code at the end would not
# say: it is that of the last command.
CAN_START = (
    'printf %s "$SHELL"; case ${SHELL##*/} in nologin|false|"") false;; *) [ -x "$SHELL" ];; esac'
)


@dataclass(frozen=True)
class ShellPlan:
    """The account of a shell that would be opened."""

    user: str


@contextlib.contextmanager
def recorded(host: Host, user: str) -> Iterator[None]:
    """Record who opens a shell, and its end, but not what is done in it.

    No lock is taken: it would be held as long as the shell is open. Raises Refused for an account
    without a login shell.
    """
    entry = audit.start(host.name, "shell", {"user": user})
    can_start = _record(host, user, entry, CAN_START)
    outcome, detail = "ok", ""
    try:
        if can_start.code:
            raise _no_login_shell(host, user, can_start.out)
        yield
    except OpsError as error:
        outcome, detail = error.outcome, error.message
        raise
    finally:
        with contextlib.suppress(OpsError):
            _record(host, user, audit.end(entry, outcome, detail))


def _no_login_shell(host: Host, user: str, path: str) -> Refused:
    return Refused(
        f"account {user} has no login shell that can start: {path or 'none'}",
        host=host.name,
        hint=f"inv -H {one_word(host.name)} run --user {one_word(user)} -- COMMAND",
    )


def _record(host: Host, user: str, entry: audit.AuditEntry, and_then: str = "") -> Result:
    """Record an entry in both places, and run more shell text in the same round trip.

    Raises what opening the account's shell raises.
    """
    shell = host.shell(user)
    shell.open()
    audit.write_local(entry)
    return shell.evaluate("\n".join(filter(None, [audit.journal_text(entry), and_then])))
