"""Every regular expression of every module of ours, as functions of one text."""

import ast
import importlib
import re

from scripts.layout import modules

USES = ("search", "match", "fullmatch", "sub", "finditer", "findall", "split")


def method(pattern, use):
    """A method of a pattern as a function of a text."""
    if use == "sub":
        return lambda text: pattern.sub("", text)
    if use == "finditer":
        return lambda text: list(pattern.finditer(text))
    return getattr(pattern, use)


def patterns():
    """The names and functions of all patterns of text; those of the sandbox are our own."""
    for name, path in modules().items():
        if "sandbox" in name.split(".") or name.endswith("__main__"):
            continue
        text = path.read_text()
        short = name.removeprefix("opstasks.")
        for where, pattern, use in (*_named(name, text), *_inline(text)):
            yield f"{short}:{where}.{use}", method(pattern, use)


def _named(name, text):
    """The compiled patterns of a module: with the methods that it uses, or else the slowest."""
    for word, value in vars(importlib.import_module(name)).items():
        if isinstance(value, re.Pattern) and isinstance(value.pattern, str):
            used = [use for use in USES if re.search(rf"\b{word}\.{use}\b", text)]
            for use in used or ("search", "fullmatch"):
                yield word, value, use


def _inline(text):
    """The constant patterns in calls such as `re.sub("a", ...)`, and those of fields of answers."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        if called.startswith("re.") and called[3:] in USES:
            first, use = node.args[0], called[3:]
        elif any(word.arg == "pattern" for word in node.keywords):
            (first,), use = [w.value for w in node.keywords if w.arg == "pattern"], "search"
        else:
            continue
        if isinstance(first, ast.Constant) and isinstance(first.value, str):
            yield f"line {node.lineno}", re.compile(first.value), use
