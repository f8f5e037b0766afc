"""One host, 100 ms away: one command, ten in sequence, and the second one of a new process."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace

from bench import rivals
from bench.measure import Sample, end_leftovers, measure
from bench.rivals import Tool
from bench.rows import Options, Row, interleaved
from bench.targets import Targets, described, through
from opstasks.fleet.inventory import HostSpec
from opstasks.sandbox.delay_proxy import DelayProxy
from opstasks.sandbox.many import many_up

ONE_WAY_MS = 50
TEN = 10
KEEP = "keep_connection"
ANSIBLE_KEEP = (("ANSIBLE_SSH_ARGS", "-C -o ControlMaster=auto -o ControlPersist=60s"),)

ONCE = (
    rivals.OURS,
    rivals.ASYNCSSH,
    rivals.PSSH,
    rivals.FABRIC,
    rivals.PYINFRA,
    Tool("ssh", "", rivals.plain_ssh),
    rivals.CLUSH,
    rivals.ANSIBLE,
)
IN_SEQUENCE = (
    rivals.opstasks("opstasks", rivals.ten_of_ours),
    rivals.client("asyncssh", "asyncssh", TEN),
    rivals.client("parallel-ssh", "parallel-ssh", TEN),
    rivals.client("Fabric", "fabric", TEN),
    Tool("pyinfra", "pyinfra", rivals.pyinfra_ten),
    Tool("ssh, ControlMaster", "", rivals.ssh_master(TEN)),
    Tool("Ansible", "ansible-core", rivals.ansible_ten, 1, env=ANSIBLE_KEEP),
)
WARM = (
    rivals.OURS,
    Tool("ssh, ControlMaster", "", rivals.ssh_master(1)),
    replace(rivals.ANSIBLE, env=ANSIBLE_KEEP, rounds=2),
)


def rows(options: Options) -> Iterator[Row]:
    """The three rows."""
    yield sequence(options, "one command, 100 ms", "1.0; 6 round trips", ONCE, 1)
    yield sequence(options, "ten commands in sequence, 100 ms", "0.5", IN_SEQUENCE, TEN)
    row = sequence(options, "the next command, new process, 100 ms", "0.5 s", WARM, 1, warm=True)
    if KEEP not in HostSpec.__struct_fields__:
        row.notes["opstasks"] = f"`{KEEP}` does not exist yet: a new login"
    yield row


def sequence(
    options: Options, name: str, goal: str, tools: tuple[Tool, ...], count: int, warm: bool = False
) -> Row:
    """Measure tools through the delaying proxy, with their round trips."""
    row = Row(name, goal)

    def check(sample: Sample) -> str:
        found = sum("load average" in text for _, text in sample.lines)
        return "" if found == count else f"{found} of {count} answers"

    with contextlib.ExitStack() as stack:
        (host,) = many_up(1)
        where = (host.address, host.port)
        proxy = stack.enter_context(DelayProxy(where, ONE_WAY_MS, delay_connect=True))
        kept = {KEEP: "60s"} if warm and KEEP in HostSpec.__struct_fields__ else {}
        made = stack.enter_context(described([through(host, proxy.port)], **kept))

        def run(tool: Tool) -> Sample:
            if warm:
                once(tool, made, check)
            proxy.reset()
            sample = once(tool, made, check)
            sample.round_trips = proxy.round_trips()
            end_leftovers()
            return sample

        return interleaved(row, tools, options, run)


def once(tool: Tool, made: Targets, check: Callable[[Sample], str]) -> Sample:
    """One run."""
    return measure(tool.line(made), check, env=tool.environment(made), cwd=tool.cwd)
