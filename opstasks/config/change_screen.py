"""The plan of `config.set` and `config.unset`, and how to undo it: pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from opstasks.config.keys import LOCAL_FILE, is_of_the_system
from opstasks.config.plan import ConfigPlan, ConfigStep
from opstasks.core.clock import Clock
from opstasks.core.formats import first_names, plural
from opstasks.core.hints import one_word
from opstasks.output.parts import Line, dim, odd, to_type
from opstasks.output.table import Column

# So many hosts are named in the headline.
NAMED = 3
Plans = Mapping[str, ConfigPlan]

STEPS = (
    Column("HOST"),
    Column("KEY"),
    Column("NOW", long="wrap", least=40),
    Column("NEW", long="wrap", least=40),
    Column("SET IN", rank=1),
)


def plan_rows(plans: Plans) -> list[list[object]]:
    """The row of each key of each host: the old and the new value."""
    return [
        [host, step.key, step.now.describe(), step.wanted_text(), step.source]
        for host, found in plans.items()
        for step in found.steps
    ]


def headline(plans: Plans) -> Line:
    """What is about to change; nothing without a change."""
    names = [host for host, found in plans.items() if found.changed]
    if not names:
        return []
    keys = {step.key for host in names for step in plans[host].steps}
    return [f"{first_names(names, NAMED)}: {plural(len(keys), 'key')} in {LOCAL_FILE}"]


def plan_notes(plans: Plans, clock: Clock) -> Iterator[Line]:
    """What a person must know before the change."""
    for host, found in plans.items():
        for note in found.notes:
            yield [f"{host}  {note}"]
        if not found.changed:
            yield [f"{host}  ", dim("nothing to do")]
        if any(step.is_override for step in found.steps):
            yield from _replaced(host, found, clock)
    if any(found.changed for found in plans.values()):
        yield ["The service reads it at its next start: nothing that runs changes now."]
        for command in undo(plans):
            yield ["Undo: ", to_type(command)]


def _replaced(host: str, found: ConfigPlan, clock: Clock) -> Iterator[Line]:
    """Whose values a change ends: those of overrides that somebody made."""
    at = clock.text(found.local_changed_at)
    when = f", written {at} {clock.zone_name}" if at else ""
    keys = ", ".join(step.key for step in found.steps if step.is_override)
    yield [f"{host}  ", odd(f"ends the present override of {keys} ({LOCAL_FILE}{when})")]
    who = to_type(f"inv -H {host} history --task config.set")
    yield [f"{' ' * len(host)}  who made it: ", who]


def needs_question(plans: Plans) -> bool:
    """Whether the change ends an override of somebody; a new one is quickly undone."""
    return any(step.is_override for found in plans.values() for step in found.steps)


def undo(plans: Plans) -> list[str]:
    """The commands that undo a change, each for all hosts where it is the same one.

    An override that was a secret cannot be restored.
    """
    groups: dict[str, list[str]] = {}
    for host, found in plans.items():
        for words in _undo_words(found):
            groups.setdefault(words, []).append(host)
    commands = []
    for words, names in groups.items():
        hosts = ",".join(names)
        commands.append(f"inv -H {hosts} {words}")
    return commands


def _undo_words(found: ConfigPlan) -> Iterator[str]:
    fresh = [step.key for step in found.steps if not step.is_override]
    if fresh:
        yield f"config.unset {' '.join(fresh)}"
    # config.set accepts no variable of the system.
    old = [
        one_word(f"{step.key}={step.now.text}")
        for step in found.steps
        if step.is_override and step.now.fingerprint is None and not is_of_the_system(step.key)
    ]
    if old:
        yield f"config.set {' '.join(old)}{' --unknown' if found.unread else ''}"


def done_text(steps: tuple[ConfigStep, ...]) -> str:
    """What was done on a host: ``MAX_WORKERS 3 -> 8``."""
    return ", ".join(f"{s.key} {s.now.describe()} -> {s.after_text()}" for s in steps)
