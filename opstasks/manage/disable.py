"""Disabling the account of a person who left: keys, groups, password, shell; not processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec

from opstasks.core.command import Command, cmd
from opstasks.core.errors import Refused, VerifyFailed
from opstasks.core.formats import plural
from opstasks.core.hints import one_word, quoted
from opstasks.core.lines import lines_of
from opstasks.core.result import Result
from opstasks.fleet.change import change
from opstasks.fleet.host import Host
from opstasks.manage import inspect, people
from opstasks.manage.actions import DisableUser
from opstasks.manage.describe import describe
from opstasks.manage.facts import ManageFacts, UserFacts
from opstasks.manage.inspect import ManageInspectRequest
from opstasks.manage.onhost.account_facts import PEOPLE
from opstasks.manage.perform import perform
from opstasks.manage.steps import ManageStep

NOLOGIN = "/usr/sbin/nologin"
HELP = "inv --help users.disable"


@dataclass(frozen=True)
class Account:
    """An account on a host; `open` are the login methods and rights that it still has.

    `left` are paths of scheduled jobs: they run again when the account is enabled again.
    """

    name: str
    exists: bool
    open: tuple[str, ...]
    processes: int = 0
    left: tuple[str, ...] = ()

    def describe(self) -> str:
        """What it still has, for people: ``keys, group docker, password``."""
        if not self.exists:
            return "no such account"
        return ", ".join(self.open) or "already disabled"

    def goes_on(self) -> str:
        """What a disabled account does not stop, for people; "" for nothing."""
        counts = [
            *([plural(self.processes, "process", "processes")] if self.processes else []),
            *([plural(len(self.left), "scheduled job")] if self.left else []),
        ]
        return ", ".join(counts)


@dataclass(frozen=True)
class DisableResult:
    """The account before and after; `after` is None if nothing was done."""

    before: Account
    after: Account | None
    changed: bool


def only_planned(before: Account) -> DisableResult:
    """The result for a host on which nothing was done."""
    return DisableResult(before, None, changed=False)


def check_name(host: Host, name: str) -> None:
    """Refuse names that are not a person's, and people who are still listed; no connection."""
    if not people.NAME.fullmatch(name) or name in ("root", host.spec.service_user):
        raise Refused(f"{quoted(name)} is not a person's account", host=host.name, hint=HELP)
    role = describe(host.spec).listed().get(name)
    if role:
        raise Refused(
            f"{name} is still listed in {role}; `manage` would enable the account again",
            host=host.name,
            hint=f"remove {name} from `people` in backends/ first",
        )


def request(host: Host, name: str) -> ManageInspectRequest:
    """The questions about the account."""
    empty = inspect.empty_request(host.spec)
    return msgspec.structs.replace(empty, users=(name,), people=True)


def inspect_account(host: Host, name: str) -> Account:
    """The account, in one round trip; raises Refused if it is not a person's."""
    asked = request(host, name)
    answer, *rest = host.root.batch([inspect.question(asked), *_what_continues(name)])
    return _with_rest(account(host, name, inspect.decode(answer, asked, host.name)), rest)


def _what_continues(name: str) -> list[Command]:
    """The commands about what continues after an account is disabled."""
    return [cmd("pgrep", "--count", "--uid", name), scheduled(name)]


def _with_rest(found: Account, results: Sequence[Result]) -> Account:
    """The account with what continues; not every host has cron, so a missing folder is normal."""
    running, left = results
    return replace(found, processes=_count(running.text), left=tuple(lines_of(left.out)))


def scheduled(name: str) -> Command:
    """The command that lists what starts by itself for an account: cron, at, lingering units."""
    mine = ("-type", "f", "(", "-user", name, "-o", "-name", name, ")")
    return cmd("find", "/var/spool/cron", "/var/lib/systemd/linger", *mine)


def account(host: Host, name: str, facts: ManageFacts) -> Account:
    """The account, from the facts; raises Refused for one that must not be disabled."""
    if facts.login == name:
        raise Refused(
            f"you are logged in as {name}", host=host.name, hint="someone else must disable it"
        )
    user = facts.users[name]
    if user is None:
        return Account(name, False, ())
    if user.uid not in PEOPLE:
        raise Refused(f"{name} is a system account", host=host.name, hint=HELP)
    return Account(name, True, ways_in(user, has_keys=name in facts.keyed))


def ways_in(user: UserFacts, *, has_keys: bool) -> tuple[str, ...]:
    """The login methods and rights of an account, from the facts: pure."""
    found = ["keys"] if has_keys else []
    found += [f"group {group}" for group in user.groups]
    found += [] if user.locked else ["password"]
    found += [] if user.expired else ["not expired"]
    found += [] if user.shell == NOLOGIN else [f"shell {user.shell}"]
    return tuple(found)


def _count(text: str) -> int:
    """The number that pgrep prints; 0 for invalid output."""
    words = text.strip()
    return int(words) if words.isascii() and words.isdigit() and len(words) < 10 else 0


def disable(host: Host, name: str) -> DisableResult:
    """Disable the account if it is not disabled yet; raises VerifyFailed if something stays."""
    before = inspect_account(host, name)
    if not before.open:
        return only_planned(before)
    action = DisableUser(name=name)
    step = ManageStep("accounts", f"user {name}", before.describe(), "disabled", action)
    with change(host.root, "users.disable", {"name": name}):
        again = f"users.disable {one_word(name)}"
        facts = perform(host, [step], prove=False, asked=request(host, name), again=again)
        after = account(host, name, facts)
        if after.exists:
            after = _with_rest(after, host.root.batch(_what_continues(name)))
    if after.open:
        raise VerifyFailed(
            f"{name} still has {', '.join(after.open)}",
            host=host.name,
            hint="find out what adds it again, then:"
            f" inv -H {host.name} users.disable {one_word(name)}",
        )
    return DisableResult(before, after, changed=True)
