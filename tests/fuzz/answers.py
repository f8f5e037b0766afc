"""Answers of a host: valid ones (recorded, or generated from the type) and invalid ones."""

import json
import random
from functools import cache
from pathlib import Path

from hypothesis import find
from hypothesis import strategies as st
from msgspec import inspect as types

from tests.fake_host import Reply
from tests.fuzz import hostile
from tests.programs import ANYTHING, LISTS, OBJECTS, tag

# The host's clock in every answer.
NOW = 1_800_000_000.0
# A job of the recorded answers.
KNOWN_ID = "weknye62ygrqv6bq"
# How many different sane answers there are for each program.
SANE = 12
# How many places get nonsense: long or deep values have too many.
MOST_PLACES, MOST_DEEP = 400, 12
# A list of more items is not repeated.
MOST_LONG = 100


def sane(info, dice, name=""):
    """A plain value of a type; `dice` makes the choices, `name` is that of the field."""
    return MAKE[type(info)](info, dice, name)


def _object(info, dice, name):
    return tag(info) | {f.encode_name: sane(f.type, dice, f.encode_name) for f in info.fields}


def _items(info, dice, name):
    count = max(info.min_length or 0, dice.randint(0, 3))
    return [sane(info.item_type, dice, name) for _ in range(min(count, info.max_length or count))]


def _mapping(info, dice, name):
    return {
        sane(info.key_type, dice, "key"): sane(info.value_type, dice, name)
        for _ in range(dice.randint(0, 3))
    }


def _text(info, dice, name):
    if info.pattern:
        return from_pattern(info.pattern)
    if name in ("time", "since", "when"):
        return "2027-01-15T08:00:00+00:00"
    if name in ("id", "key") and dice.random() < 0.7:
        return KNOWN_ID
    if name.endswith("state"):
        return dice.choice(["running", "failed", "succeeded", "pending", "active", "dead"])
    if "path" in name or "folder" in name:
        return dice.choice(["/srv/x", "/home/opensafely/x"])
    words = ("abc", "abcdef0123456789", "a", "v2.71.0", "two words", "")
    word = dice.choice(words)
    return word or ("a" if info.min_length else "")


def _number(info, dice, name):
    low, high = info.ge or 0, info.le or 1 << 40
    found = dice.choice([0, 1, 7, 4096, NOW, NOW - 60, NOW + 3600])
    found = NOW - 60 if name.endswith("_at") and dice.random() < 0.8 else found
    found = min(max(found, low), high)
    return int(found) if isinstance(info, types.IntType) else float(found)


MAKE = {
    **dict.fromkeys(OBJECTS, _object),
    **dict.fromkeys(LISTS, _items),
    **dict.fromkeys(ANYTHING, lambda info, dice, name: dice.choice(["x", 1, None, NOW])),
    types.NoneType: lambda info, dice, name: None,
    types.TupleType: lambda info, dice, name: [sane(t, dice, name) for t in info.item_types],
    types.DictType: _mapping,
    types.UnionType: lambda info, dice, name: sane(dice.choice(info.types), dice, name),
    types.StrType: _text,
    types.IntType: _number,
    types.FloatType: _number,
    types.BoolType: lambda info, dice, name: dice.random() < 0.5,
    types.LiteralType: lambda info, dice, name: dice.choice(info.values),
    types.EnumType: lambda info, dice, name: dice.choice([item.value for item in info.cls]),
}


@cache
def from_pattern(pattern):
    """The smallest text that a pattern accepts."""
    return find(st.from_regex(pattern, fullmatch=True), lambda text: True)


RECORDED = json.loads(Path(__file__).with_name("answers.json").read_text())


def completed(info, value, dice, name=""):
    """A recorded value, with the required fields that its type got since then."""
    if isinstance(info, OBJECTS) and isinstance(value, dict):
        return tag(info) | {
            f.encode_name: completed(f.type, value[f.encode_name], dice, f.encode_name)
            if f.encode_name in value
            else sane(f.type, dice, f.encode_name)
            for f in info.fields
            if f.required or f.encode_name in value
        }
    if isinstance(info, LISTS) and isinstance(value, list):
        return [completed(info.item_type, item, dice, name) for item in value]
    if isinstance(info, types.DictType) and isinstance(value, dict):
        return {key: completed(info.value_type, item, dice) for key, item in value.items()}
    return value


