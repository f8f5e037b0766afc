"""How many examples: few in the usual run, OPSTASKS_FUZZ_EXAMPLES in `make fuzz`."""

import math
import os

from hypothesis import Phase, settings

FEW = 5
EXAMPLES = int(os.environ.get("OPSTASKS_FUZZ_EXAMPLES", FEW))
# Hypothesis keeps every example until the last one: about 100 kB each.
AT_ONCE = 1000
# Shrinking a failure takes up to five minutes: `make fuzz` does it, the usual run does not.
PHASES = [phase for phase in Phase if phase is not Phase.shrink or EXAMPLES > FEW]
settings.register_profile(
    "fuzz", deadline=None, max_examples=min(EXAMPLES, AT_ONCE), print_blob=True, phases=PHASES
)


def check_all(test):
    """Run a test with all examples, in parts; each part generates its own examples."""
    for _ in range(math.ceil(EXAMPLES / AT_ONCE)):
        test()
