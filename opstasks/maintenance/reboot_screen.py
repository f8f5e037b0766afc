"""What `prepare-reboot` shows: the plan, the question, and what to do when it is done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from opstasks.core.clock import Clock
from opstasks.core.formats import plural, span_text
from opstasks.core.hints import one_word
from opstasks.maintenance import texts
from opstasks.maintenance.onhost.database import RunningJob
from opstasks.maintenance.onhost.records import PREPARE, SCHEDULED
from opstasks.maintenance.prepare import READY_STATE, PrepareResult, RebootPlan, RebootRequest
from opstasks.output.notes import headline, note
from opstasks.output.parts import Line, Part, bold, good, odd, text_of_line, to_type
from opstasks.output.states import service_part
from opstasks.output.summary import Told
from opstasks.output.table import Column, draw

Plans = Mapping[str, RebootPlan]


def host_columns(*, differ: bool) -> tuple[Column, ...]:
    """The columns of the hosts; where their times `differ`, only these columns have them."""
    return (
        Column("HOST"),
        Column("WHEN", 0 if differ else 1),
        Column("SERVICE"),
        Column("JOBS", is_right=True),
        Column("AFTERWARDS", long="wrap", least=20),
    )


def jobs_columns(clock: Clock) -> tuple[Column, ...]:
    """The columns of the jobs that begin again."""
    return (
        Column("HOST"),
        Column("JOB"),
        Column("WORKSPACE / ACTION", long="clip", least=18),
        Column(f"STARTED {clock.zone_name}", 1),
        Column("FOR", is_right=True),
    )


# -- the plan --------------------------------------------------------------------------------


def plan_lines(
    plans: Plans, request: RebootRequest, clock: Clock, width: int, *, wide: bool
) -> list[Line]:
    """What will happen on each host, and which running jobs begin again."""
    if not plans:
        return []
    found: list[Line] = [_headline(plans, request, clock, width)]
    if not all(plan.is_ready for plan in plans.values()):
        found.append([f"  {_steps(plans, request)}"])
    rows = [_cells(host, plan, request, clock) for host, plan in plans.items()]
    columns = host_columns(differ=len(_times(plans, request, clock)) > 1)
    found += draw(columns, rows, width, wide=wide).with_hint()
    found += _jobs(plans, clock, width, wide=wide)
    notes = [n for host, plan in plans.items() for n in _notes(host, plan, clock, width)]
    return [*found, *([[""], *notes] if notes else []), *_undo(plans, request)]


def _headline(plans: Plans, request: RebootRequest, clock: Clock, width: int) -> Line:
    verb = "prepare and REBOOT" if request.reboot else "prepare for a reboot"
    head: Line = [bold(plural(len(plans), "host")), f": {verb} {_when(plans, request, clock)}"]
    # A person agrees to the time: it is never cut.
    is_long = width and len(text_of_line(head)) > width
    return head if is_long else headline(head, width, clock.now_text)


def _times(plans: Plans, request: RebootRequest, clock: Clock) -> set[str]:
    return {_due(plan, clock) for plan in plans.values()} if request.timed else set()


def _when(plans: Plans, request: RebootRequest, clock: Clock) -> str:
    """``now``, ``at 22:00 in 3h59m``, or a word for several different times."""
    if not request.timed:
        return "now"
    found = _times(plans, request, clock)
    return f"at {found.pop()}" if len(found) == 1 else "at the times below"


def _due(plan: RebootPlan, clock: Clock) -> str:
    due = texts.due_text(plan.due_at, plan.due_there, clock)
    return f"{due} in {span_text(plan.due_at - plan.now_at)}"


def _steps(plans: Plans, request: RebootRequest) -> str:
    """The steps in their order."""
    words = [] if all(plan.own for plan in plans.values()) else ["pause new jobs"]
    if request.drain_s:
        words.append(f"let running jobs end for up to {span_text(request.drain_s)}")
    words += ["stop the service", "copy the database", "requeue the jobs that still run", "verify"]
    return ", ".join(words + (["reboot", "check everything"] if request.reboot else []))


def _cells(host: str, plan: RebootPlan, request: RebootRequest, clock: Clock) -> list[Part]:
    when = _due(plan, clock) if request.timed else ""
    service = service_part("up" if plan.is_serving else "stopped")
    return [host, when, service, str(len(plan.jobs)), _afterwards(plan, request)]


def _stays_paused(plan: RebootPlan) -> bool:
    """Whether it is paused for another reason than a reboot: that pause stays as it is."""
    return plan.is_paused and not (plan.pause and plan.pause.task == PREPARE)


def _afterwards(plan: RebootPlan, request: RebootRequest) -> Part:
    if plan.is_ready:
        by = f", prepared by {plan.ready.who}" if plan.ready else ""
        return good(f"{READY_STATE} already{by}")
    if plan.own:
        return "the boot starts the service; jobs begin again"
    if _stays_paused(plan):
        return odd("stays paused after the boot")
    if request.keep_paused:
        return "stays paused until after-reboot or unpause"
    return "the boot ends the pause; jobs begin again"


def _jobs(plans: Plans, clock: Clock, width: int, *, wide: bool) -> list[Line]:
    rows = [
        _job(host, job, plan, clock)
        for host, plan in plans.items()
        if not plan.is_ready
        for job in plan.jobs
    ]
    if not rows:
        return []
    head = f"{plural(len(rows), 'running job')} will begin again after the boot:"
    return [[head], *draw(jobs_columns(clock), rows, width, wide=wide).with_hint()]


def _job(host: str, job: RunningJob, plan: RebootPlan, clock: Clock) -> list[Part]:
    work = f"{job.workspace} / {job.action}"
    lasts = span_text(plan.now_at - job.started_at) if job.started_at else ""
    return [host, job.id, work, clock.text(job.started_at), lasts]


def _notes(host: str, plan: RebootPlan, clock: Clock, width: int) -> list[Line]:
    """What a person must know about a host before the answer."""
    found = []
    if not plan.is_enabled:
        found.append("the service is not enabled: the boot will not start it")
    if plan.pause and plan.pause.task != PREPARE:
        found.append(texts.pause_text(plan.pause, clock))
    for item in plan.scheduled:
        found.append(f"replaces {texts.short_id(item.id)}: {texts.sentence(item, clock)}")
    for item in plan.dead:
        ended = f"takes the place of {texts.short_id(item.id)} by {item.who}"
        found.append(f"{ended}, which ended at {item.step!r}")
    return [line for text in found for line in note(odd(host), text, width)]


def _undo(plans: Plans, request: RebootRequest) -> list[Line]:
    if request.timed or request.reboot:
        return []
    command = _undo_command([host for host, plan in plans.items() if not plan.is_ready], plans)
    return [["Until the reboot, undo: ", to_type(command)]] if command else []


def _undo_command(names: Iterable[str], plans: Plans) -> str:
    """The command that ends a preparation on hosts, one after another where they differ; or ""."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(_undo_words(plans[name]), []).append(name)
    return "; ".join(f"inv -H {','.join(hosts)} {words}" for words, hosts in found.items() if words)