@cache
def sane_answers(program):
    """Some sane answers of a program, as plain values; the same ones in each run.

    First those of a real host, then those that are generated from the type alone.
    """
    info = types.type_info(program.answer)
    found = []
    for number in range(SANE):
        dice = random.Random(f"{program.name} {number}")
        real = RECORDED.get(program.name, [])
        is_real = number < min(len(real), SANE // 2)
        found.append(completed(info, real[number], dice) if is_real else sane(info, dice))
    return found


@cache
def sane_parts(program):
    """The parts that a program sends while it works."""
    if program.part is None:
        return []
    info = types.type_info(program.part)
    return [sane(info, random.Random(f"{program.name} {n}"), "") for n in range(2)]


@cache
def sane_reply(program, number=0):
    """The whole output of a program that works."""
    parts = [line("part", part) for part in sane_parts(program)]
    return Reply(out="".join((*parts, line("ok", sane_answers(program)[number]))))


# -- nonsense ----------------------------------------------------------------------------------


def places(value):
    """The paths of the values inside a value, the value itself included."""
    found, waiting = [], [((), value)]
    while waiting and len(found) < MOST_PLACES:
        path, here = waiting.pop()
        found.append(path)
        if isinstance(here, dict):
            waiting += [((*path, key), item) for key, item in here.items()]
        elif isinstance(here, list) and len(path) < MOST_DEEP:
            waiting += [((*path, number), item) for number, item in enumerate(here)]
    return found


def at(value, path):
    """The value in a place."""
    for step in path:
        value = value[step]
    return value


def put(value, path, new):
    """Replace a value in its place; returns the whole."""
    if not path:
        return new
    at(value, path[:-1])[path[-1]] = new
    return value


def _alike(old, dice):
    """Nonsense of the same kind: it may be accepted as an answer."""
    if isinstance(old, bool) or old is None:
        return dice.choice((True, False, None))
    if isinstance(old, str):
        return hostile.text(dice)
    if isinstance(old, int | float):
        return hostile.number(dice)
    if isinstance(old, list):
        # Not longer and longer: a value may be replaced several times.
        return dice.choice(([], old * 2, old[::-1], old * (40 if len(old) < MOST_LONG else 1)))
    pairs = list(old.items())
    if pairs and dice.random() < 0.5:
        return {hostile.text(dice): pairs[0][1]} | dict(pairs[1:])
    return dice.choice(({}, dict(pairs[1:]), dict(pairs[::-1])))


def changed(dice, sane_values):
    """A sane value with up to four values replaced by nonsense, mostly of the same kind."""
    value = json.loads(dice.choice(sane_values))
    for _ in range(dice.randint(1, 4)):
        path = dice.choice(places(value))
        is_alike = dice.random() < 0.8
        new = _alike(at(value, path), dice) if is_alike else hostile.value(dice)
        value = put(value, path, new)
    return value


def line(kind, value):
    """A line of an answer. JSON writes 400-digit numbers, and any character, as they are."""
    return json.dumps({kind: value}) + "\n"


@cache
def as_json(values_of, program):
    """The values of a program as texts: a text is read faster than a value is copied."""
    return [json.dumps(value) for value in values_of(program)]


def hostile_reply(dice, program):
    """What a hostile host prints as the answer of a program."""
    way = dice.randrange(10)
    parts = ""
    if program.part is not None:
        several = range(dice.randint(0, 2))
        parts = "".join(line("part", changed(dice, as_json(sane_parts, program))) for _ in several)
    if way < 6:
        return Reply(out=parts + line("ok", changed(dice, as_json(sane_answers, program))))
    if way == 6:
        detail = hostile.text(dice)
        words = {"reason": hostile.text(dice), "detail": detail, "traceback": detail}
        return Reply(out=line(dice.choice(("refused", "failed")), words))
    if way == 7:
        return Reply(out=parts + line(hostile.text(dice), hostile.value(dice)))
    return Reply(dice.choice((0, 1, 124, 137, 255)), hostile.raw(dice), hostile.raw(dice))
