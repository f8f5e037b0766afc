"""The tasks that `inv` finds here; assembled in `opstasks.tasks`, no logic of its own."""

import sys

# inv switches bytecode off by default, which would compile every module anew at each run.
sys.dont_write_bytecode = False

from opstasks import cli  # noqa: E402
from opstasks.tasks import namespace  # noqa: E402

cli.install()

__all__ = ["namespace"]
