"""The parsers of host output under a coverage-guided fuzzer: `make fuzz`.

    python -m tests.fuzz.coverage_guided fleet.marks:EndMarks -runs=10000

The same table as in test_parsers.py, with texts from libFuzzer (through atheris) in place of
Hypothesis. Without a name it prints the names. atheris has wheels for CPython 3.11 to 3.13 on
Linux; elsewhere this ends with exit code 3 and says so.
"""

import sys
import tempfile
from contextlib import nullcontext
from functools import partial
from pathlib import Path

NO_ENGINE = 3

try:
    import atheris

    instrumented = atheris.instrument_imports(include=["opstasks"])
except ImportError:
    atheris = None
    instrumented = nullcontext()

with instrumented:
    from tests.fuzz import parsers


def words_of(parser, folder):
    """Write a dictionary for libFuzzer with the parser's own words; returns the option for it.

    libFuzzer ends with an error if the dictionary is empty.
    """
    if not parser.tokens:
        return []
    place = Path(folder, "words")
    quoted = ("".join(f"\\x{byte:02x}" for byte in word.encode()) for word in parser.tokens)
    place.write_text("".join(f'"{word}"\n' for word in quoted))
    return [f"-dict={place}"]


def take(parser, data):
    """Read the bytes as our session reads a host's output."""
    parsers.run(parser, data.decode("utf-8", "surrogateescape"))


def main(argv):
    """Fuzz one parser; the exit code is libFuzzer's."""
    if not argv:
        print("\n".join(parser.name for parser in parsers.PARSERS if parser.is_host))
        return 0
    if atheris is None:
        text = "atheris is not installed here: the coverage-guided part of make fuzz did NOT run"
        print(text, file=sys.stderr)
        return NO_ENGINE
    (parser,) = [item for item in parsers.PARSERS if item.name == argv[0]]
    with tempfile.TemporaryDirectory() as folder:
        options = [*words_of(parser, folder), "-max_len=4096", *argv[1:]]
        atheris.Setup([sys.argv[0], *options], partial(take, parser))
        atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
