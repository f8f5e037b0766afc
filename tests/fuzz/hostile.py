"""Values that break readers and parsers: texts, numbers, JSON, bytes.

All are made by `dice`, a `random.Random`: the same seed makes the same values. Hypothesis itself
draws only the seed, because it needs more time for a large value than a task for a whole run.
"""

import math
import struct

# Separators, controls, other scripts' digits, lone surrogates, and words of our own tables.
PIECES = (
    "",
    " ",
    "\n",
    "\r",
    "\t",
    "\0",
    "\x1b[31m",
    "\x1b[45m",  # not one of our own colours
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
    "error  forged (b)",
    "next:  reboot",
    "[1/2] b  DONE",
    "b  ok",
)
# The first and the last character of some ranges, from which texts are made.
RANGES = ((0x20, 0x7E), (0, 0xFF), (0x300, 0x2FFF), (0, 0xFFFF), (0, 0x10FFFF))
# How often a text is a long one: it takes as much time as a hundred others.
LONG_SHARE = 0.01
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


def text(dice):
    """A text that separates, controls, cannot be encoded, or is long."""
    if dice.random() < LONG_SHARE:
        return dice.choice(LONG)
    way = dice.randrange(3)
    if way == 0:
        return dice.choice(PIECES)
    if way == 1:
        return "".join(dice.choices(PIECES, k=dice.randint(0, 6)))
    first, last = dice.choice(RANGES)
    return "".join(chr(dice.randint(first, last)) for _ in range(dice.randint(0, 12)))


def number(dice):
    """A number at the limits, beyond them, or any other; JSON has neither nan nor infinity."""
    way = dice.randrange(3)
    if way == 0:
        return dice.choice(NUMBERS)
    if way == 1:
        return dice.choice((1, -1)) * dice.getrandbits(dice.randint(1, 128))
    (found,) = struct.unpack("d", dice.randbytes(8))
    return found if math.isfinite(found) else 0.0


def value(dice, levels=3):
    """Any value of JSON."""
    way = dice.randrange(8 if levels else 5)
    if way == 0:
        return dice.choice((None, True, False))
    if way == 1:
        return number(dice)
    if way == 2:
        return deep(dice.choice((50, 900)))
    if way < 5:
        return text(dice)
    inner = [value(dice, levels - 1) for _ in range(dice.randint(0, 3))]
    return inner if way < 7 else {text(dice): item for item in inner}


def raw(dice):
    """What a command may print: any bytes, read as our session reads them."""
    if dice.random() < 0.5:
        return text(dice)
    return dice.randbytes(dice.randint(0, 40)).decode("utf-8", "surrogateescape")
