"""The table of all rows, printed and written to bench/README.md with its plot."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from bench import plot
from bench.environment import PINS, ROOT
from bench.measure import Sample
from bench.rows import Row

RESULTS = ROOT / "bench" / "results.json"
README = ROOT / "bench" / "README.md"
HEAD = ("", "median", "min-max", "CPU client", "CPU hosts", "memory", "trips", "ratio", "notes")
INTRO = """# Bench

`make bench` compares opstasks with other tools and OpenSSH, and writes this file. `make bench
ROWS="fanout distance"` measures only these rows again; `python -m bench --help` names all rows.

- Every tool logs in with the same key and checks the same host keys. `bench/rivals.py` shows how
  each is called, with its own best settings.
- The tools take turns: A B C A B C ... A run in which a host's answer is missing is invalid and
  does not count.
- CPU: seconds of all processes, on the client and on all hosts together. Memory: the peak of all
  client processes together. Trips: round trips, without TCP's handshake. Ratio: the median divided
  by that of the best other tool.
- The many hosts are one sshd (`opstasks/sandbox/many.py`). They have no journal, so our audit lines
  are not written there.
"""


def save(group: str, rows: Sequence[Row]) -> None:
    """Keep the rows of a group until they are measured again."""
    kept = [
        asdict(row) | {"samples": {k: [s.slim() for s in v] for k, v in row.samples.items()}}
        for row in rows
    ]
    found = saved() | {group: {"date": time.strftime("%Y-%m-%d"), "rows": kept}}
    RESULTS.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")


def saved() -> dict[str, Any]:
    """What was kept, by group."""
    return dict(json.loads(RESULTS.read_text())) if RESULTS.exists() else {}


def load(groups: Sequence[str]) -> list[Row]:
    """The rows as last measured, in the order of their groups."""
    rows = []
    found = saved()
    for kept in [row for group in groups if group in found for row in found[group]["rows"]]:
        samples = {k: [Sample(**item) for item in v] for k, v in kept["samples"].items()}
        rows.append(Row(**kept | {"samples": samples}))
    return rows


def cells(row: Row, tool: str) -> list[str]:
    """One line of the table."""
    good = [item for item in row.samples[tool] if not item.problem]
    bad = [item for item in row.samples[tool] if item.problem]
    notes = [f"{len(bad)} of {len(bad) + len(good)} runs invalid: {bad[0].problem}"] if bad else []
    notes += [row.notes[tool]] if tool in row.notes else []
    note = "; ".join(" ".join(text.replace("|", "/").split())[:160] for text in notes)
    if not good:
        return [tool, *["-"] * 7, note]
    times = [item.seconds for item in good]
    ratio = row.ratio(tool)
    middle = {
        name: statistics.median(getattr(item, name) for item in good)
        for name in ("client_s", "host_s", "peak_bytes", "round_trips")
    }
    return [
        tool,
        f"{statistics.median(times):.2f} s",
        f"{min(times):.2f}-{max(times):.2f}",
        f"{middle['client_s']:.2f}" if middle["client_s"] else "",
        f"{middle['host_s']:.2f}" if middle["host_s"] else "",
        f"{middle['peak_bytes'] / 1e6:.0f} MB" if middle["peak_bytes"] else "",
        f"{middle['round_trips']:.0f}" if middle["round_trips"] else "",
        f"{ratio:.2f}" if ratio and ratio >= 0.1 else f"{ratio:.3f}" if ratio else "",
        note,
    ]


def table(rows: Sequence[Row]) -> str:
    """The table, aligned, as Markdown."""
    lines = [list(HEAD)]
    for row in rows:
        goal = f"goal: {row.goal}" if row.goal else ""
        lines.append([f"**{row.name}**", *[""] * 7, goal])
        lines += [cells(row, tool) for tool in sorted(row.samples, key=row.median)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    shown = [
        "| "
        + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True))
        + " |"
        for line in lines
    ]
    shown.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(shown) + "\n"


def write(rows: Sequence[Row]) -> None:
    """Write bench/README.md and its plot."""
    (ROOT / "bench" / "ratios.svg").write_text(plot.draw(rows))
    versions = ", ".join(f"{name} {version}" for name, version in PINS.items())
    place = (
        f"{os.cpu_count()} cores, Python {platform.python_version()}, {time.strftime('%Y-%m-%d')}"
    )
    picture = "![Time relative to the best other tool](ratios.svg)\n"
    README.write_text(f"{INTRO}\nMeasured on {place}; {versions}.\n\n{picture}\n{table(rows)}")
