"""The steps for groups, accounts and people: pure."""

from __future__ import annotations

from collections.abc import Iterator

from opstasks.manage.actions import SetGroup, SetMember, SetUser
from opstasks.manage.changed_by import word_history
from opstasks.manage.facts import ManageFacts, UserFacts
from opstasks.manage.model import Description, Group, User
from opstasks.manage.onhost.account_facts import PEOPLE
from opstasks.manage.steps import ManageStep


def taken_names(facts: ManageFacts, wanted: Description) -> Iterator[str]:
    """Why people cannot have their listed names: these are names of system accounts."""
    for user in wanted.users:
        now = facts.users.get(user.name)
        if user.personal and now is not None and now.uid not in PEOPLE:
            yield f"user {user.name}: a system account (uid {now.uid}); list another name"


def account_steps(facts: ManageFacts, wanted: Description) -> Iterator[ManageStep]:
    """Groups first, then accounts, then members of groups, then accounts in no list."""
    for group in wanted.groups:
        yield from _group(group, facts)
    for user in wanted.users:
        yield from _user(user, facts)
    yield from _members(facts, wanted)
    yield from _strangers(facts, wanted)


def _group(group: Group, facts: ManageFacts) -> Iterator[ManageStep]:
    now = facts.groups.get(group.name)
    differing: dict[str, tuple[str, str]] = {}
    if now is None:
        differing[""] = ("absent", f"gid {group.gid}" if group.gid else "present")
    elif group.gid and now.gid != group.gid:
        differing["gid"] = (f"gid {now.gid}", f"gid {group.gid}")
    if now is not None and now.joiners:
        differing["joiners"] = (f"can be joined by {', '.join(now.joiners)}", "by nobody")
    if differing:
        closes = "joiners" in differing
        yield ManageStep(
            group.area,
            f"group {group.name}",
            ", ".join(old for old, _ in differing.values()),
            ", ".join(new for _, new in differing.values()),
            SetGroup(name=group.name, gid=group.gid, exists=now is not None, closes=closes),
            why=word_history(facts, group.name),
        )


def _user(user: User, facts: ManageFacts) -> Iterator[ManageStep]:
    now, thing = facts.users.get(user.name), f"user {user.name}"
    if now is None:
        want = f"uid {user.uid}" if user.uid else f"in {', '.join(user.groups) or 'no group'}"
        # The files may be an earlier person's: their start-up files would run as this account.
        is_old = user.personal and facts.paths.get(user.home) is not None
        why = f"{user.home} exists: inspect its files first" if is_old else ""
        yield ManageStep(user.area, thing, "absent", want, _set_user(user, exists=False), why=why)
        return
    is_disabled, is_open = user.personal and now.expired, user.name in facts.open_accounts
    differing = _differing(user, now)
    if is_disabled:
        differing["account"] = ("disabled", "enabled")
    if is_open:
        differing["password"] = ("empty", "none")
    if differing:
        yield ManageStep(
            user.area,
            thing,
            ", ".join(f"{key} {old}" for key, (old, _) in differing.items()),
            ", ".join(f"{key} {new}" for key, (_, new) in differing.items()),
            _set_user(user, exists=True, is_disabled=is_disabled, is_open=is_open),
            why=word_history(facts, user.name),
        )


def _differing(user: User, now: UserFacts) -> dict[str, tuple[object, object]]:
    """The values of an account that differ: now and wanted."""
    return {
        key: (getattr(now, key), getattr(user, key))
        for key in ("uid", "group", "home", "shell")
        if getattr(now, key) != getattr(user, key) and not (key == "uid" and not user.uid)
    }


def _set_user(
    user: User, *, exists: bool, is_disabled: bool = False, is_open: bool = False
) -> SetUser:
    return SetUser(
        name=user.name,
        uid=user.uid,
        group=user.group,
        groups=user.groups,
        home=user.home,
        shell=user.shell,
        personal=user.personal,
        exists=exists,
        is_disabled=is_disabled,
        is_open=is_open,
    )


def described_members(wanted: Description) -> dict[str, set[str]]:
    """The described members of each group."""
    found: dict[str, set[str]] = {group.name: set() for group in wanted.groups}
    for user in wanted.users:
        for group in user.groups:
            found[group].add(user.name)
    return found


def members_now(facts: ManageFacts, group: str) -> set[str]:
    """The members of a group on the host."""
    now = facts.groups.get(group)
    return set(now.members) if now is not None else set()


def _members(facts: ManageFacts, wanted: Description) -> Iterator[ManageStep]:
    described = described_members(wanted)
    exclusive = {user.name: user.exclusive for user in wanted.users}
    given = {group for role in wanted.roles for group in role.groups}
    former = _former(facts, wanted)
    for group in wanted.groups:
        now, want = members_now(facts, group.name), described[group.name]
        # An account that is created is created with its groups.
        lacking = {name for name in want - now if facts.users.get(name) is not None}
        surplus = {
            name
            for name in now - want
            if group.exact
            or group.name in exclusive.get(name, ())
            or (group.name in given and name in former)
        }
        for name in sorted(lacking | surplus):
            yield _member(facts, group, name, joins=name in lacking)


def _former(facts: ManageFacts, wanted: Description) -> set[str]:
    """People who were listed once but are not any more: they lose the groups of all roles.

    They are recognised by the group with their role's name, or by keys that `manage` wrote.
    Accounts of the system or of a cloud image have neither, and may stay in `sudo`.
    """
    found = set(facts.marked)
    for role in wanted.roles:
        found |= members_now(facts, role.name)
    return found - {user.name for user in wanted.users} - set(wanted.options.known_accounts)


def _member(facts: ManageFacts, group: Group, name: str, *, joins: bool) -> ManageStep:
    return ManageStep(
        group.area,
        f"{name} in group {group.name}",
        "no" if joins else "yes",
        "yes" if joins else "no",
        SetMember(group=group.name, user=name, joins=joins),
        why=word_history(facts, name),
    )


def _strangers(facts: ManageFacts, wanted: Description) -> Iterator[ManageStep]:
    """Accounts in no list that can log in, or that others can use: reported, never changed."""
    described = {user.name for user in wanted.users}
    for name in facts.open_accounts:
        if name not in described:
            yield ManageStep(
                "accounts",
                f"user {name}",
                "empty password: any account there can become it",
                f"by hand: passwd --lock {name}",
                None,
                why=word_history(facts, name),
            )
    known = described | set(wanted.options.known_accounts)
    for name in facts.keyed:
        if name not in known:
            yield ManageStep(
                "accounts",
                f"user {name}",
                "can log in, but is in no list",
                "users.disable, or add to a list",
                None,
                why=word_history(facts, name),
            )
