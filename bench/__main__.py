"""`python -m bench [ROW ...]`: measure, print the table, and write it to bench/README.md."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial

from bench import converge, distance, environment, fanout, jobs, listing, measure, release, report
from bench.rows import Options, Row
from opstasks.sandbox import api as sandbox

GROUPS: dict[str, Callable[[Options], Iterator[Row]]] = {
    "fanout": fanout.rows,
    "broken": fanout.broken_rows,
    "distance": distance.rows,
    "manage": converge.rows,
    "manage100": partial(converge.large_rows, 100),
    "manage500": partial(converge.large_rows, 500),
    "deploy": release.rows,
    "jobs": jobs.rows,
    "list": listing.rows,
}
# Measured only if named: the other tools need 16 minutes for 100 resources, 80 for 500.
SLOW = ("manage100", "manage500")
NOT_QUICK = (*SLOW, "deploy", "jobs")


def arguments() -> argparse.Namespace:
    """What to measure."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("rows", nargs="*", help=", ".join(GROUPS))
    parser.add_argument("--rounds", type=int, default=0, help="default: 5, with --quick 1")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="takes 4 minutes: without Ansible and the large rows; results are not kept",
    )
    found = parser.parse_args()
    if unknown := set(found.rows) - set(GROUPS):
        parser.error(f"no row {', '.join(sorted(unknown))}; there are: {', '.join(GROUPS)}")
    return found


def main() -> None:
    """Measure the groups; results from before a failure are kept."""
    asked = arguments()
    os.environ["OPSTASKS_SANDBOX_DIR"] = str(environment.ROOT / ".sandbox-bench")
    # Ended from outside, it must remove its hosts too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    measure.adopt_orphans()
    started = time.monotonic()
    options = Options(asked.rounds or (1 if asked.quick else 5), asked.quick, environment.install())
    left_out = NOT_QUICK if asked.quick else SLOW
    groups = asked.rows or [name for name in GROUPS if name not in left_out]
    rows: list[Row] = []
    try:
        for group in groups:
            rows += measured(group, options)
    finally:
        measure.end_leftovers()
        sandbox.down()
    if not asked.quick:
        rows = report.load(list(GROUPS))
        report.write(rows)
    print(report.table(rows))
    print(f"{(time.monotonic() - started) / 60:.1f} minutes", file=sys.stderr)


def measured(group: str, options: Options) -> list[Row]:
    """The rows of a group; each is kept as soon as it is measured."""
    rows: list[Row] = []
    for row in GROUPS[group](options):
        rows.append(row)
        if not options.quick:
            report.save(group, rows)
    return rows


if __name__ == "__main__":
    main()
