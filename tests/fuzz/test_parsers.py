"""Any text is read, or refused with an expected error."""

import ast
import re
from functools import partial

import pytest

from scripts.layout import modules
from tests.fuzz import parsers
from tests.fuzz.examples import check_all
from tests.fuzz.parsers import NO_PARSER, PARSERS

# The name of a public function that reads a text.
READS = re.compile(
    r"parse(_.*)?|read(_.*)?|(.*_)?of|from_text|decode|masked(_.*)?|valid_.*|check_.*"
)
TEXT = re.compile(r"(str|bytes|bytearray)")
# The first argument is text to read, not a place or a name.
IS_TEXT = ("text", "line", "raw", "out", "data", "names")
# Where lines end as in Python's own text. Elsewhere only "\n" ends one: a name may contain U+0085.
SPLITS = {"opstasks.onhost.script"}


@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.name)
def test_any_text_is_read_or_refused(parser):
    check_all(partial(parsers.text_for, parser=parser), partial(parsers.run, parser))


def functions():
    """The public functions of our modules, with the name and the type of the first argument."""
    for name, path in modules().items():
        if "sandbox" in name or name.endswith("tasks"):
            continue
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.args.args:
                first = node.args.args[0]
                kind = ast.unparse(first.annotation) if first.annotation else ""
                yield f"{name.removeprefix('opstasks.')}:{node.name}", first.arg, kind


def test_each_function_that_reads_a_text_has_a_row_or_a_reason():
    rows = {parser.name for parser in PARSERS} | set(NO_PARSER)
    lacking = [
        name
        for name, argument, kind in functions()
        if READS.fullmatch(name.partition(":")[2])
        and TEXT.fullmatch(kind)
        and argument in IS_TEXT
        and name not in rows
    ]
    assert lacking == []


def test_lines_of_a_host_end_at_line_feeds_only():
    found = {
        name
        for name, path in modules().items()
        if "sandbox" not in name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr == "splitlines"
    }
    assert found == SPLITS
