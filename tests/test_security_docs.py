"""docs/security.md: each claim names the tests that prove it, and they exist."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docs" / "security.md").read_text()
CLAIMS = [line for line in TEXT.split("\n") if re.match(r"\| [A-Z]+\d+ \|", line)]
REFERENCE = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


@cache
def named_in(path):
    tree = ast.parse((ROOT / path).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_the_document_has_claims():
    assert len(CLAIMS) > 30


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda line: line.split("|")[1].strip())
def test_a_claim_names_tests_that_exist(claim):
    found = REFERENCE.findall(claim)
    assert found, "no test is named"
    for path, name in found:
        assert (ROOT / path).is_file(), path
        assert not name or name in named_in(path), f"{path}::{name}"


def test_claims_have_different_numbers():
    numbers = [line.split("|")[1].strip() for line in CLAIMS]
    assert len(numbers) == len(set(numbers))
