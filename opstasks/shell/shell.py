"""A login shell for a person; its start and its end are recorded in the host's journal."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from opstasks.core.errors import OpsError
from opstasks.fleet import audit
from opstasks.fleet.host import Host

# Like `sudo -i`: the account's own shell, as a login shell, in its home.
LOGIN = ("bash", "-c", 'cd; exec -l "$SHELL"')


@contextlib.contextmanager
def recorded(host: Host, user: str) -> Iterator[None]:
    """Record who opens a shell, and its end, but not what is done in it.

    No lock is taken: it would be held as long as the shell is open.
    """
    entry = audit.start(host.name, "shell", {"user": user})
    _record(host, user, entry)
    outcome, detail = "ok", ""
    try:
        yield
    except OpsError as error:
        outcome, detail = error.outcome, error.message
        raise
    finally:
        with contextlib.suppress(OpsError):
            _record(host, user, audit.end(entry, outcome, detail))


def _record(host: Host, user: str, entry: audit.AuditEntry) -> None:
    """Record an entry in both places; raises what opening the account's shell raises."""
    shell = host.shell(user)
    shell.open()
    audit.write_local(entry)
    shell.evaluate(audit.journal_text(entry))
