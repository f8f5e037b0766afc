"""Values that break readers and parsers: texts, numbers, JSON, bytes.

Each strategy is made once, because Hypothesis checks a new one and keeps its description with all
its texts. For the same reason, long texts are chosen by their number.
"""

from functools import cache

from hypothesis import strategies as st

# Separators, controls, other scripts' digits, lone surrogates, and words of our own tables.
PIECES = (
    "",
    " ",
    "\n",
    "\r",
    "\t",
    "\0",
    "\x1b[31m",
    "\x1b]0;title\x07",
    "\x7f",
    "\x85",
    "\x9b2J",
    "\u2028",
    "\u2029",
    "\u202e",
    "\u200b",
    "\ufeff",
    "\udcff",
    "\ud800",
    "e\u0301",
    "\u0663",
    "\u00b2",
    "\U0001f980",
    "\U0010ffff",
    ",",
    ";",
    ":",
    "=",
    "'",
    '"',
    "`",
    "\\",
    "/",
    "../..",
    "-",
    "--help",
    "%s{0}{x.y}$(id)",
    "%",
    "#",
    "|",
    "[",
    "{",
    '{"part"',
    "0",
    "-1",
    "1e999",
    "nan",
    "9" * 40,
    "9" * 5000,
    "a",
    "abc",
    "error: b: forged",
    "b  ok",
)
LONG = ("x" * 60_000, "x" * 70_000, " " * 60_000, "\n" * 60_000, "\x1b" * 60_000)
NUMBERS = (
    0,
    -0.0,
    0.5,
    1,
    -1,
    255,
    256,
    1 << 31,
    1 << 32,
    1 << 53,
    1 << 60,
    1 << 63,
    1 << 64,
    10**30,
    10**400,
    5e-324,
    1e-7,
    1e15,
    1e17,
    1e300,
    253402300800,
    32_503_680_000,
    32_503_680_001,
    True,
)


def deep(depth):
    """A list in a list in a list."""
    value = []
    for _ in range(depth):
        value = [value]
    return value


@cache
def texts():
    """Texts that separate, control, cannot be encoded, or are long."""
    pieces = st.sampled_from(PIECES)
    return st.one_of(
        pieces,
        st.lists(pieces, max_size=6).map("".join),
        st.text(st.characters(codec=None), max_size=12),
        st.integers(0, len(LONG) - 1).map(LONG.__getitem__),
    )


@cache
def numbers():
    """Numbers at the limits and beyond them; JSON has no others."""
    return st.one_of(
        st.sampled_from(NUMBERS), st.integers(), st.floats(allow_nan=False, allow_infinity=False)
    )


@cache
def values():
    """Any value of JSON."""
    plain = st.one_of(
        st.none(), st.booleans(), numbers(), texts(), st.sampled_from((50, 900)).map(deep)
    )
    return st.recursive(
        plain,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts(), inner, max_size=3),
        max_leaves=5,
    )


@cache
def raw():
    """What a command may print: any bytes, read as our session reads them."""
    return st.one_of(
        texts(),
        st.binary(max_size=40).map(lambda data: data.decode("utf-8", "surrogateescape")),
    )
