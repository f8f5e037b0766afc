"""The tasks that `inv` finds here; assembled in `opstasks.namespace`, no logic of its own."""

import sys

# inv switches bytecode off by default, which would compile every module anew at each run.
sys.dont_write_bytecode = False

from opstasks.cli import program as cli  # noqa: E402
from opstasks.namespace import namespace  # noqa: E402

cli.install()

__all__ = ["namespace"]
