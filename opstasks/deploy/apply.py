"""Carry out a plan: steps on the host, each in one round trip; any failure is rolled back.

After a step that fails, or ends without an answer, we go back to the previous release. A refused
step touched nothing. A lost connection leaves the host as it is: the next run continues.
"""

from __future__ import annotations

import contextlib
import signal
from dataclasses import dataclass, field, replace
from typing import NamedTuple, NoReturn

import msgspec

from opstasks.core.errors import (
    CommandFailed,
    Interrupted,
    InvalidResponse,
    OpsError,
    ProgramFailed,
    Refused,
    TimedOut,
    VerifyFailed,
    unforeseen,
)
from opstasks.core.fields import Count, Line, Text
from opstasks.core.lines import lines_of
from opstasks.core.state import HostState
from opstasks.deploy import hints, release
from opstasks.deploy.facts import DeployFacts
from opstasks.deploy.onhost.record import KEPT
from opstasks.deploy.plan import DeployPlan
from opstasks.deploy.release import ReleaseSpec
from opstasks.deploy.words import service_text
from opstasks.fleet import audit
from opstasks.fleet.change import change
from opstasks.fleet.host import Host
from opstasks.fleet.program import Program
from opstasks.onhost.commands import KILLED
from opstasks.onhost.formats import signal_of

# The time limit of a step without the watch: a large database may be copied on a slow disk.
STEP_TIMEOUT_S = 900.0


class StepWords(NamedTuple):
    """A step: its name on the host, what it does, and the same in a word or two."""

    name: str
    text: str
    brief: str


SERVE = "serve"
STEPS = (
    StepWords("begin", "stop the service, snapshot the database", "stop and snapshot"),
    StepWords("switch", "move dependencies and code, migrate", "move and migrate"),
    StepWords(SERVE, "start the service and watch it", "start and watch"),
    StepWords("finish", "check that every job is still there", "check jobs"),
)
STAYS = StepWords(SERVE, "leave the service stopped, as it was before", "leave it stopped")
DISK_CAUSES = ("full", "read-only")
# What `_step` raises for a step that failed.
STEP_FAILURES = (ProgramFailed, CommandFailed, InvalidResponse, TimedOut)


class StepRequest(msgspec.Struct, frozen=True):
    """One of `STEPS`, roll_back, restart, or look (change nothing), for one release."""

    step: str
    spec: ReleaseSpec


class StepAnswer(msgspec.Struct, frozen=True):
    """The result of a step; values that do not apply to the step are empty.

    `version` is the database's version, 0 if unknown; `how` says what happened to the database;
    `as_before` are exceptions that the service also raised before the release. `serves`: the
    service was up before the release, or was started since then, and will be started. `problem`:
    the release is in place and stays, but is not closed, with the `cause` as a word. `now` was read
    after the step, and so was the number of running jobs (None: not read). `kept` tells which edits
    by hand the release has kept, in all its steps; `has_snapshot`: the copy of the database from
    before it is there (only "look" reads that).
    """

    version: Count
    how: Text
    as_before: tuple[Line, ...] = ()
    notes: tuple[Text, ...] = ()
    serves: bool = True
    problem: Text = ""
    cause: Line = ""
    kept: tuple[Text, ...] = ()
    has_snapshot: bool = False
    now: HostState = HostState()
    running_jobs: Count | None = None


STEP = Program(
    "opstasks.deploy.onhost.steps", StepRequest, StepAnswer, timeout_s=STEP_TIMEOUT_S, changes=True
)
# The step "look": reading is no action of a change.
LOOK = Program("opstasks.deploy.onhost.steps", StepRequest, StepAnswer)


@dataclass(frozen=True)
class DeployResult:
    """How a host's deploy ended; `notes` are for people.

    `now` and `running_jobs` were read at the end; None for jobs: not known.
    """

    changed: bool
    from_name: str
    to_name: str
    database_version: int = 0
    release_id: str = ""
    notes: tuple[str, ...] = ()
    now: HostState = field(default_factory=HostState)
    running_jobs: int | None = None


class WentBack(VerifyFailed):
    """A release was undone: why, what is in place now, and what was read there at the end.

    `back_on` is the former release, "" if the host is not there.
    """

    def __init__(self, spec: ReleaseSpec, failure: OpsError, found: StepAnswer) -> None:
        super().__init__(
            f"{spec.to_name} was not deployed: {failure.message}. Now {_place(spec, found)}",
            tail=_unsaid(failure.tail, found.kept),
        )
        self.release, self.why = spec.to_name, failure.message
        self.back_on = spec.from_name if found.now.code == spec.from_code else ""
        self.place, self.found, self.now = release.name_in(spec, found.now.code), found, found.now


