"""How many examples: few in the usual run, OPSTASKS_FUZZ_EXAMPLES in `make fuzz`."""

import os

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

FEW = 5
EXAMPLES = int(os.environ.get("OPSTASKS_FUZZ_EXAMPLES", FEW))
# A smaller seed is not a smaller example, so nothing is shrunk.
PHASES = [phase for phase in Phase if phase not in (Phase.shrink, Phase.explain)]
settings.register_profile(
    "fuzz",
    deadline=None,
    max_examples=EXAMPLES,
    phases=PHASES,
    suppress_health_check=list(HealthCheck),
)
# An example is made from one number (hostile.py): a failure names it, and it always makes the same.
SEEDS = st.integers(0, (1 << 64) - 1)
