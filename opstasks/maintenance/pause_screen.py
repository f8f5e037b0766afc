"""What `pause` and `unpause` show: the plan, the question, and the state afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from opstasks.core.clock import Clock
from opstasks.core.formats import plural, span_text
from opstasks.core.hints import one_word
from opstasks.maintenance import texts
from opstasks.maintenance.onhost.records import Pause
from opstasks.maintenance.pause import PauseFacts, PausePlan, PauseResult, is_own
from opstasks.output.notes import headline
from opstasks.output.parts import Line, Part, bold, dim, odd
from opstasks.output.summary import Told
from opstasks.output.table import Column, draw

COLUMNS = (
    Column("HOST"),
    Column("NOW", long="wrap", least=20),
    Column("AFTERWARDS", long="wrap", least=20),
)


def pause_plan(
    plans: Mapping[str, PausePlan], clock: Clock, width: int, *, wide: bool
) -> list[Line]:
    """The plan of `pause`."""
    rows = {host: [_now(plan.before, clock), _after(plan, clock)] for host, plan in plans.items()}
    return _plan("hold new jobs back; running jobs go on", rows, clock, width, wide=wide)


def unpause_plan(
    plans: Mapping[str, PauseFacts], clock: Clock, width: int, *, wide: bool
) -> list[Line]:
    """The plan of `unpause`."""
    rows = {
        host: [_now(facts, clock), _let_go(facts) if facts.pause else dim("the same")]
        for host, facts in plans.items()
    }
    return _plan("let new jobs begin again", rows, clock, width, wide=wide)


def _plan(
    what: str, rows: Mapping[str, list[Part]], clock: Clock, width: int, *, wide: bool
) -> list[Line]:
    if not rows:
        return []
    head = headline([bold(plural(len(rows), "host")), f": {what}"], width, clock.now_text)
    table = draw(COLUMNS, [[host, *cells] for host, cells in rows.items()], width, wide=wide)
    return [head, *table.with_hint()]


def _now(facts: PauseFacts, clock: Clock) -> Part:
    text = texts.pause_text(facts.pause, clock)
    return odd(text) if facts.pause else text


def _after(plan: PausePlan, clock: Clock) -> Part:
    if not plan.changed:
        return dim("the same")
    why = f": {plan.why}" if plan.why else ""
    return texts.end_text(plan.until_at, clock) + why


def _let_go(facts: PauseFacts) -> str:
    end = "; its scheduled end is cancelled" if facts.pause and facts.pause.until_at else ""
    return f"new jobs begin{end}"


def question(verb: str, pauses: Mapping[str, Pause]) -> str:
    """The question before the pauses of other people end, by host."""
    found = [f"{texts.whose(pause)} on {host}" for host, pause in pauses.items()]
    return f"{verb} of {'; of '.join(found)}?"


# -- afterwards ------------------------------------------------------------------------------


def paused(plans: Mapping[str, PausePlan], clock: Clock) -> Told[PauseResult]:
    """What `pause` says at its end."""
    changed = [plan for plan in plans.values() if plan.changed]
    is_new = all(plan.action == "pause" for plan in changed)
    # None: a host without a pause, which the same command would pause.
    before = [plan.before.pause for plan in changed]

    def undo(hosts: str) -> str:
        ended = f"inv -H {hosts} unpause"
        if is_new:
            return ended
        again = _again(hosts, before, clock)
        return f"{ended}; {again}" if again else ""

    return Told(
        host=lambda result: _paused_text(result, clock),
        whole=lambda count: f"{plural(count, 'host')} paused",
        undo=undo,
    )


def _paused_text(result: PauseResult, clock: Clock) -> str:
    found = result.pause
    if found is None:
        return "not paused"
    if not result.changed:
        return f"already {texts.pause_text(found, clock)}"
    why = f": {found.why}" if found.why else ""
    return f"{texts.end_text(found.until_at, clock)}{why}"


def unpaused(plans: Mapping[str, PauseFacts], clock: Clock) -> Told[PauseResult]:
    """What `unpause` says at its end."""
    pauses = [facts.pause for facts in plans.values() if facts.pause]
    return Told(
        host=_unpaused_text,
        whole=lambda count: f"{plural(count, 'host')} unpaused",
        undo=lambda hosts: _again(hosts, pauses, clock),
    )


def _unpaused_text(result: PauseResult) -> str:
    return "new jobs begin" if result.changed else "not paused, nothing to do"


def _again(hosts: str, pauses: Sequence[Pause | None], clock: Clock) -> str:
    """The command that pauses hosts as before; "" if no single command does.

    A new pause has the name of the person who types it, and holds no host for a reboot.
    """
    own = [pause for pause in pauses if pause and is_own(pause) and not _is_over(pause, clock)]
    ways = {_words_of(pause, clock) for pause in own}
    if len(own) < len(pauses) or len(ways) != 1:
        return ""
    (words,) = ways  # quoted there
    return f"inv -H {hosts} pause{words}"


def _is_over(pause: Pause, clock: Clock) -> bool:
    """Whether its end has come: the same pause again would have none."""
    return bool(pause.until_at) and pause.until_at - clock.now_at < 1


def _words_of(pause: Pause, clock: Clock) -> str:
    """The flags of `pause` that make the same pause again."""
    words = f" --reason {one_word(pause.why)}" if pause.why else ""
    return words + (f" --for {span_text(pause.until_at - clock.now_at)}" if pause.until_at else "")
