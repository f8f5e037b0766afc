"""The plan of `users.disable`, and its end: pure, from accounts to lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from opstasks.core.formats import plural
from opstasks.core.hints import one_word
from opstasks.manage.disable import Account, DisableResult
from opstasks.output.parts import Line, dim, odd, to_type
from opstasks.output.summary import Told
from opstasks.output.table import Column

Accounts = Mapping[str, Account]

ACCOUNTS = (
    Column("HOST"),
    Column("LOSES", long="wrap", least=24),
    Column("GOES ON", long="wrap", least=20),
)


def headline(name: str, accounts: Accounts) -> Line:
    """On how many hosts something is disabled; nothing if on none."""
    hosts = sum(bool(account.open) for account in accounts.values())
    return [f"{name}: to disable on {plural(hosts, 'host')}"] if hosts else []


def rows(accounts: Accounts) -> list[list[object]]:
    """The row of each host."""
    return [
        [host, account.describe() if account.open else dim(account.describe()), _goes_on(account)]
        for host, account in accounts.items()
    ]


def _goes_on(account: Account) -> object:
    text = account.goes_on()
    return odd(text) if text else ""


def plan_notes(accounts: Accounts) -> Iterator[Line]:
    """What a person must know before."""
    for host, account in accounts.items():
        yield from _scheduled(host, account)
    if any(account.open for account in accounts.values()):
        yield ["No file is deleted, and no process is stopped."]
        yield ["Undo: list the person in backends/ again, then run manage."]
    elif accounts:
        yield ["nothing to do"]


def _scheduled(host: str, account: Account) -> Iterator[Line]:
    for path in account.left:
        yield [f"{host}  starts again if the account is enabled again: ", path]


def told(name: str) -> Told[DisableResult]:
    """What is said of the change."""

    def undo(hosts: str) -> str:
        return f"list {name} in backends/, then inv -H {hosts} manage"

    return Told(
        host=lambda done: f"{name} is disabled",
        whole=lambda count: f"{name} disabled on {plural(count, 'host')}",
        undo=undo,
    )


def after_lines(host: str, name: str, done: DisableResult) -> Iterator[Line]:
    """What goes on after the account is disabled."""
    after = done.after
    if after is None or not after.goes_on():
        return
    yield [f"{host}  ", odd(f"goes on: {after.goes_on()}")]
    if after.processes:
        yield [f"{' ' * len(host)}  ", to_type(f"inv -H {host} run -- ps -fu {one_word(name)}")]
    yield from _scheduled(host, after)
