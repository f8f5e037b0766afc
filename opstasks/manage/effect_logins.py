"""Compare who can log in and become root with the described people: pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from opstasks.core.hints import one_word
from opstasks.manage.effect_facts import EffectFacts, JoinEffect, LoginEffect
from opstasks.manage.model import Description

# The members of these groups can become root, or read what only root should.
POWERFUL = (
    "root",
    "sudo",
    "admin",
    "wheel",
    "docker",
    "lxd",
    "incus",
    "incus-admin",
    "libvirt",
    "shadow",
    "disk",
    "kmem",
    "adm",
    "systemd-journal",
    "microk8s",
    # On Ubuntu it may write into the folders of Python's packages, also of root's Python.
    "staff",
)
# Accounts of programs that read logs, as members of adm.
_LOG_READERS = ("syslog", "logcheck", "telegraf", "node-exporter")
LoginProblem = tuple[str, str, str, str]


def asked(wanted: Description) -> tuple[str, ...]:
    """The groups to ask about."""
    return tuple(dict.fromkeys((*POWERFUL, *(group.name for group in wanted.groups))))


def service_accounts(wanted: Description) -> tuple[str, ...]:
    """The described accounts that are not a person's."""
    return tuple(user.name for user in wanted.users if not user.personal)


def problems(facts: EffectFacts, wanted: Description) -> Iterator[LoginProblem]:
    """What is not described: thing, now, wanted, hint."""
    for account in facts.logins.accounts:
        yield from _account(account, wanted)
    yield from _groups(facts, wanted)
    yield from _joiners(facts.logins.joiners)
    for path in facts.persistence:
        now = f"{path} runs or changes its programs"
        yield "service account", now, "absent", f"look at it, then rm -r {one_word(path)}"


def _account(found: LoginEffect, wanted: Description) -> Iterator[LoginProblem]:
    people = {user.name for user in wanted.users if user.personal}
    known, thing = set(wanted.options.known_accounts), f"user {found.name}"
    if found.uid == 0 and found.name != "root":
        yield (
            thing,
            "has the id 0: it is root",
            "no such account",
            f"remove the line of {found.name} with vipw and vipw -s",
        )
    elif found.twins and (found.name in {user.name for user in wanted.users} or found.uid == 0):
        now = f"has the same id as {', '.join(found.twins)}"
        yield (
            thing,
            now,
            "an id of its own",
            f"remove the line of {found.twins[0]} with vipw and vipw -s",
        )
    if found.name in people:
        yield from _keys(found, {f"{user.home}/.ssh/authorized_keys" for user in wanted.users})
        return
    if found.name in known:
        return
    if found.state == "set" and found.name != "root":
        now = "has a password, but is in no list"
        yield (
            thing,
            now,
            "no password",
            f"passwd -l {one_word(found.name)}, or add to options.known_accounts",
        )
    yield from _keys(found, set())


def _keys(found: LoginEffect, described: set[str]) -> Iterator[LoginProblem]:
    for path in found.keys:
        if path not in described:
            now, hint = f"has keys in {path}", f"look at it, then rm {one_word(path)}"
            yield f"user {found.name}", now, "no keys", hint


def _groups(facts: EffectFacts, wanted: Description) -> Iterator[LoginProblem]:
    """Members that are not described. Listed members of `exact` groups are removed by `manage`."""
    known = set(wanted.options.known_accounts)
    described = {
        (group, user.name) for user in wanted.users for group in (*user.groups, user.group)
    }
    watched = {*POWERFUL, *(group.name for group in wanted.groups if group.exact)}
    for group, members in facts.logins.groups.items():
        if group not in watched:
            continue
        for name in members:
            is_root = name == "root" and group == "root"
            is_reader = group == "adm" and name in _LOG_READERS
            if not (name in known or is_root or is_reader or (group, name) in described):
                words = f"gpasswd -d {one_word(name)} {one_word(group)}"
                hint = f"{words} (or usermod -g, if it is its own group; or vigr, if another group"
                hint += " has the same id)"
                yield f"{name} in group {group}", "yes", "no", hint


def _joiners(found: Iterable[JoinEffect]) -> Iterator[LoginProblem]:
    """Ways into a group that /etc/group does not show; `newgrp` and `sg` use /etc/gshadow."""
    for entry in found:
        group, name = one_word(entry.line), one_word(entry.name)
        who, hint = {
            "administrator": (f"administrator {entry.name}", f"gpasswd -A '' {group}"),
            "member": (f"member {entry.name} of /etc/gshadow", f"gpasswd -d {name} {group}"),
            "password": ("a password", f"gpasswd -R {group}"),
        }[entry.way]
        same = "" if entry.line == entry.group else f"has the id of {entry.group}, and "
        yield f"group {entry.line}", f"{same}can be joined by {who}", "by nobody", hint