def apply(host: Host, plan: DeployPlan) -> DeployResult:
    """Carry out a plan.

    Raises WentBack when it had to go back, CommandFailed when going back failed, Refused, Lost,
    Interrupted, and VerifyFailed.
    """
    if plan.nothing_to_do:
        return unchanged(plan)
    spec = _new_spec(host, plan)
    if not plan.moves and not plan.restores:
        answer = _restart(host, spec)
        here = release.name_in(spec, answer.now.code)
        return DeployResult(
            True,
            here,
            here,
            answer.now.database_version or 0,
            notes=("restarted", *_notes([answer])),
            now=answer.now,
            running_jobs=answer.running_jobs,
        )
    return _release(host, spec)


def unchanged(plan: DeployPlan) -> DeployResult:
    """The result on a host where nothing is done."""
    here, version = plan.facts.code.head_name, plan.facts.database.user_version
    jobs, now = plan.facts.running_jobs, _as_planned(plan.facts)
    return DeployResult(False, here, here, version, now=now, running_jobs=jobs)


def _as_planned(facts: DeployFacts) -> HostState:
    """What the inspection read on a host where nothing is done."""
    known = None if facts.database.unknown else facts.database.user_version
    return HostState(
        service=facts.service,
        code=facts.code.head,
        lib=facts.lib.head,
        database_version=known,
    )


def resume(host: Host, plan: DeployPlan, *, roll_back: bool) -> DeployResult:
    """Finish an unfinished release, or undo it; raises what `apply` raises.

    A release that was already being undone is undone, whatever `roll_back` says.
    """
    record = plan.facts.unfinished
    if record is None:
        raise Refused("no release is unfinished", host=host.name)
    kept = {name: getattr(record, name) for name in KEPT}
    spec = release.spec_for(host.spec, watch_s=plan.watch_s, **kept)
    if not (roll_back or record.rolling_back):
        return _release(host, spec)
    reason = record.reason or "its client disappeared"
    with change(host.service, "deploy.resume", {"release": record.id, "direction": "back"}):
        answer = _go_back(host, replace(spec, reason=reason), resumed=True)
    return DeployResult(
        True,
        record.to_name,
        release.name_in(spec, answer.now.code),
        answer.now.database_version or 0,
        release_id=record.id,
        notes=_notes([answer]),
        now=answer.now,
        running_jobs=answer.running_jobs,
    )


def _restart(host: Host, spec: ReleaseSpec) -> StepAnswer:
    with change(host.service, "deploy.restart", {"at": spec.from_name}):
        host.step("restart the service and watch it", "restart and watch", spec.watch_s)
        try:
            return _step(host, "restart", spec)
        except Refused as no:
            no.hint = hints.refused(host.spec, no, "deploy")  # it shows what is there now
            raise
        except STEP_FAILURES as failure:
            error = VerifyFailed(
                failure.message,
                host=host.name,
                tail=failure.tail,
                hint=hints.logs(host.spec),
            )
            error.now = _state(host, spec)
            raise error from failure


def _new_spec(host: Host, plan: DeployPlan) -> ReleaseSpec:
    code, lib = plan.facts.code, plan.facts.lib
    undone = plan.restores
    return release.spec_for(
        host.spec,
        id=audit.new_run_id(),
        who=audit.who(),
        kind="rollback" if undone else "deploy",
        ref=code.ref,
        from_code=code.head,
        to_code=code.target,
        from_lib=lib.head,
        to_lib=lib.target,
        from_name=code.head_name,
        to_name=code.target_name,
        restore_from=undone.snapshot if undone and plan.migrates_back else "",
        watch_s=plan.watch_s,
    )


def _release(host: Host, spec: ReleaseSpec) -> DeployResult:
    args = {"ref": spec.ref, "from": spec.from_name, "to": spec.to_name, "release": spec.id}
    with change(host.service, spec.kind, args):
        try:
            answers = _do_steps(host, spec)
        except Refused as refused:
            refused.hint = hints.refused(host.spec, refused, "deploy.releases")
            if host.guard.has_acted:
                refused.now = _state(host, spec)
            raise
        except STEP_FAILURES as failure:
            _fail(host, spec, failure)
        except Interrupted as stopped:
            answer = _go_back(host, replace(spec, reason="stopped by the operator"))
            stopped.message = f"stopped at your request; {_place(spec, answer)}"
            stopped.now = answer.now
            raise
        except OpsError:
            raise
        except Exception as error:  # a bug in our code must not leave the release unfinished
            _fail(host, spec, unforeseen(error, host.name))
        _refuse_unclosed(host, spec, answers[-1])
    now, jobs = answers[-1].now, answers[-1].running_jobs
    name = release.name_in(spec, now.code)
    version = now.database_version or max(answer.version for answer in answers)
    return DeployResult(True, spec.from_name, name, version, spec.id, _notes(answers), now, jobs)


