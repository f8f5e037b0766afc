"""CPU time to read 1 MB against 100 kB: `python -m tests.fuzz.linear`, a part of `make fuzz`.

Not a test: it measures time. It ends with exit code 1 if 1 MB takes more than `MOST` times as long.
"""

import contextlib
import gc
import re
import sys
import time

from scripts.layout import modules
from tests.fuzz.parsers import PARSERS, run
from tests.programs import ours

SMALL, LARGE, MOST = 100_000, 1_000_000, 15
# A function that takes less for 1 MB is not measured more precisely: this is quick enough.
QUICK_S = 0.25
# A text is not made larger if the small one takes as long as this.
FAR_TOO_LONG_S = 8.0
REPEATED = (
    *" \t\n\0a0'\"=:()[{-*,/\\#@$|.\x85\u2028\u00e9\U0001f980",
    *(
        "\r\n",
        "\x1b[",
        "a.",
        "a=",
        "a ",
        "a:",
        "a\n",
        "a://",
        "://:",
        '{"',
        "[[",
        "--",
        "' ",
        "=a ",
    ),
    *("a ", "TOKEN", "x://a:b@"),
)
USES = ("search", "match", "fullmatch", "sub", "finditer", "findall", "split")


def cpu_s(call, text):
    """CPU seconds of a call; errors are another test's matter."""
    gc.collect()
    began = time.process_time()
    with contextlib.suppress(Exception):
        call(text)
    return time.process_time() - began


def patterns():
    """Each compiled pattern of a module with the methods that the module uses, as calls."""
    sources = {name: path.read_text() for name, path in modules().items()}
    for name, module in ours().items():
        for word, value in vars(module).items():
            if not isinstance(value, re.Pattern) or isinstance(value.pattern, bytes):
                continue
            for use in USES:
                if re.search(rf"\b{word}\.{use}\b", sources[name]):
                    yield f"{name.removeprefix('opstasks.')}:{word}.{use}", method(value, use)


def method(pattern, use):
    """A method of a pattern as a function of a text."""
    if use == "sub":
        return lambda text: pattern.sub("", text)
    if use == "finditer":
        return lambda text: list(pattern.finditer(text))
    return getattr(pattern, use)


def slow(name, call, tokens):
    """The repeated words for which a function is not linear, with the two times."""
    for word in dict.fromkeys((*REPEATED, *tokens)):
        for start, end in (("", ""), ("".join(tokens[:1]), "!")):
            small_s = cpu_s(call, start + word * (SMALL // len(word)) + end)
            if small_s > FAR_TOO_LONG_S:
                yield f"{name}: {word!r}: 100 kB takes {small_s:.1f} s"
                break
            large_s = cpu_s(call, start + word * (LARGE // len(word)) + end)
            if large_s > QUICK_S and large_s > MOST * small_s:
                # Once more: the first time may include the collection of garbage.
                large_s = min(large_s, cpu_s(call, start + word * (LARGE // len(word)) + end))
            if large_s > QUICK_S and large_s > MOST * small_s:
                yield f"{name}: {word!r} after {start!r}: {small_s:.3f} s, then {large_s:.3f} s"
                break


def main():
    """Print what is not linear; the exit code says whether anything is."""
    calls = [(p.name, lambda text, p=p: run(p, text), p.tokens) for p in PARSERS]
    calls += [(name, call, ()) for name, call in patterns()]
    wanted = sys.argv[1:]
    # When it is collected, garbage costs as much as all that is alive: that is no matter of a text.
    gc.disable()
    count = 0
    for name, call, tokens in calls:
        if wanted and not any(word in name for word in wanted):
            continue
        for line in slow(name, call, tokens):
            count += 1
            print(line, flush=True)
    print(f"{len(calls)} functions, {count} not linear")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
