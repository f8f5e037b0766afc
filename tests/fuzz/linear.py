"""Compare the CPU time for 1 MB and 100 kB: `python -m tests.fuzz.linear [NAME...]`, `make fuzz`.

It takes every function of the table in parsers.py and every pattern, with texts that repeat a few
characters. It is not a test, because it measures time. The exit code is 1 if 1 MB takes more than
`MOST` times as long.
"""

import contextlib
import gc
import multiprocessing
import os
import resource
import sys
import time

from tests.fuzz.parsers import PARSERS, run
from tests.fuzz.patterns import patterns

SMALL, LARGE, MOST = 100_000, 1_000_000, 15
# Shorter times for 1 MB are not judged: they depend on the clock and the cache.
QUICK_S = 0.03
# 10 kB are tried before 100 kB, and may take a tenth of a second at most.
FIRST, FIRST_S = 10_000, 0.1
# Nothing may take longer than this for 100 kB.
SMALL_S = 5.0
# A function that takes longer than this for 100 kB gets only so many texts of 1 MB.
THOROUGH_S, FEW = 0.02, 6
MOST_BYTES = 2 << 30
REPEATED = (
    *" \t\n\0a0'\"=:()[{-*,/\\#@$|.%\x85\u2028\u00e9\U0001f980",
    *("\r\n", "\x1b[", "a.", "a=", "a ", " a", "a:", "a\n", "a-", "a_", "aA1", "a://", "://:"),
    *('{"', "[[", "--", "' ", "=a ", "= ", "x://a:b@", "a://b/", "TOKEN", "TOKEN=", 'TOKEN="'),
    *("TOKEN:'", "TOKEN: |\n ", "--password ", "--token='", "-p ", "bearer ", '"\\', "\\\n"),
    *("$(-a ", "<(-a ", "-a$(x ", "${-a ", "-p $(x ", "$(-a ) ", "\\''", "'\\'' ", "'\\'', "),
    *("-----BEGIN PRIVATE KEY-----\n", "${", "${a}", "$(", "\\000", "1d", "export ", "#a\n"),
)


def cpu_s(call, text):
    """CPU seconds of a call; errors are ignored, other tests check them."""
    began = time.process_time()
    with contextlib.suppress(Exception):
        call(text)
    return time.process_time() - began


def texts(tokens):
    """For each word: its name, and a function that makes a text of a size."""
    for word in dict.fromkeys((*REPEATED, *tokens)):
        for start, end in (("", ""), ("".join(tokens[:1]), "!")):
            yield (
                f"{word!r} after {start!r}",
                lambda size, word=word, start=start, end=end: (
                    start + word * (size // len(word)) + end
                ),
            )


def slow(call, tokens):
    """The texts for which a function is not linear, with the times.

    A function that reads sign by sign takes a second for each large text: it gets only those few
    that took most, compared with the first size.
    """
    waiting = []
    for name, text in texts(tokens):
        if (first_s := cpu_s(call, text(FIRST))) > FIRST_S:
            yield f"{name}: 10 kB take {first_s:.2f} s"
        elif (small_s := cpu_s(call, text(SMALL))) > SMALL_S:
            yield f"{name}: 100 kB take {small_s:.1f} s"
        elif small_s < THOROUGH_S:
            yield from judged(name, call, text, small_s)
        else:
            waiting.append((small_s / first_s, name, text, small_s))
    waiting.sort(key=lambda item: -item[0])
    for _, name, text, small_s in waiting[:FEW]:
        yield from judged(name, call, text, small_s)


def judged(name, call, text, small_s):
    """A line if the times for both sizes are not linear; the best of several decides."""
    large_s = cpu_s(call, text(LARGE))
    for _ in range(3):
        if large_s < QUICK_S or large_s <= MOST * small_s:
            return
        gc.collect()
        small_s = max(small_s, cpu_s(call, text(SMALL)))
        large_s = min(large_s, cpu_s(call, text(LARGE)))
    if large_s > MOST * small_s:
        yield f"{name}: {small_s:.3f} s, then {large_s:.3f} s"


def functions():
    """All that is measured, with the words of its language."""
    found = [(p.name, lambda text, p=p: run(p, text), p.tokens) for p in PARSERS]
    return found + [(name, call, ()) for name, call in patterns()]


def prepare():
    """In each process: limit the memory, and collect garbage only where it does not count."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    gc.collect()
    gc.freeze()
    gc.disable()


def measured(number):
    """The name of a function, what is slow, and how long this took."""
    name, call, tokens = FUNCTIONS[number]
    began = time.process_time()
    found = list(slow(call, tokens))
    gc.collect()
    return name, found, time.process_time() - began


FUNCTIONS = functions()


def main(wanted):
    """Print what is not linear; the exit code says whether anything is."""
    numbers = [
        number
        for number, (name, _, _) in enumerate(FUNCTIONS)
        if not wanted or any(word in name for word in wanted)
    ]
    slow_ones, spent = 0, []
    with multiprocessing.get_context("fork").Pool(min(2, os.cpu_count() or 1), prepare) as pool:
        for name, found, seconds in pool.imap_unordered(measured, numbers):
            slow_ones += bool(found)
            spent.append((seconds, name))
            for line in found:
                print(f"{name}: {line}", flush=True)
    print(
        f"fuzz: {len(numbers)} functions and patterns, 1 MB against 100 kB: {slow_ones} not linear"
    )
    longest = ", ".join(f"{name} {seconds:.0f} s" for seconds, name in sorted(spent)[:-4:-1])
    print(f"measured in {sum(s for s, _ in spent):.0f} s of CPU time; longest: {longest}")
    return 1 if slow_ones else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
