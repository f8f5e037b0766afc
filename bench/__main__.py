"""`python -m bench [ROW ...]`: measure, print the table, and write it to bench/README.md."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator

from bench import converge, distance, environment, fanout, jobs, listing, measure, release, report
from bench.rows import Options, Row
from opstasks.sandbox import api as sandbox

GROUPS: dict[str, Callable[[Options], Iterator[Row]]] = {
    "fanout": fanout.rows,
    "broken": fanout.broken_rows,
    "distance": distance.rows,
    "manage": converge.rows,
    "large": converge.large_rows,
    "deploy": release.rows,
    "jobs": jobs.rows,
    "list": listing.rows,
}
# Too slow for every run: the rivals need half an hour for 500 resources.
ON_REQUEST = ("large",)


def arguments() -> argparse.Namespace:
    """What to measure."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("rows", nargs="*", help=", ".join(GROUPS))
    parser.add_argument("--rounds", type=int, default=0, help="default: 5, with --quick 2")
    parser.add_argument("--quick", action="store_true", help="fewer hosts, rivals and rounds")
    found = parser.parse_args()
    if unknown := set(found.rows) - set(GROUPS):
        parser.error(f"no row {', '.join(sorted(unknown))}; there are: {', '.join(GROUPS)}")
    return found


def main() -> None:
    """Measure the groups; what was measured before a failure is kept."""
    asked = arguments()
    os.environ["OPSTASKS_SANDBOX_DIR"] = str(environment.ROOT / ".sandbox-bench")
    measure.adopt_orphans()
    started = time.monotonic()
    rounds = asked.rounds or (2 if asked.quick else 5)
    options = Options(rounds, asked.quick, environment.install())
    try:
        for group in asked.rows or [name for name in GROUPS if name not in ON_REQUEST]:
            report.save(group, list(GROUPS[group](options)))
    finally:
        measure.end_leftovers()
        sandbox.down()
    rows = report.load(list(GROUPS))
    print(report.table(rows))
    if not asked.quick:
        report.write(rows)
    print(f"{(time.monotonic() - started) / 60:.1f} minutes", file=sys.stderr)


if __name__ == "__main__":
    main()