def _undo_words(plan: RebootPlan) -> str:
    """Tasks that undo what a preparation changes: what was stopped or paused before stays so."""
    # One that ended without an outcome may have stopped the service.
    was_serving = plan.is_serving or any(item.was_active for item in plan.dead)
    start = ["service.start"] if was_serving else []
    return " ".join(start if plan.own or _stays_paused(plan) else [*start, "unpause"])


def question(hosts: Sequence[str], plans: Plans, request: RebootRequest, clock: Clock) -> str:
    """The question before anything is changed."""
    names = ", ".join(hosts)
    asked = {host: plans[host] for host in hosts}
    when = _when(asked, request, clock).replace("times below", "times above")
    if request.reboot:
        return f"Prepare and REBOOT {names} {when}?"
    return f"Prepare {names} for a reboot {when}?"


# -- afterwards ------------------------------------------------------------------------------


def prepared(
    plans: Plans, request: RebootRequest, ids: Mapping[str, str], clock: Clock
) -> Told[PrepareResult]:
    """What `prepare-reboot` says at its end; `ids` gets what was scheduled on each host."""

    def whole(count: int) -> str:
        if request.timed:
            return f"{plural(count, 'host')} scheduled"
        return f"{plural(count, 'host')} {'rebooted' if request.reboot else READY_STATE}"

    def undo(hosts: str) -> str:
        if request.timed:
            quoted = f" {one_word(texts.short_id(ids[hosts]))}" if hosts in ids else ""
            return f"inv -H {hosts} scheduled.cancel{quoted}"
        if request.reboot:
            return ""
        return _undo_command(hosts.split(","), plans)

    return Told(host=lambda result: _result_text(result, clock), whole=whole, undo=undo)


def _result_text(result: PrepareResult, clock: Clock) -> str:
    if result.state == SCHEDULED:
        due = texts.due_text(result.due_at, result.due_there, clock)
        return f"{SCHEDULED} for {due}, id {texts.short_id(result.id)}"
    words = [result.state if result.changed else f"{result.state} already"]
    if result.now.service and result.state == READY_STATE:
        words.append(f"service {result.now.service}")
    if result.changed and result.state == READY_STATE:
        words.append(_waiting(len(result.requeued)))
    words += [result.note] if result.note else []
    if result.checklist is not None and result.checklist.bad:
        words.append(f"{len(result.checklist.bad)} of {len(result.checklist.lines)} checks fail")
    return ", ".join(words)


def _waiting(count: int) -> str:
    if not count:
        return "no job waits"
    return f"{plural(count, 'job')} {'waits' if count == 1 else 'wait'} for the boot"


def next_line(hosts: Sequence[str]) -> Line:
    """What a person does next with hosts that are ready."""
    it = "the host" if len(hosts) == 1 else "the hosts"
    return [
        bold("next:"),
        f"  reboot {it}, then: ",
        to_type(f"inv -H {','.join(hosts)} after-reboot"),
    ]
