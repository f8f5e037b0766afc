"""A host's storage in a folder of the test."""

import pytest

from tests.outputs.outputs_help import Tree


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)
