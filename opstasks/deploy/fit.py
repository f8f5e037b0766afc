"""Whether the checked-out code can start with the database.

job-runner starts only with a database of exactly the version that its code needs. A person may have
moved a checkout by hand.
"""

from __future__ import annotations

import msgspec

from opstasks.core.command import Command
from opstasks.core.fields import Count
from opstasks.deploy.onhost.fit import misfit
from opstasks.fleet.inventory import HostSpec
from opstasks.fleet.program import Program


class FitRequest(msgspec.Struct, frozen=True):
    """Where the code and the database are."""

    code_dir: str
    database: str


class FitFacts(msgspec.Struct, frozen=True):
    """The database version that the code needs, and the database's; None: not known."""

    code_version: Count | None = None
    database_version: Count | None = None

    def misfit(self) -> str:
        """Why the code cannot start with the database; "" if it can, or if that is not known."""
        return misfit(self.code_version, self.database_version)


FIT = Program("opstasks.deploy.onhost.fit", FitRequest, FitFacts)


def fit_command(spec: HostSpec) -> Command:
    """Read the versions; decode the result with `FIT`."""
    return FIT.command(FitRequest(spec.code_dir, spec.database))
