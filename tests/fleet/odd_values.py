"""Values for any field of a struct that is read from YAML, as a person could write them."""

import typing

import msgspec

# No field of any type accepts these.
NEVER_GOOD = [
    *("", "~", "null", "Null", "[~]", "{a: ~}", "{nonsense_x: 1}", "[[]]", "[{}]", "[1]"),
    *("-1.5", '"\\0"'),
]
# These are errors wherever they are.
YAML_ERRORS = [
    *("yes", "no", "on", "off", "True", "FALSE", "[no]", "2026-01-01", "=", "[2026-01-01]"),
    *("!!bool x", "!!timestamp x", "!!int x", "!!str x", "!x y", "! x", "!!null ''", "[!!str x]"),
    *(".inf", "-.inf", ".nan", "0x16", "0022", "22:22", "1_0", "9" * 19, f"{'9' * 400}.0"),
    *("&a x", "*a", "{<<: {}}", "{no: 1}", "{1: 1}", "{a: 1, a: 2}"),
]
# Values of another type, or out of range, by the kind of the field.
WRONG = {
    str: ["1", "0", "1.5", "true", "[]", "{}", "[x]"],
    int: ["1.5", "true", "'1'", "[]", "{}", "-1", "9" * 18, "''"],
    float: ["true", "'1'", "[]", "{}", "-1", "-0.5", "0", "9" * 18, f"{'9' * 18}.0", "''"],
    bool: ["1", "0", "'true'", "[]", "{}", "''"],
    tuple: ["1", "true", "'x'", "{}", "''", "['']", "[[x]]"],
    dict: ["1", "true", "'x'", "[]", "''", "[x]"],
    msgspec.Struct: ["1", "true", "'x'", "[]", "''", "[x]"],
}


def kind_of(kind):
    """The key of a field's type in WRONG."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return msgspec.Struct
    origin = typing.get_origin(kind)
    if origin is typing.Annotated:
        return kind_of(typing.get_args(kind)[0])
    if origin is typing.Literal:
        return str
    return origin or kind


def every_field(kind, path=()):
    """Each field of a struct and of the structs in it: its path, its type and its default."""
    for field in msgspec.structs.fields(kind):
        below = (*path, field.name)
        yield below, field.type, field.default
        if kind_of(field.type) is msgspec.Struct:
            yield from every_field(field.type, below)


def block(path, value):
    """The value at a path in YAML's block style, one key on each line."""
    lines = [f"{'  ' * level}{key}:" for level, key in enumerate(path)]
    return "\n".join(lines) + f" {value}\n"


def is_refused_for_all(kind, value):
    """Whether a value of NEVER_GOOD is one for this kind: a mapping of texts has free names."""
    return not (kind_of(kind) is dict and value == "{nonsense_x: 1}")
