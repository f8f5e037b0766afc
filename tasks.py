"""The tasks that `inv` finds here, assembled in `opstasks.namespace`; no other logic."""

import sys

# inv disables bytecode by default, so every module would be compiled again at each run.
sys.dont_write_bytecode = False

from opstasks.cli import interrupts  # noqa: E402

interrupts.end_quietly()

from opstasks.cli import program as cli  # noqa: E402
from opstasks.namespace import namespace  # noqa: E402

cli.install()

__all__ = ["namespace"]
