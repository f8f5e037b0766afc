"""Run one command unchanged, and record in each host's journal who ran it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from opstasks.core import durations
from opstasks.core.command import Command, OnOut, Raw, cmd
from opstasks.core.errors import CommandFailed, Lost, Refused, TimedOut
from opstasks.core.result import FleetResult, HostResult, Result
from opstasks.fleet import audit
from opstasks.fleet.host import Host, check

# The most output of a command on one host.
MAX_RUN_BYTES = 256 << 20
# How long `stop` waits for a shell that is just starting.
START_LIMIT_S = 10.0


@dataclass(frozen=True)
class RunPlan:
    """What `run` would run on a host, and as which account; the host stops it after `timeout_s`."""

    command: str
    user: str
    timeout_s: float


def make_command(words: Sequence[str], timeout_s: float) -> Command:
    """The command from the typed words; a single word with a space is shell text.

    Raises Refused without a program, and for an impossible time limit.
    """
    if not words or not words[0].strip():
        raise Refused("no command given", hint="inv -H tpp run -- docker ps")
    if timeout_s > durations.LIMIT_S:
        raise Refused(f"--timeout: {timeout_s} s is more than a year", hint=durations.HINT)
    is_shell_text = len(words) == 1 and not words[0].isalnum()
    made = cmd("bash", "-c", words[0]) if is_shell_text else cmd(*words)
    # It may change anything: if the connection is lost, the state of the host is unknown.
    return made.within(timeout_s).printing(MAX_RUN_BYTES).changing()


def run(host: Host, user: str, command: Command, on_out: OnOut | None = None) -> Result:
    """Run it, whatever its exit code: one round trip; the host records its start and its end.

    `on_out` gets the whole lines that arrive before it ends; the `Result` has all of them.
    The record has only the program's name: the arguments may contain secrets.
    """
    if on_out is not None:
        command = command.passing_on(on_out)
    entry = audit.start(host.name, "run", {"program": str(command.args[0]), "user": user})
    audit.write_local(entry)
    with audit.ending(entry, audit.write_local) as ended:
        shell = host.shell(user)
        shell.begin()
        # From here on, `stop` finds the running command; before, Ctrl-C must prevent its start.
        host.checkpoint("the command was not run there")
        try:
            result = shell.enclosed(command, audit.begin_text(entry), audit.end_text(entry))
        except Lost as error:
            error.hint = "it may have run, or still run: look before you run it again"
            raise
        ended.outcome = "failed" if result.code else "ok"
        ended.detail = f"exit code {result.code}" if result.code else ""
    return result


def stop(host: Host, user: str) -> None:
    """Stop what `run` started there, after a Ctrl-C.

    Raises Unreachable when it is not certain that it stopped.
    """
    running = host.shell(user)
    if not running.is_open:
        return
    pid = running.session.wait_for_pid(START_LIMIT_S)
    if not pid:
        running.session.close()  # a shell that starts now ends before it runs anything
        return
    session = host.open_session(user)
    session.batch([stop_children(pid)])
    session.close()


def stop_children(pid: int) -> Command:
    """Stop everything that a framed shell is running.

    Each process is halted before its children end: otherwise a shell would go on with its next
    command.
    """
    script = (
        "kids() { ps -e -o pid=,ppid= | awk -v p=\"$1\" '$2==p{print $1}'; };"
        ' stop() { local k; for k in $(kids "$1"); do kill -STOP "$k"; stop "$k";'
        ' kill -TERM "$k"; kill -CONT "$k"; done; };'
        f" stop {int(pid)}"
    )
    return cmd(Raw(script)).accepting(0, 1)


def judge(found: FleetResult[Result], command: Command) -> FleetResult[Result]:
    """The same results; a host with a non-zero exit code has failed."""
    return FleetResult([_judged(item, command) for item in found])


def _judged(item: HostResult[Result], command: Command) -> HostResult[Result]:
    if item.value is None:
        return item
    try:
        check(item.value, command, item.host)
    except (CommandFailed, TimedOut) as error:
        # The whole output was already shown, and the command was just typed.
        error.tail = error.command = ""
        error.hint = "--timeout 10m gives it longer" if isinstance(error, TimedOut) else ""
        return replace(item, outcome=error.outcome, error=error)
    return item
