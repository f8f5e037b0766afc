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
# Where `splitlines` is harmless. Elsewhere only "\n" ends a line: a name may contain U+0085.
SPLITS = {
    "opstasks.jobs.read": "the last line of an error, to show",
    "opstasks.jobs.retry": "the last line of an error, to show",
    "opstasks.config.keys": "our own templates",
    "opstasks.manage.effect_units": "our own descriptions",
    "opstasks.manage.units": "our own descriptions",
    "opstasks.manage.lockout": "our own descriptions",
    "opstasks.manage.onhost.file_facts": "lines of an error, to show",
    "opstasks.maintenance.onhost.after": "lines of the kernel",
    "opstasks.maintenance.onhost.problems": "the last line of an error, to show",
    "opstasks.status.inspect": "the last line of an error, to show",
    "opstasks.deploy.problems": "the last line of an error, to show",
    "opstasks.fleet.proxy": "lines of an error, to show",
    "opstasks.fleet.refusals": "lines of an error, to show",
    "opstasks.fleet.host_patterns": "a file of the person who runs it",
    "opstasks.onhost.commands": "lines of an error, to show",
    "opstasks.onhost.script": "our own text",
}


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
        if ".splitlines(" in path.read_text() and "sandbox" not in name
    }
    lacking = [name for name in found if not any(name.startswith(known) for known in SPLITS)]
    assert lacking == []
    assert [known for known in SPLITS if not any(name.startswith(known) for name in found)] == []
