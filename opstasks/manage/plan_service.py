"""The steps for packages, checkouts, units and other needs of the service: pure."""

from __future__ import annotations

from collections.abc import Iterator

from opstasks.core.formats import plural
from opstasks.manage.actions import (
    AnyAction,
    ChangePackages,
    CloneRepository,
    CreatePath,
    DisableUnit,
    EnableUnit,
    FixProbe,
    SetRights,
    StartUnit,
    StopUnit,
)
from opstasks.manage.changed_by import word_history
from opstasks.manage.facts import ManageFacts, PathFacts
from opstasks.manage.model import Checkout, Creation, Description, Unit
from opstasks.manage.steps import ManageStep

ENABLED = ("enabled", "enabled-runtime")
# Unit files that systemd cannot enable, or that something else starts.
NEEDS_NO_ENABLING = ("alias", "static", "generated", "indirect")
ACTIVE = ("active", "activating", "reloading")


# -- packages ------------------------------------------------------------------------------------


def package_steps(facts: ManageFacts, wanted: Description) -> Iterator[ManageStep]:
    """Packages to purge and to install, then those to upgrade."""
    yield from _purged(facts, wanted)
    yield from _installed(facts, wanted)
    yield from _lists(facts)
    yield from _upgrade(facts)


def _purged(facts: ManageFacts, wanted: Description) -> Iterator[ManageStep]:
    unwanted = [entry.name for entry in wanted.packages if entry.state == "absent"]
    names = tuple(name for name in unwanted if facts.packages[name])
    action = ChangePackages(verb="purge", names=names)
    yield from _packages(facts, wanted, action, "installed", "not installed")


def _installed(facts: ManageFacts, wanted: Description) -> Iterator[ManageStep]:
    needed = [entry.name for entry in wanted.packages if entry.state == "present"]
    names = tuple(name for name in needed if not facts.packages[name])
    action = ChangePackages(verb="install", names=names)
    yield from _packages(facts, wanted, action, "missing", "installed")


def _packages(
    facts: ManageFacts, wanted: Description, action: ChangePackages, now: str, want: str
) -> Iterator[ManageStep]:
    """One step for each package, all with the same action: the first one does all the work."""
    may = wanted.options.packages == "manage"
    for name in action.names:
        why = word_history(facts, name) if may else "no archive there: by hand"
        done = action if may else None
        yield ManageStep("packages", f"package {name}", now, want, done, why)


def _lists(facts: ManageFacts) -> Iterator[ManageStep]:
    days = int(facts.lists_age_s) // 86400
    if days:
        # Packages newer than the lists are outdated, too.
        now, want = f"{plural(days, 'day')} old", "updated, then all packages upgraded"
        action = ChangePackages(verb="refresh")
        yield ManageStep("packages", "package lists", now, want, action)


def _upgrade(facts: ManageFacts) -> Iterator[ManageStep]:
    names = facts.upgradable
    if names:
        shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        thing, action = plural(len(names), "package"), ChangePackages(verb="upgrade")
        yield ManageStep("packages", thing, "outdated", "upgraded", action, why=shown)


# -- the service ---------------------------------------------------------------------------------


def service_steps(facts: ManageFacts, wanted: Description) -> Iterator[ManageStep]:
    """Code and database first, then units, then probes that need them."""
    for checkout in wanted.checkouts:
        if not facts.checkouts[checkout.path]:
            yield _clone(checkout)
    for creation in wanted.creations:
        found = facts.paths.get(creation.path)
        if found is None:
            yield _create(creation)
        elif found.kind == "file" and found.owner != creation.owner:
            yield _give_back(creation, found)
    for unit in wanted.units:
        yield from _unit(unit, facts)
    for probe in wanted.probes:
        if not facts.probes[probe.name]:
            action = FixProbe(test=probe.test, run=probe.run)
            now, want = "not as it should be", "as it should be"
            yield ManageStep(probe.area, probe.name, now, want, action)


def _clone(checkout: Checkout) -> ManageStep:
    path, url, ref = checkout.path, checkout.url, checkout.ref
    action = CloneRepository(path=path, url=url, ref=ref, owner=checkout.owner)
    return ManageStep(checkout.area, path, "absent", f"{url} {ref}", action)


def _create(creation: Creation) -> ManageStep:
    action = CreatePath(path=creation.path, run=creation.run, owner=creation.owner)
    return ManageStep(creation.area, creation.path, "absent", "created", action)


def _give_back(creation: Creation, now: PathFacts) -> ManageStep:
    """A file of somebody else, which the service cannot use: a migration by root leaves one."""
    owner, path = creation.owner, creation.path
    action = SetRights(path=path, owner=owner, group=owner, mode=now.mode)
    return ManageStep(creation.area, path, f"belongs to {now.owner}", f"belongs to {owner}", action)


def _unit(unit: Unit, facts: ManageFacts) -> Iterator[ManageStep]:
    now = facts.units[unit.name]
    file_state, active_state = now.file_state or "absent", now.active_state or "absent"
    why = word_history(facts, unit.name, f"{unit.name}.service")

    def step(now: str, wanted: str, action: AnyAction) -> ManageStep:
        return ManageStep(unit.area, f"unit {unit.name}", now, wanted, action, why)

    if unit.enabled and file_state not in (*ENABLED, *NEEDS_NO_ENABLING):
        yield step(file_state, "enabled", EnableUnit(name=unit.name))
    if not unit.enabled and file_state in ENABLED:
        yield step(file_state, "disabled", DisableUnit(name=unit.name))
    if unit.state == "running" and active_state not in ACTIVE:
        yield step(active_state, "active", StartUnit(name=unit.name))
    if unit.state == "stopped" and active_state in ACTIVE:
        yield step(active_state, "inactive", StopUnit(name=unit.name))
