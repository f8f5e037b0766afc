"""Around every change: take the lock, record the start, act, record the end, release the lock.

This costs one round trip before and one after the change.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from functools import partial

from opstasks.core.errors import Lost, OpsError, Refused
from opstasks.core.hints import one_word
from opstasks.fleet import audit, leftover, lock
from opstasks.fleet.host import Host, Shell


@contextlib.contextmanager
def change(shell: Shell, task: str, args: Mapping[str, str] | None = None) -> Iterator[str]:
    """Hold the host's lock while inside; yields the run id.

    Raises Refused, naming the holder, when someone else is changing the host. A lost
    connection inside is reported as unknown (`opstasks.core.errors.Lost`).
    """
    host = shell.host
    entry = audit.start(host.name, task, args or {})
    _take(shell, entry)
    audit.write_local(entry)
    with audit.ending(entry, partial(_end, shell)), host.changing(), _settled(shell):
        yield entry.run_id


@contextlib.contextmanager
def _settled(shell: Shell) -> Iterator[None]:
    """After an error inside, wait for what a step left running: only then the change has failed.

    Raises Lost instead if that does not end.
    """
    try:
        yield
    except Lost:
        raise
    except OpsError as error:
        if shell.is_open and shell.host.guard.has_acted:
            try:
                leftover.wait(shell, shell.host.name, shell.host.step)
            except Lost as lost:
                lost.message = f"{error.message}; {lost.message}"
                raise lost from error
        raise


def _take(shell: Shell, entry: audit.AuditEntry) -> None:
    host: Host = shell.host
    owner = lock.Owner(who=entry.who, task=entry.task, since=entry.time, run_id=entry.run_id)
    journal = audit.journal_text(entry)
    result = shell.evaluate(f"{{ {lock.take_text(host.spec, owner)}\n}} && {journal}")
    if result.code in (lock.UNSAFE_CODE, lock.REPLACED_CODE):
        if result.code == lock.UNSAFE_CODE:
            _secure(shell)
        text = lock.take_text(host.spec, owner, checked=True)
        result = shell.evaluate(f"{{ {text}\n}} && {journal}")
    if result.code == lock.BUSY_CODE:
        raise _busy(host, lock.parse_owner(result.out))
    if result.code:
        raise Refused(
            f"cannot take the lock: {result.tail()}",
            host=host.name,
            hint="run `manage` if it never ran there; or check the disk of"
            f" {one_word(host.spec.lock_file)}",
        )


def _secure(shell: Shell) -> None:
    """Make the lock's file so that only root and the service account can open it; as root."""
    spec = shell.host.spec
    answer = shell.call(lock.SECURE, lock.SecureRequest(spec.lock_file, spec.service_user))
    for other in answer.holders:
        text = f"process {other.pid} of {other.user} ({other.command}) had the lock's file open"
        shell.host.step(f"{text}; the file was replaced")


def _busy(host: Host, held: lock.Owner | None) -> Refused:
    """The error for a lock that is taken."""
    return Refused(
        f"someone is changing it: {held.describe() if held else 'unknown'}",
        host=host.name,
        hint=f"wait, or see who: inv -H {host.name} lock.show",
    )


def _end(shell: Shell, entry: audit.AuditEntry) -> None:
    """Record the end and release the lock; without a connection, the host releases it itself."""
    audit.write_local(entry)
    with contextlib.suppress(OpsError):
        if shell.is_open:
            shell.session.evaluate(
                f"{audit.journal_text(entry)}; {lock.release_text(shell.host.spec)}"
            )
