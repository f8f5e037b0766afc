"""How many examples: few in the usual run, OPSTASKS_FUZZ_EXAMPLES in `make fuzz`."""

import os

import pytest
from hypothesis import settings

FEW = 10

EXAMPLES = int(os.environ.get("OPSTASKS_FUZZ_EXAMPLES", FEW))
settings.register_profile("fuzz", deadline=None, max_examples=EXAMPLES, print_blob=True)


@pytest.fixture(autouse=True)
def many_examples():
    """The settings of this folder."""
    before = settings.get_current_profile_name()
    settings.load_profile("fuzz")
    yield
    settings.load_profile(before)
