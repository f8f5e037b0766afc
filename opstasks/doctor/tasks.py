"""`doctor`: what is wrong, and how to fix it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opstasks.cli.app import Context
from opstasks.cli.task import task

if TYPE_CHECKING:
    from opstasks.doctor.finding import DoctorFinding


@task(changes=False, help={"all": "Also show checks that passed."})
def doctor(ctx: Context, all: bool = False) -> None:
    """Check everything that the tasks rely on and print hints; exit 1 if anything is wrong.

    Changes nothing. It checks programs, rights, paths, secrets' modes, database, disks, clock,
    docker, service, lock, journal and Level 3 sync.

    Example: inv -H all doctor
    """
    from opstasks.doctor import checks

    result = ctx.reader.table(
        checks.inspect,
        ["", "check", "found", "hint"],
        lambda report: map(_cells, report.checks if all else report.bad),
        notes=lambda report: [] if report.bad else [f"{len(report.checks)} checks, all passed"],
    )
    ctx.finish(checks.conclude(result))


def _cells(check: DoctorFinding) -> list[object]:
    mark, hint = ("ok", "") if check.good else ("BAD", check.hint)
    return [mark, check.name, check.text, hint]
