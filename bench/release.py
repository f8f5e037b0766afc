"""`deploy` with nothing to do, on a real host of the sandbox: CPU time there, and wall time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from bench.environment import INV, ROOT
from bench.measure import Sample, cpu_clock, measure
from bench.rivals import Line, opstasks
from bench.rows import Options, Row, interleaved
from opstasks.sandbox import api as sandbox
from opstasks.sandbox import instance

HOST = "sandbox-1"


def inv(*words: str) -> Line:
    """A command of ours on the host."""
    inventory = instance.current().directory / "hosts.yaml"
    return [INV, "--inventory", inventory, "-H", HOST, *words]


def rows(options: Options) -> Iterator[Row]:
    """The row; its seconds are the whole command's."""
    sandbox.up(hosts=1)
    env = {"XDG_STATE_HOME": str(instance.current().directory), "PYTHONPATH": str(ROOT)}
    for words in (("manage", "--yes"), ("deploy", "--yes")):
        made = measure(inv(*words), lambda _: "", env=env, cwd=ROOT)
        print(*words, f"{made.seconds:.1f} s", "".join(text for _, text in made.lines[-2:]))
    clock = cpu_clock(sandbox.find(HOST).container)
    row = Row("deploy, nothing to do", "0.4 s of CPU time on the host")
    tool = opstasks("opstasks", lambda _: inv("deploy", "--yes"))

    def run(_: object) -> Sample:
        return measure(inv("deploy", "--yes"), check, clock=clock, env=env, cwd=ROOT)

    row.notes["opstasks"] = f"idle, the host uses {idle_s(clock):.2f} s of CPU time each second"
    yield interleaved(row, [tool], options, run)


def check(sample: Sample) -> str:
    """What is wrong with the output."""
    said = "".join(text for _, text in sample.lines)
    return "" if "nothing to do" in said else f"it said: {said[-200:]}"


def idle_s(clock: Callable[[], float]) -> float:
    """The CPU seconds that the host uses by itself in a second."""
    before = clock()
    time.sleep(5)
    return (clock() - before) / 5
