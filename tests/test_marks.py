"""Which tests need real hosts: a file's name, mark and fixtures must agree."""

import ast
from pathlib import Path

import pytest

from tests.conftest import LONG, needs_a_host

TESTS = Path(__file__).parent
FILES = sorted(TESTS.rglob("test_*.py"))


def marks(path):
    """The names of the marks that all tests of a file have."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark":
            found = (part for part in ast.walk(node.value) if isinstance(part, ast.Attribute))
            return {part.attr for part in found if ast.unparse(part.value) == "pytest.mark"}
    return set()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_files_of_hosts_are_marked_for_them_and_no_others(path):
    expected = "story" if path.parent.name == "stories" else "sandbox"
    assert marks(path) & {"sandbox", "story"} == ({expected} if needs_a_host(path) else set())


def test_no_other_file_uses_a_host(misplaced_tests):
    assert misplaced_tests == []


@pytest.mark.parametrize("name", LONG)
def test_the_files_to_begin_with_exist(name):
    assert (TESTS / name).is_file()
