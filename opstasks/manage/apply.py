"""Looking and doing, for one host."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from opstasks.change import change
from opstasks.errors import CommandFailed, Refused, VerifyFailed
from opstasks.host import Host
from opstasks.inventory import HostSpec
from opstasks.manage import facts as fact
from opstasks.manage.describe import AREAS, Description, describe
from opstasks.manage.plan import Plan, plan
from opstasks.primitives import remote

# Cloning the dependencies over a slow line is the longest that one run may take.
APPLY_TIMEOUT_S = 3600.0


@dataclass(frozen=True)
class Selection:
    """The areas that a run is about; empty `only` means all."""

    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()

    def check(self) -> None:
        """Raise Refused for an area that does not exist."""
        for area in (*self.only, *self.skip):
            if area not in AREAS:
                raise Refused(f"there is no area {area!r}", cure=f"areas: {', '.join(AREAS)}")


@dataclass(frozen=True)
class Outcome:
    """How a host came out: how many steps were done in which areas."""

    changed: bool
    steps: int
    areas: dict[str, int]


def check(host: Host, selection: Selection) -> Plan:
    """Plan a host: its description read first, then one round trip of facts."""
    wanted = describe(host.spec)
    return _plan(host, wanted, selection)


def apply(host: Host, shown: Plan, selection: Selection) -> Outcome:
    """Carry out the plan that was shown; raises Refused when the host has moved since.

    Raises CommandFailed naming the step that failed, and VerifyFailed when the host still
    differs afterwards.
    """
    if not shown.changed:
        return Outcome(False, 0, {})
    wanted = describe(host.spec)
    with change(host.root, "manage", {"steps": str(len(shown.steps))}):
        current = _plan(host, wanted, selection)
        if not same(current, shown, made_by_lock(host.spec)):
            raise Refused(
                "the host changed since the plan was shown",
                host=host.name,
                cure="look at the new plan: run it again",
            )
        host.step(f"apply {len(current.steps)} change(s)")
        _carry_out(host, current)
        left = _plan(host, wanted, selection)
    if left.changed:
        things = ", ".join(step.thing for step in left.steps[:5])
        raise VerifyFailed(
            f"applied, but still differs: {things}",
            host=host.name,
            cure="run it again with --diff, and see who changes it",
        )
    return Outcome(True, len(current.steps), current.areas())


def made_by_lock(spec: HostSpec) -> set[str]:
    """What taking the lock makes on a bare host, before the plan is looked at again."""
    return {spec.lock_dir, spec.lock_file}


def same(one: Plan, other: Plan, besides: set[str]) -> bool:
    """Whether two plans do the same, besides to the named paths."""

    def actions(plan: Plan) -> list[Any]:
        return [step.action for step in plan.steps if step.thing not in besides]

    return actions(one) == actions(other)


def _plan(host: Host, wanted: Description, selection: Selection) -> Plan:
    return plan(fact.gather(host, wanted), wanted, only=selection.only, skip=selection.skip)


def _carry_out(host: Host, current: Plan) -> None:
    actions = [step.action for step in current.steps]
    command = remote.call(__package__, "remote_apply.py", actions)
    result = host.root.run(replace(command, timeout_s=APPLY_TIMEOUT_S, mutates=True))
    answer: dict[str, Any] = json.loads(result.out.strip().splitlines()[-1])
    done = int(answer["done"])
    if done < len(actions):
        step = current.steps[done]
        raise CommandFailed(
            f"{done} of {len(actions)} changes done; {step.thing} failed",
            returned=1,
            host=host.name,
            tail=answer["reason"],
            cure="mend it, then run manage again: it goes on from there",
        )
