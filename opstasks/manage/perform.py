"""Carrying out steps on a host, part by part, with progress."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from itertools import groupby

import msgspec

from opstasks.core.errors import CommandFailed, OpsError, ProgramFailed, TimedOut, VerifyFailed
from opstasks.core.fields import Count
from opstasks.fleet.host import Host
from opstasks.fleet.program import Program, Reader
from opstasks.manage import access, inspect
from opstasks.manage.actions import SLOW, AnyAction, ChangePackages
from opstasks.manage.facts import ManageFacts
from opstasks.manage.inspect import ManageInspectRequest
from opstasks.manage.steps import ManageStep

# The slowest part: cloning the dependencies over a slow line.
APPLY_TIMEOUT_S = 3600.0


class ApplyRequest(msgspec.Struct, frozen=True):
    """Actions, in the order in which they are done."""

    actions: tuple[AnyAction, ...]


class ApplyAnswer(msgspec.Struct, frozen=True):
    """How many actions were done: all of them, or the program has failed."""

    done: Count


# Its parts are the number of actions that are done so far.
APPLY = Program(
    "opstasks.manage.onhost.apply",
    ApplyRequest,
    ApplyAnswer,
    part=Count,
    timeout_s=APPLY_TIMEOUT_S,
    changes=True,
)


class ManageProgress:
    """The steps of a run that are done; reports each to the operator."""

    def __init__(self, host: Host, done: Sequence[ManageStep], todo: Sequence[ManageStep]) -> None:
        self.host, self.done = host, list[ManageStep]()
        self.steps = [*done, *todo]
        self.count(done)

    def count(self, steps: Sequence[ManageStep]) -> None:
        """Report that these steps are done."""
        for step in steps:
            self.done.append(step)
            number = f"{len(self.done)}/{len(self.steps)}"
            self.host.step(f"  done {number}: {step.thing}: {step.wanted}")

    def begin(self, what: str) -> None:
        """Report the part that begins; raises Interrupted when the operator pressed Ctrl-C."""
        so_far = f"{len(self.done)} of {len(self.steps)}"
        self.host.checkpoint(f"{so_far} changes done")
        self.host.step(f"{what} ({so_far} done)")


def perform(
    host: Host,
    steps: Sequence[ManageStep],
    *,
    prove: bool,
    asked: ManageInspectRequest,
    done: Sequence[ManageStep] = (),
) -> ManageFacts:
    """Do the steps; access steps last, and they stay only if a fresh connection works.

    Returns the answer to `asked` afterwards, if possible in the round trip of the last steps.
    `done` are steps of the same plan that are already done. Raises CommandFailed
    naming the step that failed, and what was done before it; Interrupted between two parts.
    """
    progress = ManageProgress(host, done, steps)
    soon, late = [s for s in steps if not s.access], [s for s in steps if s.access]
    parts, facts = list(_parts(soon)), None
    for part in parts:
        things = part[0].thing if len(part) == 1 else f"{len(part)} steps"
        progress.begin(f"{_areas(part)}: {things}")
        is_last = not late and part is parts[-1]
        facts = _perform_part(progress, part, asked if is_last else None)
    if late:
        progress.begin(f"access: {', '.join(step.thing for step in late)}")
        _change_access(progress, late, prove=prove)
    return facts or inspect.ask(host, asked)


def _parts(steps: Sequence[ManageStep]) -> Iterator[list[ManageStep]]:
    """The steps in parts: quick ones together, each slow one alone.

    Packages that one call of the package tools handles stay together.
    """

    def kind(item: tuple[int, ManageStep]) -> str:
        number, step = item
        if isinstance(step.action, ChangePackages):
            return f"packages {step.action.verb}"
        return f"slow {number}" if isinstance(step.action, SLOW) else ""

    for _, part in groupby(enumerate(steps), kind):
        yield [step for _, step in part]


def _areas(steps: Sequence[ManageStep]) -> str:
    return ", ".join(dict.fromkeys(step.area for step in steps))


def _perform_part(
    progress: ManageProgress, part: Sequence[ManageStep], asked: ManageInspectRequest | None
) -> ManageFacts | None:
    """Do some steps and, in the same round trip, ask about the host; returns the answer."""
    host = progress.host
    actions = tuple(step.action for step in part if step.action is not None)
    command = APPLY.command(ApplyRequest(actions))
    result, *more = host.root.batch([command, *([inspect.question(asked)] if asked else [])])
    done = 0

    def take(number: int) -> None:
        nonlocal done
        done = number

    Reader(APPLY, host.name, take).take(result.out.encode("utf-8", "surrogateescape"))
    try:
        APPLY.decode(result, host.name)
    except (ProgramFailed, TimedOut, CommandFailed) as error:
        progress.count(part[:done])
        raise failure(progress, part[done : done + 1], error) from error
    progress.count(part)
    return inspect.decode(more[0], asked, host.name) if asked else None


def _change_access(progress: ManageProgress, late: Sequence[ManageStep], *, prove: bool) -> None:
    actions = [step.action for step in late if step.action is not None]
    try:
        access.change_access(progress.host, actions, prove=prove)
    except (ProgramFailed, TimedOut, CommandFailed, VerifyFailed) as error:
        raise failure(progress, late, error) from error
    progress.count(late)


def failure(
    progress: ManageProgress, failed: Sequence[ManageStep], error: OpsError
) -> CommandFailed:
    """The error for steps that failed: those done, those not begun, what to do next."""
    done, steps = progress.done, progress.steps
    left = steps[len(done) + len(failed) :]
    reason = [error.message, *error.tail.splitlines()]
    lines = [*reason, *_listed("done before it", done), *_listed("not begun", left)]
    things = ", ".join(step.thing for step in failed)
    return CommandFailed(
        f"{len(done)} of {len(steps)} changes done; {things} failed",
        returned=1,
        host=progress.host.name,
        tail="\n".join(lines),
        hint="fix it, then run manage again: it continues from there",
    )


def _listed(what: str, steps: Sequence[ManageStep]) -> list[str]:
    """All steps by name, wrapped into lines."""
    names = ", ".join(step.thing for step in steps) or "nothing"
    return textwrap.wrap(f"{what}: {names}", 200, break_long_words=False, break_on_hyphens=False)