def _refuse_unclosed(host: Host, spec: ReleaseSpec, last: StepAnswer) -> None:
    """Raise VerifyFailed for a release that is in place, but whose record is not closed."""
    if last.problem:
        service = service_text(last.now.service)
        error = VerifyFailed(
            f"{spec.to_name} is in place, {service}: {last.problem}",
            host=host.name,
            tail="\n".join(last.kept),
            hint=hints.unclosed(host.spec, last.cause),
        )
        error.now = last.now
        raise error


def _do_steps(host: Host, spec: ReleaseSpec) -> list[StepAnswer]:
    answers: list[StepAnswer] = []
    for step in STEPS:
        host.checkpoint("going back to the previous release")
        # Somebody may have started the service meanwhile.
        watches = step.name == SERVE and answers[-1].serves
        words = step if watches or step.name != SERVE else STAYS
        host.step(words.text, words.brief, spec.watch_s if watches else 0.0)
        answers.append(_step(host, step.name, spec))
    return answers


def _step(host: Host, step: str, spec: ReleaseSpec) -> StepAnswer:
    """Do one step; raises STEP_FAILURES, Refused, Lost."""
    timeout_s = STEP_TIMEOUT_S + spec.watch_s
    return host.service.call(STEP, StepRequest(step, spec), timeout_s=timeout_s)


def _look(host: Host, spec: ReleaseSpec) -> StepAnswer | None:
    """What is on the host now; None if it cannot be read. For errors only: a round trip."""
    with contextlib.suppress(OpsError):
        return host.service.call(LOOK, StepRequest("look", spec))
    return None


def _state(host: Host, spec: ReleaseSpec) -> HostState | None:
    """The state of the host now; None if it cannot be read. For errors only: a round trip."""
    found = _look(host, spec)
    return found.now if found else None


def _notes(answers: list[StepAnswer]) -> tuple[str, ...]:
    same = [
        f"{name} still occurs, as before the release"
        for answer in answers
        for name in answer.as_before
    ]
    said = [note for answer in answers for note in answer.notes]
    hows = [answer.how for answer in answers if answer.how]
    return (*same, *said, *hows, *answers[-1].kept)


def _unsaid(tail: str, kept: tuple[str, ...]) -> str:
    """The lines that explain an error, without what is said elsewhere."""
    return "\n".join(line for line in lines_of(tail) if line not in kept)


def _place(spec: ReleaseSpec, answer: StepAnswer) -> str:
    """Where the host is now, from what was read there after the last step."""
    name, service = release.name_in(spec, answer.now.code), answer.now.service
    where = f"the host is at {name}, the service is {service or 'in an unknown state'}"
    return f"{where} ({'; '.join(_notes([answer]))})"


def _fail(host: Host, spec: ReleaseSpec, failure: OpsError) -> NoReturn:
    """Go back; raise an error that says why, and where the host is now."""
    answer = _go_back(host, replace(spec, reason=failure.message))
    error = WentBack(spec, failure, answer)
    # The log says nothing about a disk.
    is_disk = isinstance(failure, ProgramFailed) and failure.cause in DISK_CAUSES
    error.host, error.hint = host.name, failure.hint if is_disk else hints.logs(host.spec)
    raise error from failure


def _roll_back(host: Host, spec: ReleaseSpec) -> StepAnswer:
    """The step back; once more if it was killed, for the service must not stay down."""
    try:
        return _step(host, "roll_back", spec)
    except (CommandFailed, ProgramFailed) as error:
        if not _was_killed(error):
            raise
        host.step(f"{error.message}; going back once more")
        return _step(host, "roll_back", spec)


def _was_killed(error: CommandFailed | ProgramFailed) -> bool:
    """Whether the program, or a command that it ran, ended by a signal."""
    if isinstance(error, ProgramFailed):
        return error.cause == KILLED
    return signal_of(error.returned) in (signal.SIGKILL, signal.SIGTERM)


def _go_back(host: Host, spec: ReleaseSpec, *, resumed: bool = False) -> StepAnswer:
    """Undo a release; returns what was read afterwards. Raises CommandFailed, Lost.

    Raises Refused when a `resumed` release has ended meanwhile.
    """
    host.step(f"go back to {spec.from_name}", "go back")
    try:
        return _roll_back(host, spec)
    except Refused as refused:
        if resumed:
            refused.hint = hints.refused(host.spec, refused, "deploy.releases")
            raise
        failure: OpsError = refused
    except STEP_FAILURES as error:
        failure = error
    found = _look(host, spec)
    kept = found.kept if found else ()
    snapshot = f"{spec.state_dir}/snapshots/{spec.id}.sqlite"
    broken = CommandFailed(
        f"{spec.reason}; and going back to {spec.from_name} failed: {failure.message}",
        returned=1,
        host=host.name,
        tail="\n".join(filter(None, [*kept, _unsaid(failure.tail, kept)])),
        hint=hints.not_back(host.spec, snapshot if found and found.has_snapshot else ""),
    )
    broken.now = found.now if found else None
    raise broken from failure
