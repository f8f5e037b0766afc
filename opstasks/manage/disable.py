"""Shutting the account of a person who left: keys, groups, password, shell; nothing is killed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from opstasks.core.command import Command, cmd
from opstasks.core.errors import Refused, VerifyFailed
from opstasks.fleet import old_program as remote
from opstasks.fleet.change import change
from opstasks.fleet.host import Host, check
from opstasks.manage import apply, facts, people
from opstasks.manage.describe import describe
from opstasks.manage.model import Description
from opstasks.manage.plan import Step

NOLOGIN = "/usr/sbin/nologin"
# How Debian and Ubuntu number the accounts of people; `nobody` comes after them.
PEOPLE = range(1000, 60000)


@dataclass(frozen=True)
class Account:
    """How an account stands on a host; `open` are the ways in and rights that it still has."""

    name: str
    exists: bool
    open: tuple[str, ...]
    processes: int = 0

    def describe(self) -> str:
        """For people: ``keys, group docker, password; 3 process(es) run on``."""
        if not self.exists:
            return "no such account"
        running = f"; {self.processes} process(es) run on" if self.processes else ""
        return (", ".join(self.open) or "shut already") + running


@dataclass(frozen=True)
class Outcome:
    """How it came out."""

    before: Account
    after: Account
    changed: bool


def check_name(host: Host, name: str) -> None:
    """Raise Refused for what is no person's name, and for who is still listed; no connection."""
    if not people.NAME.fullmatch(name) or name in ("root", host.spec.service_user):
        raise Refused(f"{name!r} is no person's account", host=host.name)
    wanted = describe(host.spec)
    role = wanted.listed().get(name)
    if role:
        raise Refused(
            f"{name} is still listed in {role}; `manage` would open the account again",
            host=host.name,
            hint=f"take {name} off `people` in backends/ first",
        )


def question(host: Host, name: str) -> Command:
    """The command that asks how the account stands."""
    asked = {**facts.request(Description(), host.spec), "users": [name], "people": True}
    return remote.call(facts.SCRIPT, asked)


def look(host: Host, name: str) -> Account:
    """How the account stands, in one round trip; raises Refused for an account of no person."""
    asked = question(host, name)
    answer, running = host.root.batch([asked, cmd("pgrep", "--count", "--uid", name)])
    found = facts.parse(check(answer, asked, host.name), host.name)
    return replace(account(host, name, found), processes=_count(running.text))


def account(host: Host, name: str, found: facts.Facts) -> Account:
    """The account, from the facts; raises Refused for one that must not be shut."""
    if found["login"] == name:
        raise Refused(f"you came in as {name}", host=host.name, hint="have somebody else do it")
    entry = found["users"][name]
    if entry is None:
        return Account(name, False, ())
    if entry["uid"] not in PEOPLE:
        raise Refused(f"{name} is an account of the system", host=host.name)
    return Account(name, True, ways_in(entry, keyed=name in found["keyed"]))


def ways_in(entry: dict[str, Any], *, keyed: bool) -> tuple[str, ...]:
    """What an account still has, from the facts: pure."""
    found = ["keys"] if keyed else []
    found += [f"group {group}" for group in entry["groups"]]
    found += [] if entry["locked"] else ["password"]
    found += [] if entry["expired"] else ["not expired"]
    found += [] if entry["shell"] == NOLOGIN else [f"shell {entry['shell']}"]
    return tuple(found)


def _count(text: str) -> int:
    return int(text) if text.strip().isdigit() else 0


def disable(host: Host, name: str) -> Outcome:
    """Shut the account where anything of it is open; raises VerifyFailed when some of it stays."""
    before = look(host, name)
    if not before.open:
        return Outcome(before, before, changed=False)
    with change(host.root, "users.disable", {"name": name}):
        step = Step(
            "accounts", f"user {name}", before.describe(), "shut", {"do": "shut", "name": name}
        )
        answer = apply.carry_out(host, [step], prove=False, afterwards=question(host, name))
        after = account(host, name, facts.parse(answer, host.name))
    if after.open:
        raise VerifyFailed(
            f"{name} still has {', '.join(after.open)}",
            host=host.name,
            hint="see who puts it back, then run it again",
        )
    return Outcome(before, after, changed=True)
