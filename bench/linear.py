"""Masking and every regular expression: 1 MB of anything takes at most 15 times as long as 100 kB.

`python -m bench.linear` prints what is slower, and exits with 1. Processor time is compared, and
the best of several runs counts. An input that takes less than a few milliseconds is not judged.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import sys
import time
from collections.abc import Callable, Iterator

import opstasks
from opstasks.jobs.onhost.metadata import masked as masked_metadata
from opstasks.manage.show import masked as masked_file
from opstasks.onhost import masking

SMALL, LARGE, LIMIT = 100_000, 1_000_000, 15.0
# Below this, the clock and the cache decide.
MIN_S = 0.02
# What takes longer than this for 10 kB is too slow in any case.
MAX_FIRST_S = 0.1
# What an attacker repeats; each also with something after it that does not match.
UNITS = (
    *(" ", "\t", "\n", "=", ":", "-", "/", ".", ",", "#", "%", "@", "\\", '"', "'", "*", "0", "a"),
    *(
        "A",
        "a ",
        " a",
        "a=",
        "= ",
        "a:",
        "aA1",
        "k9+/",
        "a-",
        "a.",
        "a_",
        "export ",
        "://",
        "a://b",
    ),
    *("a://b:c@", "a://b/", "TOKEN", "TOKEN=", "TOKEN:'", 'TOKEN="', "TOKEN=\n", "TOKEN: |\n "),
    *("TOKEN \t", "--password ", "--token='", "-p ", "bearer ", "bearer  ", '"\\', "{", "[", "("),
    *(
        "-----BEGIN PRIVATE KEY-----\n",
        "-----BEGIN ",
        "${",
        "${a}",
        "$(",
        "\x1b[",
        "\x1b[0",
        "\\000",
    ),
    *("1d", "2026-11-24 ", "user ", "COMMAND=", " : ", "debug1: ", "${a", "%h", "'password': '"),
)
TAILS = ("", "!", "\n!")


def main() -> int:
    """Measure everything; the number of inputs that are too slow decides the exit code."""
    count = 0
    for name, run in subjects():
        for line in judged(name, run):
            print(line, flush=True)
            count += 1
    print(f"{count} slower than {LIMIT:g} times")
    return 1 if count else 0


def subjects() -> Iterator[tuple[str, Callable[[str], object]]]:
    """What is measured: masking, and every pattern of every module."""
    yield "masking.masked", lambda text: masking.masked(text, tokens=True)
    yield "masking.masked_words", lambda text: masking.masked_words(["x", text])
    yield "manage.show.masked", lambda text: masked_file("/x/03_backend.env", text, "A=1\n")
    yield "jobs.metadata.masked", lambda text: masked_metadata({"a": text, "env": [text]})
    for info in pkgutil.walk_packages(opstasks.__path__, "opstasks."):
        if info.name.endswith("__main__") or ".sandbox" in info.name:
            continue
        for name, value in vars(importlib.import_module(info.name)).items():
            if isinstance(value, re.Pattern) and isinstance(value.pattern, str):
                yield f"{info.name}.{name} search", value.search
                yield f"{info.name}.{name} fullmatch", value.fullmatch


def judged(name: str, run: Callable[[str], object]) -> Iterator[str]:
    """A line for each input for which it is slower than linear."""
    for unit in UNITS:
        for tail in TAILS:
            first_s = seconds(run, text(unit, SMALL // 10, tail))
            if first_s > MAX_FIRST_S:
                yield f"{name}: {unit!r} {tail!r}: {first_s:.2f} s for 10 kB"
                return
            small_s = seconds(run, text(unit, SMALL, tail))
            large_s = seconds(run, text(unit, LARGE, tail))
            if large_s < MIN_S or large_s <= LIMIT * small_s:
                continue
            small_s = min(seconds(run, text(unit, SMALL, tail)) for _ in range(5))
            large_s = min(seconds(run, text(unit, LARGE, tail)) for _ in range(3))
            if large_s > LIMIT * small_s:
                yield f"{name}: {unit!r} {tail!r}: {small_s:.3f} s -> {large_s:.3f} s"


def text(unit: str, size: int, tail: str) -> str:
    """A text of this size from copies of a unit."""
    return unit * (size // len(unit)) + tail


def seconds(run: Callable[[str], object], value: str) -> float:
    """The processor time of one run."""
    started = time.process_time()
    run(value)
    return time.process_time() - started


if __name__ == "__main__":
    sys.exit(main())
