"""One command as it was typed, with a line in each host's journal saying who ran it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from opstasks.core import durations
from opstasks.core.command import Command, Raw, cmd
from opstasks.core.errors import CommandFailed, OpsError, Refused, TimedOut
from opstasks.core.result import FleetResult, HostResult, Result
from opstasks.fleet import audit
from opstasks.fleet.host import Host, check


def command(words: Sequence[str], timeout_s: float) -> Command:
    """The command; one word that is no program's name is taken as shell text.

    Raises Refused when there is none, or a time limit that is none.
    """
    if not words:
        raise Refused("no command given", hint="inv -H tpp run -- docker ps")
    if timeout_s <= 0:
        raise Refused(f"{timeout_s} is no time limit", hint="--timeout takes seconds, 1 or more")
    if timeout_s > durations.LIMIT_S:
        raise Refused(f"{timeout_s} is more than a year", hint="--timeout takes seconds")
    shell_text = len(words) == 1 and not words[0].isalnum()
    made = cmd("bash", "-c", words[0]) if shell_text else cmd(*words)
    # Nobody knows what it does: a connection lost meanwhile leaves the host in doubt.
    return made.within(timeout_s).changing()


def run(host: Host, user: str, command: Command) -> Result:
    """Run it and hand back whatever came of it; a round trip, and another for its end.

    The line names the program alone: its arguments may hold what nobody else should read.
    """
    entry = audit.start(host.name, "run", {"user": user, "program": str(command.args[0])})
    audit.write_local(entry)
    with audit.ending(entry, partial(_end, host, user)) as ended:
        shell = host.shell(user)
        shell.open()
        # From here on `stop` finds what runs; before, nothing must begin after a Ctrl-C.
        host.checkpoint("nothing was run there")
        _, result = shell.batch([cmd(Raw(audit.journal_text(entry))), command])
        ended.outcome = "failed" if result.code else "ok"
        ended.detail = f"exit code {result.code}" if result.code else ""
    return result


def _end(host: Host, user: str, end: audit.AuditEntry) -> None:
    """Write down how it ended; a host that cannot be asked any more does not hear of it."""
    audit.write_local(end)
    shell = host.shell(user)
    with contextlib.suppress(OpsError):
        if shell.is_open:
            shell.session.evaluate(audit.journal_text(end))


def stop(host: Host, user: str) -> None:
    """Stop what `run` began and nobody waits for any more."""
    running = host.shell(user)
    if running.is_open:
        session = host.open_session(user)
        session.batch([stop_children(running.session.pid)])
        session.close()


def stop_children(pid: int) -> Command:
    """Stop everything that a framed shell is running, children first."""
    script = (
        "kids() { ps -e -o pid=,ppid= | awk -v p=\"$1\" '$2==p{print $1}'; };"
        ' stop() { for k in $(kids "$1"); do stop "$k"; kill -TERM "$k"; done; };'
        f" stop {int(pid)}"
    )
    return cmd(Raw(script)).accepting(0, 1)


def judge(found: FleetResult[Result], command: Command) -> FleetResult[Result]:
    """The same results, those with another exit code than 0 as failed."""
    return FleetResult([_judged(item, command) for item in found])


def _judged(item: HostResult[Result], command: Command) -> HostResult[Result]:
    if item.value is None:
        return item
    try:
        check(item.value, command, item.host)
    except (CommandFailed, TimedOut) as error:
        # Its last lines stand above already.
        error.tail = ""
        return replace(item, outcome=error.outcome, error=error)
    return item
