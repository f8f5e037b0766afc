"""Every program that a module of ours declares, and the kinds of types of their answers."""

import importlib

from msgspec import inspect as types

from opstasks.fleet.program import Program
from scripts.layout import modules

OBJECTS = (types.StructType, types.DataclassType, types.TypedDictType)
LISTS = (types.ListType, types.SetType, types.FrozenSetType, types.VarTupleType)
ANYTHING = (types.AnyType, types.RawType, types.CustomType, types.NoneType)


def ours():
    """Every module of ours that runs on the client, by name."""
    return {
        name: importlib.import_module(name)
        for name in modules()
        if "onhost" not in name.split(".") and not name.endswith("__main__")
    }


def declared():
    """Every program that a module of ours declares, by name."""
    found = {}
    for module in ours().values():
        programs = [value for value in vars(module).values() if isinstance(value, Program)]
        found |= {program.name: program for program in programs}
    return found


def tag(info):
    """The key that distinguishes the kinds of objects of a union."""
    name = getattr(info, "tag_field", None)
    return {name: info.tag} if name else {}
