"""Which steps need what another step should have made: pure.

After a failure, `manage` continues with all steps that do not need what failed.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

from opstasks.manage.actions import (
    AnyAction,
    ChangePackages,
    CreatePath,
    FixProbe,
    SetGroup,
    SetUser,
    StartUnit,
)
from opstasks.manage.steps import ManageStep

# Nobody knows what a command needs. So it needs everything of these areas.
COMMANDS = (CreatePath, FixProbe, StartUnit)
NEEDED_BY_COMMANDS = ("directories", "config", "service", "code", "database")


def is_blocked(step: ManageStep, failed: Iterable[ManageStep]) -> bool:
    """Whether a step needs something that failed."""
    return any(_needs(step, other) for other in failed)


def _needs(step: ManageStep, failed: ManageStep) -> bool:
    one, other = step.action, failed.action
    if isinstance(one, ChangePackages):
        # Broken package tools fail every time, and slowly.
        return isinstance(other, ChangePackages)
    if step.access and (failed.access or failed.area == "accounts" or _installs(other)):
        # New login files could lock out people whose accounts are not ready.
        return True
    if isinstance(one, COMMANDS) and _is_needed_by_commands(failed):
        return True
    return one is not None and other is not None and not _used(one).isdisjoint(_made(other))


def _is_needed_by_commands(failed: ManageStep) -> bool:
    action = failed.action
    if isinstance(action, SetGroup) or (isinstance(action, SetUser) and not action.personal):
        return True
    return failed.area in NEEDED_BY_COMMANDS or _installs(action)


def _installs(action: AnyAction | None) -> bool:
    return isinstance(action, ChangePackages) and action.verb == "install"


def _made(action: AnyAction) -> set[str]:
    """What would exist, or be right, after an action."""
    if isinstance(action, SetUser):
        return {f"user {action.name}", f"group {action.group}"}
    if isinstance(action, SetGroup):
        return {f"group {action.name}"}
    path = getattr(action, "path", "")
    return {f"path {path}"} if path else set()


def _used(action: AnyAction) -> set[str]:
    """The accounts, groups and paths that an action is about, with the folders above a path."""
    found = {f"user {name}" for key in ("owner", "user") if (name := getattr(action, key, ""))}
    groups = [getattr(action, "group", ""), *getattr(action, "groups", ())]
    found |= {f"group {name}" for name in groups if name}
    if path := getattr(action, "path", ""):
        found |= {f"path {place}" for place in (path, *PurePosixPath(path).parents)}
    return found
