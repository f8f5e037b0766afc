"""The time of `inv --list` compared with `inv --list` of one task: median of pairs of runs."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
INV = Path(sys.executable).with_name("inv")
BARE = "from invoke import task\n\n\n@task\ndef nothing(ctx):\n    'Nothing.'\n"
PAIRS = 15


def seconds(folder: Path) -> float:
    """One run."""
    started = time.perf_counter()
    subprocess.run([INV, "--list"], cwd=folder, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        bare = Path(name)
        (bare / "tasks.py").write_text(BARE)
        seconds(ROOT)
        seconds(bare)
        pairs = [(seconds(ROOT), seconds(bare)) for _ in range(PAIRS)]
    ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(mine / other for mine, other in pairs)
    print(f"inv --list: {ours:.3f} s, bare {theirs:.3f} s, ratio {ratio:.2f} (limit: 1.3)")


if __name__ == "__main__":
    main()
