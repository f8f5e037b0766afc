"""A row of the table, and how its tools are measured: interleaved, in rounds."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from bench.measure import Sample
from bench.rivals import Tool


@dataclass
class Options:
    """How much to measure, and which packages are missing here, with the reason."""

    rounds: int = 5
    quick: bool = False
    missing: dict[str, str] = field(default_factory=dict)


@dataclass
class Row:
    """One kind of work, done by several tools. `measured` names what its seconds are."""

    name: str
    goal: str = ""
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)

    def median(self, tool: str) -> float:
        """The median of a tool's valid runs, in seconds; infinite if there are none."""
        found = [item.seconds for item in self.samples[tool] if not item.problem]
        return statistics.median(found) if found else float("inf")

    def best(self, ours: str = "opstasks") -> str:
        """The fastest other tool; empty if there is none."""
        rivals = [tool for tool in self.samples if not tool.startswith(ours)]
        fast = min(rivals, key=self.median, default="")
        return fast if fast and self.median(fast) < float("inf") else ""

    def ratio(self, tool: str) -> float | None:
        """A tool's time divided by that of the best other tool."""
        best = self.best()
        return self.median(tool) / self.median(best) if best else None


def interleaved(
    row: Row, tools: Sequence[Tool], options: Options, run: Callable[[Tool], Sample]
) -> Row:
    """Measure A B C A B C ...; a tool that is not installed is named in the row."""
    for number in range(options.rounds):
        for tool in present(row, tools, options):
            if number < tool.rounds:
                sample = run(tool)
                row.samples.setdefault(tool.name, []).append(sample)
                tell(row, tool, sample)
    return row


def present(row: Row, tools: Sequence[Tool], options: Options) -> Iterator[Tool]:
    """The tools that are installed; the others are noted. --quick leaves out the slowest."""
    for tool in tools:
        if options.quick and tool.rounds == 1:
            continue
        if tool.package in options.missing:
            row.samples[tool.name] = []
            row.notes[tool.name] = f"not installed: {options.missing[tool.package]}"
        else:
            yield tool


def tell(row: Row, tool: Tool, sample: Sample) -> None:
    """Report progress."""
    text = f"{row.name:34} {tool.name:22} {sample.seconds:7.2f} s  {sample.problem}"
    print(text, file=sys.stderr, flush=True)
