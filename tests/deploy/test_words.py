"""Words that are the same everywhere."""

import ast
import re

import pytest

from opstasks.deploy import words
from opstasks.output.parts import Painted
from scripts.layout import modules

OURS = sorted(modules())


@pytest.mark.parametrize("name", OURS)
def test_no_text_leaves_the_plural_to_the_reader(name):
    tree = ast.parse(modules()[name].read_text())
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    assert [t for t in texts if isinstance(t, str) and re.search(r"[a-z]\(e?s\)", t)] == []


@pytest.mark.parametrize(
    ("state", "for_s", "cell"),
    [
        ("up", 720.0, Painted("up 12m", "green")),
        ("up", None, Painted("up", "green")),
        ("stopped", 60.0, Painted("stopped 1m", "yellow")),
        ("starting", 52.0, Painted("CRASH LOOP 52s", "red")),
        ("failed", 52.0, Painted("FAILED 52s", "red")),
        (None, None, Painted("unknown", "yellow")),
    ],
)
def test_the_state_of_the_service_is_in_the_words_and_in_the_colour(state, for_s, cell):
    assert words.service_cell(state, for_s) == cell


@pytest.mark.parametrize(
    ("count", "text"), [(1, "1 commit"), (5, "5 commits"), (200, "200 or more commits")]
)
def test_a_count_that_reached_its_limit_says_so(count, text):
    assert words.count_text(count, "commit", 200) == text
