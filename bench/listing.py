"""CPU time of `inv --list`, compared with an `inv` that has one task."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from bench.environment import INV, ROOT
from bench.measure import Sample, measure
from bench.rivals import Line, Tool, opstasks
from bench.rows import Options, Row, interleaved

BARE = "from invoke import task\n\n\n@task\ndef nothing(ctx):\n    'Nothing.'\n"
PAIRS = 15


def rows(options: Options) -> Iterator[Row]:
    """The row; its seconds are the client's CPU time."""
    row = Row("`inv --list`, CPU time", "at most 1.3")
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "tasks.py").write_text(BARE)
        line: Line = [INV, "--list"]
        tools = (
            opstasks("opstasks", lambda _: line),
            Tool("bare invoke", "", lambda _: line, cwd=Path(name)),
        )

        def run(tool: Tool) -> Sample:
            words = "deploy.rollback" if tool.cwd == ROOT else "nothing"
            sample = measure(
                line,
                lambda sample: "" if any(words in text for _, text in sample.lines) else "no list",
                env=dict(tool.env),
                cwd=tool.cwd,
            )
            return replace(sample, seconds=sample.client_s)

        for tool in tools:  # compiled files of Python are written once
            run(tool)
        yield interleaved(row, tools, replace(options, rounds=PAIRS), run)
