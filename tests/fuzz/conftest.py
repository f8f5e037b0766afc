"""How many examples: few in the usual run, OPSTASKS_FUZZ_EXAMPLES in `make fuzz`."""

import os

import pytest
from hypothesis import Phase, settings

FEW = 5

EXAMPLES = int(os.environ.get("OPSTASKS_FUZZ_EXAMPLES", FEW))
# To make a failure small takes up to five minutes: `make fuzz` does it, the usual run only fails.
PHASES = [phase for phase in Phase if phase is not Phase.shrink or EXAMPLES > FEW]
settings.register_profile(
    "fuzz", deadline=None, max_examples=EXAMPLES, print_blob=True, phases=PHASES
)


@pytest.fixture(autouse=True)
def many_examples():
    """The settings of this folder."""
    before = settings.get_current_profile_name()
    settings.load_profile("fuzz")
    yield
    settings.load_profile(before)
