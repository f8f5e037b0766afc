"""Every answer of every program: an impossible value anywhere is an invalid response.

For each declared program a valid answer is made from its type. Then every single value in it is
replaced by nonsense, one at a time.
"""

import importlib
import json

import msgspec
import pytest
from hypothesis import find
from hypothesis import strategies as st
from msgspec import inspect as types

from opstasks.core.errors import InvalidResponse
from opstasks.core.result import Result
from opstasks.fleet.program import Program
from scripts.layout import modules


def declared():
    """Every program that a module of ours declares, by name."""
    found = {}
    for name in modules():
        if "onhost" in name.split(".") or name.endswith("__main__"):
            continue
        module = importlib.import_module(name)
        programs = [value for value in vars(module).values() if isinstance(value, Program)]
        found |= {program.name: program for program in programs}
    return found


PROGRAMS = declared()


OBJECTS = (types.StructType, types.DataclassType, types.TypedDictType)
LISTS = (types.ListType, types.SetType, types.FrozenSetType, types.VarTupleType)
ANYTHING = (types.AnyType, types.RawType, types.CustomType, types.NoneType)
# The smallest plain value of a type; every list and mapping has one element.
EXAMPLES = {
    **dict.fromkeys(OBJECTS, lambda t: tag(t) | {f.encode_name: example(f.type) for f in t.fields}),
    **dict.fromkeys(LISTS, lambda t: [example(t.item_type)] * max(1, t.min_length or 0)),
    **dict.fromkeys(ANYTHING, lambda t: "anything"),
    types.TupleType: lambda t: [example(item) for item in t.item_types],
    types.DictType: lambda t: {example(t.key_type): example(t.value_type)},
    types.UnionType: lambda t: example(
        next(kind for kind in t.types if not isinstance(kind, types.NoneType))
    ),
    types.StrType: lambda t: smallest(t.pattern) if t.pattern else "a" * max(1, t.min_length or 0),
    types.IntType: lambda t: max(1, t.ge or 0),
    types.FloatType: lambda t: 1.5,
    types.BoolType: lambda t: True,
    types.LiteralType: lambda t: t.values[0],
    types.EnumType: lambda t: next(iter(t.cls)).value,
}


def tag(info):
    """The key that distinguishes the kinds of objects of a union."""
    name = getattr(info, "tag_field", None)
    return {name: info.tag} if name else {}


def smallest(pattern):
    """The smallest text that a pattern accepts."""
    return find(st.from_regex(pattern, fullmatch=True), lambda text: True)


def example(info):
    """A plain value of a type."""
    return EXAMPLES[type(info)](info)


def leaves(info, path=()):
    """The place of each value of an answer, and its type."""
    if isinstance(info, OBJECTS):
        for field in info.fields:
            yield from leaves(field.type, (*path, field.encode_name))
    elif not isinstance(info, ANYTHING):
        yield path, info
        if isinstance(info, LISTS):
            yield from leaves(info.item_type, (*path, 0))
        elif isinstance(info, types.TupleType):
            for number, item in enumerate(info.item_types):
                yield from leaves(item, (*path, number))
        elif isinstance(info, types.DictType):
            yield from leaves(info.value_type, (*path, example(info.key_type)))
        elif isinstance(info, types.UnionType):
            real = next(kind for kind in info.types if not isinstance(kind, types.NoneType))
            yield from (leaf for leaf in leaves(real, path) if leaf[0] != path)


LONG = 5 << 20
NUMBERS = (types.IntType, types.FloatType)


def nonsense(info):
    """Values that a type must refuse; a text without a maximum length is a mistake."""
    kinds = info.types if isinstance(info, types.UnionType) else (info,)
    real = [kind for kind in kinds if not isinstance(kind, types.NoneType)]
    if not any(isinstance(kind, (*OBJECTS, types.DictType)) for kind in real):
        yield {"wrong": {"kind": []}}
    if not any(isinstance(kind, (*LISTS, types.TupleType)) for kind in real):
        yield [["nested"]]
    if len(real) == len(kinds):
        yield None
    if all(isinstance(kind, NUMBERS) for kind in real):
        yield from (1e300, -(10**30), 10**30, "12", True)
    if all(isinstance(kind, types.StrType) for kind in real):
        yield 12
        yield "x" * (max(kind.max_length or LONG for kind in real) + 1)


def put(value, path, new):
    """A copy with one value replaced."""
    if not path:
        return new
    copied = json.loads(json.dumps(value))
    at = copied
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = new
    return copied


def decoded(program, answer):
    text = json.dumps({"ok": answer})
    return program.decode(Result(program.name, 0, text, ""), "tpp")


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_valid_answer_is_decoded(name):
    program = PROGRAMS[name]
    assert decoded(program, example(types.type_info(program.answer))) is not None


@pytest.mark.parametrize("name", PROGRAMS)
def test_each_impossible_value_is_an_invalid_response(name):
    program = PROGRAMS[name]
    info = types.type_info(program.answer)
    whole = example(info)
    taken = []
    for path, kind in leaves(info):
        for wrong in nonsense(kind):
            if len(str(wrong)) >= program.max_bytes:
                continue  # no line of an answer is that long
            try:
                decoded(program, put(whole, path, wrong))
            except InvalidResponse as error:
                assert error.host == "tpp"
                assert len(error.message) < 500
            else:
                taken.append(f"{'.'.join(map(str, path))} = {str(wrong)[:40]}")
    assert taken == []


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_request_can_be_sent(name):
    program = PROGRAMS[name]
    json.dumps(
        msgspec.to_builtins(
            msgspec.convert(example(types.type_info(program.request)), program.request)
        )
    )
