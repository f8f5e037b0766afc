"""Compare what is in effect on a host with its description: pure.

Files that are as described are not enough: another file may override them. `manage` corrects only
differences with an action. For all others, a person must look at the cause.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from opstasks.deploy import source
from opstasks.manage import effect_logins, effect_sshd, effect_sudo, effect_units
from opstasks.manage.actions import AnyAction, FixProbe, SetOrigin
from opstasks.manage.effect_facts import AskedCheckout, EffectFacts, EffectRequest
from opstasks.manage.model import Checkout, Description

WAYS_HINT = (
    "systemctl unset-environment, /etc/ld.so.preload, /etc/docker/daemon.json, dockerd's options,"
    " chmod, chgrp, setfacl -b"
)


@dataclass(frozen=True)
class EffectDifference:
    """Something in effect that is not as described; `hint` says what to do.

    `action` is there if `manage` can correct it. `origins` are the files that it may come from, if
    they are known: once `manage` has replaced one of them, the difference may be gone.
    """

    area: str
    thing: str
    now: str
    wanted: str
    hint: str
    action: AnyAction | None = None
    origins: tuple[str, ...] = ()


def request(wanted: Description) -> EffectRequest:
    """What to ask a host about, for a description with its people."""
    homes = {user.name: user.home for user in wanted.users}
    return EffectRequest(
        units=effect_units.asked(wanted),
        sshd=tuple(sorted(effect_sshd.described(wanted))),
        sshd_text="\n".join(wanted.contents[path] for path in effect_sshd.files(wanted)),
        accounts=("root", *(user.name for user in wanted.users)),
        sudoers="\n".join(effect_sudo.described(wanted).values()),
        sudoers_files=tuple(effect_sudo.described(wanted)),
        groups=effect_logins.asked(wanted),
        service_accounts=effect_logins.service_accounts(wanted),
        checkouts=tuple(
            AskedCheckout(entry.path, homes.get(entry.owner, "/root")) for entry in wanted.checkouts
        ),
    )


def differences(
    facts: EffectFacts, wanted: Description, *, is_there: Iterable[str]
) -> Iterator[EffectDifference]:
    """What is not as described. `is_there`: the described files and checkouts that exist.

    A bare host has none of them: nothing can override what `manage` has not created yet.
    """
    there = set(is_there)
    for found in effect_units.problems(facts, wanted, there):
        yield _of_unit(found)
    if there & set(effect_sshd.files(wanted)):
        for thing, now, want, hint, path in effect_sshd.problems(facts.sshd, wanted):
            yield EffectDifference("access", thing, now, want, hint, origins=(path,))
    if there & set(effect_sudo.described(wanted)):
        for thing, now, hint, path in effect_sudo.problems(facts.sudo, wanted):
            origins = (path,) if path else tuple(effect_sudo.described(wanted))
            want = "only described rules"
            yield EffectDifference("access", thing, now, want, hint, origins=origins)
    for thing, now, want, hint in effect_logins.problems(facts, wanted):
        yield EffectDifference("accounts", thing, now, want, hint)
    for text in facts.ways:
        yield EffectDifference("system", "root", text, "nothing like this", WAYS_HINT)
    for checkout in wanted.checkouts:
        yield from (_of_checkout if checkout.path in there else _of_home)(checkout, facts)


def misleading(facts: EffectFacts, checkout: Checkout) -> Iterator[source.SourceProblem]:
    """What in the owner's home would mislead a clone of a checkout that is not there."""
    found = facts.checkouts.get(checkout.path, source.CheckoutSource())
    return source.home_problems(checkout.path, found, checkout.url, checkout.owner)


def _of_unit(found: effect_units.UnitProblem) -> EffectDifference:
    action = None
    if found.can_reload:
        words = f'[ "$(systemctl show -p NeedDaemonReload --value {found.unit})" = no ]'
        action = FixProbe(test=("sh", "-c", words), run=("systemctl", "daemon-reload"))
    return EffectDifference(
        "service",
        f"unit {found.unit}",
        found.text,
        found.wanted,
        found.hint,
        action,
        (found.origin,),
    )


def _of_checkout(checkout: Checkout, facts: EffectFacts) -> Iterator[EffectDifference]:
    found = facts.checkouts.get(checkout.path, source.CheckoutSource())
    for problem in source.problems(checkout.path, found, checkout.url, checkout.owner):
        action = None
        if problem.is_origin:
            action = SetOrigin(path=checkout.path, url=checkout.url, owner=checkout.owner)
        want = f"origin {checkout.url}" if problem.is_origin else "as cloned"
        yield EffectDifference("code", checkout.path, problem.text, want, problem.hint, action)


def _of_home(checkout: Checkout, facts: EffectFacts) -> Iterator[EffectDifference]:
    want = "settings that mislead no clone"
    for problem in misleading(facts, checkout):
        yield EffectDifference("code", checkout.path, problem.text, want, problem.hint)
