"""The steps for differences in effect that are not described: pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import msgspec

from opstasks.manage import effect, effect_units
from opstasks.manage.actions import CloneRepository, FixProbe, StartUnit
from opstasks.manage.changed_by import file_history
from opstasks.manage.effect_facts import EffectFacts
from opstasks.manage.facts import ManageFacts
from opstasks.manage.model import Description
from opstasks.manage.steps import ManageStep


def with_effect(
    steps: Iterable[ManageStep], facts: ManageFacts, wanted: Description
) -> Iterator[ManageStep]:
    """Add the steps for what is in effect.

    A unit with foreign settings is not started, and nothing is cloned with misleading ones.
    """
    if facts.effect is None:
        yield from steps
        return
    there = _there(facts)
    held = effect_units.held(facts.effect, wanted, there)
    things, replaced = set[str](), set[str]()
    for step in steps:
        things.add(step.thing)
        replaced |= {step.thing} if step.action else set()
        yield _guarded(step, held, facts.effect, wanted)
    for found in effect.differences(facts.effect, wanted, is_there=there):
        # A difference that comes from a file that this plan replaces needs no step of its own.
        if not _is_told(found, things) and not replaced.intersection(found.origins):
            why = found.hint if found.action is None else file_history(facts, found.thing)
            yield ManageStep(found.area, found.thing, found.now, found.wanted, found.action, why)


def _is_told(found: effect.EffectDifference, things: set[str]) -> bool:
    """Whether another step says the same: a group is closed, an account is in no list."""
    if found.area != "accounts" or found.thing not in things:
        return False
    is_key = found.now.startswith("has keys in") and found.now.endswith("/.ssh/authorized_keys")
    is_password = found.now.startswith("has a password")
    return is_key or is_password or " in group " in found.thing or found.thing.startswith("group ")


def _there(facts: ManageFacts) -> set[str]:
    """The described files and checkouts that exist."""
    paths = {path for path, now in facts.paths.items() if now is not None and now.kind == "file"}
    return paths | {path for path, is_there in facts.checkouts.items() if is_there}


def _guarded(
    step: ManageStep, held: dict[str, str], facts: EffectFacts, wanted: Description
) -> ManageStep:
    """A step, with a check on the host if it starts a unit; refused if a unit must not start.

    Or if a clone could come from elsewhere.
    """
    action, described = step.action, effect_units.fragments(wanted)
    if isinstance(action, CloneRepository):
        return _cloned(step, facts, wanted)
    if isinstance(action, StartUnit):
        name = action.name if action.name in described else f"{action.name}.service"
        if name not in described:
            return step
        if held:
            return _refused(step, action.name, held)
        guard = msgspec.structs.replace(
            action,
            fragment=described[name],
            drop_ins=effect_units.drop_ins(facts, wanted),
            user=effect_units.account(name, wanted),
        )
        return replace(step, action=guard)
    if isinstance(action, FixProbe) and held and action.run[:2] == ("systemctl", "start"):
        return _refused(step, step.thing, held)
    return step


def _cloned(step: ManageStep, facts: EffectFacts, wanted: Description) -> ManageStep:
    """The step of a clone, without its action if a setting in the owner's home would mislead it."""
    (checkout,) = (entry for entry in wanted.checkouts if entry.path == step.thing)
    for problem in effect.misleading(facts, checkout):
        text = f"{step.thing} is not cloned: {problem.text} (correct it, or --skip {step.area})"
        return replace(step, action=None, why=f"not cloned: {problem.text}", refusal=text)
    return step


def _refused(step: ManageStep, name: str, held: dict[str, str]) -> ManageStep:
    """The step without its action: the unit would not run as described."""
    unit, reason = next(iter(held.items()))
    text = f"{name} is not started: unit {unit}: {reason} (remove it, or --skip {step.area})"
    return replace(step, action=None, why=f"not started: {reason}", refusal=text)
