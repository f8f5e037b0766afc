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
from opstasks.manage.depends import is_blocked
from opstasks.manage.facts import ManageFacts
from opstasks.manage.inspect import ManageInspectRequest
from opstasks.manage.steps import ManageStep

# The slowest part: cloning the dependencies over a slow line.
APPLY_TIMEOUT_S = 3600.0
# After so many failures, something is wrong with the whole host, such as a full disk.
MOST_FAILURES = 5


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
    """What became of the steps of a run; reports each to the operator.

    `left` are steps that are not begun, because they need what failed.
    """

    def __init__(self, host: Host, done: Sequence[ManageStep], todo: Sequence[ManageStep]) -> None:
        self.host, self.done = host, list[ManageStep]()
        self.failed: list[tuple[ManageStep, OpsError]] = []
        self.left: list[ManageStep] = []
        self.steps = [*done, *todo]
        self.count(done)

    def count(self, steps: Sequence[ManageStep]) -> None:
        """These steps are done."""
        self.done += steps

    def begin(self, what: str, brief: str) -> None:
        """Report the part that begins; raises Interrupted when the operator pressed Ctrl-C."""
        so_far = f"{len(self.done)} of {len(self.steps)}"
        failed = "".join(f"; {step.thing} failed" for step, _ in self.failed)
        self.host.checkpoint(f"{so_far} changes done{failed}")
        self.host.step(f"{what} ({so_far} changes done)", brief=brief)

    def fail(self, steps: Sequence[ManageStep], error: OpsError) -> None:
        """Report that these steps failed."""
        for step in steps:
            self.failed.append((step, error))
            self.host.step(f"failed: {step.thing}: {error.message}")

    def ready(self, steps: Sequence[ManageStep]) -> list[ManageStep]:
        """The steps that need nothing that failed; the others are left."""
        if self._is_over():
            self.left += steps
            return []
        found = []
        for step in steps:
            if is_blocked(step, [*(failed for failed, _ in self.failed), *self.left]):
                self.left.append(step)
            else:
                found.append(step)
        return found

    def _is_over(self) -> bool:
        """Whether nothing more is tried: what a stopped program started may still run."""
        was_stopped = any(not isinstance(error, ProgramFailed) for _, error in self.failed)
        return was_stopped or len(self.failed) >= MOST_FAILURES


def perform(
    host: Host,
    steps: Sequence[ManageStep],
    *,
    prove: bool,
    asked: ManageInspectRequest,
    again: str = "manage",
    done: Sequence[ManageStep] = (),
) -> ManageFacts:
    """Do the steps; access steps last, and they stay only if a fresh connection works.

    Returns the answer to `asked` afterwards, if possible in the round trip of the last steps.
    `done` are steps of the same plan that are already done; `again` is the task to type after a
    failure. After a failed step, all steps follow that do not need it. Raises CommandFailed
    naming every step that failed, and what was done; Interrupted between two parts.
    """
    progress = ManageProgress(host, done, steps)
    soon, late = [s for s in steps if not s.access], [s for s in steps if s.access]
    parts, facts = list(_parts(soon)), None
    for part in parts:
        is_last = not late and part is parts[-1]
        facts = _perform_part(progress, part, asked if is_last else None)
    _change_access(progress, late, prove=prove)
    if progress.failed:
        raise failure(progress, again) from progress.failed[0][1]
    if facts is None:
        host.step("inspect the result", brief="inspected")
        facts = inspect.ask(host, asked)
    return facts


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


def _brief(steps: Sequence[ManageStep]) -> str:
    """A word or two for a part that is over: its areas, or the name of a slow thing."""
    is_slow = len(steps) == 1 and isinstance(steps[0].action, SLOW)
    return steps[0].thing.rpartition("/")[2] if is_slow else _areas(steps)


def _perform_part(
    progress: ManageProgress, part: Sequence[ManageStep], asked: ManageInspectRequest | None
) -> ManageFacts | None:
    """Do the steps of a part that can be done; returns the answer to `asked`, if all were done."""
    while part := progress.ready(part):
        things = part[0].thing if len(part) == 1 else f"{len(part)} changes"
        progress.begin(f"{_areas(part)}: {things}", _brief(part))
        before = len(progress.done) + len(progress.failed)
        facts = _call(progress, part, None if progress.failed else asked)
        ended = len(progress.done) + len(progress.failed) - before
        if not progress.failed:
            return facts
        part = part[ended:]
    return None


def _call(
    progress: ManageProgress, part: Sequence[ManageStep], asked: ManageInspectRequest | None
) -> ManageFacts | None:
    """Do steps until one fails and, in the same round trip, ask about the host."""
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
        done = min(done, len(part) - 1)  # it failed, whatever it reported
        progress.count(part[:done])
        progress.fail(part[done : done + 1], error)
        return None
    progress.count(part)
    return inspect.decode(more[0], asked, host.name) if asked else None


def _change_access(progress: ManageProgress, late: Sequence[ManageStep], *, prove: bool) -> None:
    """Change the login files, all together or none of them."""
    ready = progress.ready(late)
    if len(ready) < len(late):
        progress.left += ready
    elif late:
        things = ", ".join(step.thing for step in late)
        progress.begin(f"access, with a fresh connection: {things}", "access tested")
        actions = [step.action for step in late if step.action is not None]
        try:
            access.change_access(progress.host, actions, prove=prove)
        except (ProgramFailed, TimedOut, CommandFailed, VerifyFailed) as error:
            progress.fail(late, error)
        else:
            progress.count(late)


def failure(progress: ManageProgress, again: str) -> CommandFailed:
    """The error for a run with failed steps: those, those done, those not begun, what is next."""
    things = ", ".join(step.thing for step, _ in progress.failed)
    lines: list[str] = []
    for error, steps in groupby(progress.failed, lambda item: item[1]):
        what = ", ".join(step.thing for step, _ in steps)
        lines += [f"{what}: {error.message}", *error.tail.split("\n")]
    return CommandFailed(
        f"{len(progress.done)} of {len(progress.steps)} changes done; {things} failed",
        returned=1,
        host=progress.host.name,
        tail="\n".join(
            [
                *filter(None, lines),
                *_listed("done", progress.done),
                *_listed("not begun, because of that", progress.left),
            ]
        ),
        hint=f"fix it, then: inv -H {progress.host.name} {again}",
    )


def _listed(what: str, steps: Sequence[ManageStep]) -> list[str]:
    """All steps by name, wrapped into lines."""
    names = ", ".join(step.thing for step in steps) or "nothing"
    return textwrap.wrap(f"{what}: {names}", 200, break_long_words=False, break_on_hyphens=False)
