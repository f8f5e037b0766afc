"""Update images on one host (playbook: "Update docker image").

Our own programs do the work on the host, with the standard library only. The Docker SDK on the
client, over `docker system dial-stdio`, would need a round trip for each request to the engine:
at least four instead of one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from opstasks.core.errors import (
    CommandFailed,
    OpsError,
    ProgramFailed,
    Refused,
    TimedOut,
    VerifyFailed,
)
from opstasks.core.fields import Count, Line
from opstasks.core.formats import size_text
from opstasks.core.hints import one_word
from opstasks.fleet.change import change
from opstasks.fleet.host import Host
from opstasks.fleet.program import Program
from opstasks.images.names import ImageRef, short
from opstasks.images.plan import ImagesPlan, ImagesStep

STOPPED = "no name was moved; run it again: complete layers are not pulled again"
PULL_TIMEOUT_S = 4 * 3600.0
# Seconds between two progress reports of a pull.
EVERY_S = 5.0


class PullRequest(msgspec.Struct, frozen=True):
    """The content to pull, how often to send progress, and the time limit.

    Nothing is pulled if one of the `names` is not as the plan showed it: with one of the `replaced`
    images, or `free`.
    """

    repository: str
    digest: str
    names: tuple[str, ...]
    replaced: tuple[str, ...]
    free: tuple[str, ...]
    every_s: float = EVERY_S
    limit_s: float = PULL_TIMEOUT_S


class PullProgress(msgspec.Struct, frozen=True):
    """The total progress of all layers of an image."""

    layers: Count
    done: Count
    current_bytes: Count
    total_bytes: Count


class PullAnswer(msgspec.Struct, frozen=True):
    """The id of the image that was pulled."""

    id: Line


class SwitchRequest(msgspec.Struct, frozen=True):
    """The image, its new names, the images that it replaces, and names that no image has."""

    repository: str
    digest: str
    id: str
    names: tuple[str, ...]
    replaced: tuple[str, ...]
    free: tuple[str, ...]


class SwitchAnswer(msgspec.Struct, frozen=True):
    """The ids of the replaced images that were removed."""

    removed: tuple[Line, ...]


PULL = Program(
    "opstasks.images.onhost.pull", PullRequest, PullAnswer, part=PullProgress, changes=True
)
SWITCH = Program(
    "opstasks.images.onhost.switch", SwitchRequest, SwitchAnswer, timeout_s=600, changes=True
)


@dataclass(frozen=True)
class ImagesResult:
    """The outcome on one host; `steps` is what was planned.

    `updated` are images by name; `removed` are the ids of old images, `kept` those in use.
    """

    changed: bool
    steps: tuple[ImagesStep, ...] = ()
    updated: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    free_bytes: int | None = None


def only_planned(plan: ImagesPlan) -> ImagesResult:
    """The result for a host on which nothing was done."""
    return ImagesResult(False, plan.steps, free_bytes=plan.free_bytes)


def apply(host: Host, shown: ImagesPlan) -> ImagesResult:
    """Carry out the plan that was shown: first pull all content, then move the names.

    Raises Refused when a name was moved since then, CommandFailed when a pull fails, VerifyFailed
    when names were not moved. An error after the first images also says which have their names.
    """
    if not shown.changed:
        return only_planned(shown)
    args = {str(step.ref): step.digest for step in shown.steps}
    with change(host.service, "images.update", args):
        pulled = [_pull(host, step, shown.steps) for step in shown.steps]
        removed = _switch_all(host, shown.steps, pulled)
    return _result(shown.steps, pulled, removed)


def _result(
    steps: Sequence[ImagesStep], pulled: Sequence[str], removed: Sequence[str]
) -> ImagesResult:
    old = [item for step in steps for item in step.replaced if item not in pulled]
    return ImagesResult(
        changed=True,
        steps=tuple(steps),
        updated=tuple(str(step.ref) for step in steps),
        removed=tuple(item for item in old if item in removed),
        kept=tuple(item for item in old if item not in removed),
    )


def _pull(host: Host, step: ImagesStep, steps: Sequence[ImagesStep]) -> str:
    """Pull one image of the `steps` with progress; returns its id.

    Raises CommandFailed with docker's message: then none of the images has its names. Raises
    Interrupted after Ctrl-C: a pull may take hours, and complete layers are kept.
    """
    host.step(f"pull {step.repository}@{short(step.digest)}", brief=f"pulled {step.ref}")
    request = PullRequest(step.repository, step.digest, step.names, step.replaced, step.free)
    progress = _PullSteps(host, step.ref)
    try:
        answer = host.service.follow(
            PULL, request, progress.take, on_wait=lambda: host.checkpoint(STOPPED)
        )
    except Refused as refusal:
        refusal.hint = refusal.hint or _again(host, steps)
        raise
    except (ProgramFailed, CommandFailed, TimedOut) as failure:
        host.checkpoint(STOPPED)
        raise _pull_failed(host, step, steps, failure) from failure
    host.checkpoint(STOPPED)
    return answer.id


def _pull_failed(
    host: Host,
    step: ImagesStep,
    steps: Sequence[ImagesStep],
    failure: ProgramFailed | CommandFailed | TimedOut,
) -> CommandFailed:
    return CommandFailed(
        f"cannot pull {step.ref}: no name was moved",
        returned=failure.returned if isinstance(failure, CommandFailed) else 1,
        host=host.name,
        tail="\n".join(text for text in (failure.message, failure.tail) if text),
        hint=f"{_again(host, steps)}; it pulls only the missing layers",
    )


class _PullSteps:
    """Shows the progress of a pull in place, in layers and bytes."""

    def __init__(self, host: Host, ref: ImageRef) -> None:
        self._host, self._ref = host, ref

    def take(self, part: PullProgress) -> None:
        """Show the progress of the pull."""
        brief, text = (
            f"pulled {self._ref}",
            f"pull {self._ref}: {part.done} of {part.layers} layers",
        )
        if part.total_bytes:
            brief += f" ({size_text(part.total_bytes)})"
            text += f", {size_text(part.current_bytes)} of {size_text(part.total_bytes)}"
        self._host.update_step(text, brief)


def _switch_all(host: Host, steps: Sequence[ImagesStep], pulled: Sequence[str]) -> list[str]:
    """Move the names of all images; returns the ids of replaced images that were removed."""
    removed: list[str] = []
    for number, (step, image_id) in enumerate(zip(steps, pulled, strict=True)):
        try:
            removed += _switch(host, step, image_id)
        except OpsError as error:
            _add_switched(error, host, steps[:number], steps[number:])
            raise
    return removed


def _add_switched(
    error: OpsError, host: Host, done: Sequence[ImagesStep], left: Sequence[ImagesStep]
) -> None:
    """Add to an error what has its names and what does not; the first image `left` failed."""
    if done:
        count = f"{len(done)} of {len(done) + len(left)} updated ({_refs(done)})"
        error.message = f"{count}; {error.message}"
    if left[1:]:
        error.message += f"; not updated: {_refs(left[1:])}"
    error.hint = error.hint or _again(host, left)


def _refs(steps: Sequence[ImagesStep]) -> str:
    return ", ".join(str(step.ref) for step in steps)


def _switch(host: Host, step: ImagesStep, image_id: str) -> tuple[str, ...]:
    """Move the names of one image; returns the ids of replaced images that were removed."""
    host.step(f"name it {', '.join(step.names)}", brief="named")
    request = SwitchRequest(
        step.repository, step.digest, image_id, step.names, step.replaced, step.free
    )
    try:
        return host.service.call(SWITCH, request).removed
    except (ProgramFailed, Refused) as failure:  # content was pulled: not a refusal any more
        raise VerifyFailed(
            f"cannot move the names of {step.ref}: {failure.message}",
            host=host.name,
            tail=failure.tail,
        ) from failure


def _again(host: Host, left: Sequence[ImagesStep]) -> str:
    """The task that does the rest; a digest was typed only for a single image."""
    again = " ".join([f"inv -H {host.name} images.update", *(one_word(step.ref) for step in left)])
    pinned = [f" --digest {one_word(step.digest)}" for step in left if step.is_pinned]
    return again + "".join(pinned)
