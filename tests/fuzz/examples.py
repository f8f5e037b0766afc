"""How many examples: few in the usual run, OPSTASKS_FUZZ_EXAMPLES in `make fuzz`."""

import math
import os
import random

from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

FEW = 5
EXAMPLES = int(os.environ.get("OPSTASKS_FUZZ_EXAMPLES", FEW))
# Hypothesis takes longer for a seed than a parser for a text.
FROM_ONE_SEED = 10
# A smaller seed is not a smaller example, so nothing is shrunk.
PHASES = [phase for phase in Phase if phase not in (Phase.shrink, Phase.explain)]
settings.register_profile(
    "fuzz",
    settings.get_profile("opstasks" if EXAMPLES == FEW else "new_examples"),
    max_examples=math.ceil(EXAMPLES / FROM_ONE_SEED),
    phases=PHASES,
    suppress_health_check=list(HealthCheck),
)


def check_all(example, check):
    """Make all examples, and check each one.

    `example` makes one from a `random.Random`. Hypothesis draws only seeds: each makes some
    examples, always the same ones. A failure names the seed and shows the example.
    """

    @given(st.integers(0, (1 << 64) - 1))
    def run(seed):
        dice = random.Random(seed)
        for _ in range(min(FROM_ONE_SEED, EXAMPLES)):
            made = example(dice)
            try:
                check(made)
            except BaseException:
                note(made)
                raise

    run()
