"""`uptime` on 10, 50, 100 and 250 hosts; and on 50 good hosts of 60."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import replace

from bench import rivals
from bench.measure import Sample, cpu_clock, end_leftovers, measure
from bench.rows import Options, Row, interleaved
from bench.targets import Targets, described, dropping, mute, refusing
from opstasks.sandbox.machines import SandboxHost
from opstasks.sandbox.many import many_up

COUNTS = (10, 50, 100, 250)
GOAL = "1.0; at most 1.15"
BAD = 5


def answers(sample: Sample) -> int:
    """How many hosts answered: lines of `uptime`; lines with a host's name count once per host."""
    found = [text for _, text in sample.lines if "load average" in text]
    named = {match[0] for text in found if (match := re.search(r"many-\d+", text))}
    return len(named) if named else len(found)


def rows(options: Options) -> Iterator[Row]:
    """The four rows."""
    hosts = many_up(max(COUNTS))
    for count in COUNTS[:2] if options.quick else COUNTS:
        yield fan_out(hosts[:count], options)


def fan_out(hosts: list[SandboxHost], options: Options) -> Row:
    """One command on some hosts, by all tools."""
    row = Row(f"uptime on {len(hosts)} hosts", GOAL)
    clock = cpu_clock(hosts[0].container)

    def check(sample: Sample) -> str:
        return "" if answers(sample) == len(hosts) else f"{answers(sample)} of {len(hosts)} answers"

    with described(hosts) as made:

        def run(tool: rivals.Tool) -> Sample:
            line, env = tool.line(made), tool.environment(made)
            sample = measure(line, check, clock=clock, env=env, cwd=tool.cwd)
            end_leftovers()
            return sample

        return interleaved(row, rivals.FAN_OUT, options, run)


def broken_rows(options: Options) -> Iterator[Row]:
    """50 good, 5 refusing and 5 silent hosts: until the first and the last good answer is shown."""
    good = many_up(max(COUNTS))[:50]
    first = Row("first answer, 50 good of 60 hosts", "within 1 s")
    last = Row("last answer, 50 good of 60 hosts", "level with the best")
    clock = cpu_clock(good[0].container)
    options = replace(options, rounds=min(options.rounds, 2))
    with contextlib.ExitStack() as stack:
        made = stack.enter_context(described(mixed(good, stack)))

        def run(tool: rivals.Tool) -> Sample:
            sample = measured(tool, made, clock, len(good))
            times = [at for at, text in sample.lines if "load average" in text] or [0.0]
            first.samples.setdefault(tool.name, []).append(replace(sample, seconds=times[0]))
            first.notes[tool.name] = f"the whole run took {sample.seconds:.1f} s"
            return replace(sample, seconds=times[-1])

        interleaved(last, rivals.FAN_OUT, options, run)
    yield first
    yield last


def measured(tool: rivals.Tool, made: Targets, clock: Callable[[], float], good: int) -> Sample:
    """One run over all hosts."""

    def check(sample: Sample) -> str:
        return "" if answers(sample) == good else f"{answers(sample)} of {good} answers"

    sample = measure(tool.line(made), check, clock=clock, env=tool.environment(made), cwd=tool.cwd)
    end_leftovers()
    return sample


def mixed(good: list[SandboxHost], stack: contextlib.ExitStack) -> list[SandboxHost]:
    """The good hosts with the bad ones evenly among them: refusing, mute, and dropping."""
    refused, silent = stack.enter_context(refusing()), stack.enter_context(mute())
    dropped = stack.enter_context(dropping())
    places = [*[refused] * BAD, silent, dropped, silent, dropped, silent]
    hosts = list(good)
    for number, (address, port) in enumerate(places):
        bad = replace(good[0], name=f"bad-{number}", address=address, port=port)
        hosts.insert(number * 6 + 2, bad)
    return hosts
