"""`hosts` as a screen: how each host is reached, whether it answers, and what -H means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from opstasks.core.formats import plural, span_text
from opstasks.core.hints import typed
from opstasks.core.result import FleetResult, HostResult
from opstasks.hosts.routes import HostCheck, HostRoute
from opstasks.output.parts import Line, bad, bold, dim, good
from opstasks.output.screens import Screen, no_answer
from opstasks.output.table import Column

SSH_PORT = 22
HOW = (
    "-H takes hosts, groups, all, 'db*', '!test', user@host:port,",
    "@failed and @FILE, separated by commas (docs/hosts.md).",
)
CHECK = "Does each one answer? inv -H all hosts --check"
ROUTE_COLUMNS = (
    Column("HOST"),
    Column("ADDRESS"),
    Column("USER", rank=1),
    Column("THROUGH", rank=1),
    Column("KEY", rank=3),
    Column("KEPT", rank=2, is_right=True),
    Column("GROUPS", rank=4, long="wrap", least=12),
    Column("HOST KEY", rank=5),
)
CHECK_COLUMNS = (
    Column("HOST"),
    Column("ANSWERS"),
    Column("AS"),
    Column("LOGIN", rank=1, is_right=True),
    Column("COMMAND", rank=1, is_right=True),
    Column("THROUGH", rank=2),
    Column("ADDRESS", rank=3),
    Column("KEY", rank=4),
)


def _how(result: FleetResult[HostRoute]) -> Iterator[Line]:
    """What -H takes; without hosts, there is nothing to check."""
    for line in (*HOW, *((CHECK,) if list(result) else ())):
        yield [dim(typed(line))]


# -- without a connection ----------------------------------------------------------------------


def routes_screen(chosen: str, groups: Mapping[str, Sequence[str]]) -> Screen[HostRoute]:
    """The screen of `hosts`; `chosen` says which hosts these are."""
    longest = max((len(name) for names in groups.values() for name in names), default=0)
    group_columns = (Column("GROUP"), Column("HOSTS", long="wrap", least=max(longest, 24)))
    group_rows = [[name, " ".join(members)] for name, members in groups.items()]
    return Screen(
        ROUTE_COLUMNS,
        lambda host, found: [route_row(found)],
        failed=_wrong,
        headline=lambda result: [bold(chosen)],
        tables=lambda result: [(group_columns, group_rows)],
        closing=_how,
    )


def _wrong(item: HostResult[HostRoute]) -> Sequence[object]:
    return [item.host, bad("wrong settings")]


def route_row(found: HostRoute) -> list[object]:
    """The row of a host."""
    return [
        found.host,
        address(found),
        found.user,
        through(found),
        key(found),
        span_text(found.kept_s) if found.kept_s is not None else "",
        " ".join(found.groups),
        "pinned" if found.is_pinned else "known_hosts",
    ]


def address(found: HostRoute) -> str:
    """The address, with a port other than ssh's own."""
    if found.port == SSH_PORT:
        return found.address
    name = f"[{found.address}]" if ":" in found.address else found.address
    return f"{name}:{found.port}"


def through(found: HostRoute) -> str:
    """The gateways on the way; "" for a direct connection."""
    if found.through:
        return ", ".join(found.through)
    return "ProxyCommand" if found.proxy_command else ""


def key(found: HostRoute) -> str:
    """The first key file, how many there are besides, and whether an agent has keys."""
    names = [home_short(path) for path in found.key_files[:1]]
    more = len(found.key_files) - 1
    names += [f"{more} more"] if more > 0 else []
    return ", ".join([*names, *(["agent"] if found.has_agent else [])]) or "none found"


def home_short(path: str) -> str:
    """A path with ~ for the home of this person."""
    home = str(Path.home())
    return f"~{path.removeprefix(home)}" if path.startswith(f"{home}/") else path


# -- with one ----------------------------------------------------------------------------------


def check_screen() -> Screen[HostRoute]:
    """Which hosts answer, as whom, and how fast."""
    return Screen(
        CHECK_COLUMNS,
        lambda host, found: [check_row(found, found.check)] if found.check else [],
        failed=no_answer,
        headline=_check_headline,
        ids=lambda found: [found.host],
    )


def _check_headline(result: FleetResult[HostRoute]) -> Line:
    fine, count = len(result.values), len(result.results)
    text = f"{fine} of {plural(count, 'host')} can be reached"
    return [good(text) if fine == count else bad(text)]


def check_row(found: HostRoute, checked: HostCheck) -> list[object]:
    """The row of a host that answered."""
    is_kept = found.kept_s is not None and not checked.key
    return [
        found.host,
        good("yes"),
        checked.user,
        milliseconds(checked.login_s),
        milliseconds(checked.answer_s),
        through(found) or "direct",
        address(found),
        "kept connection" if is_kept else home_short(checked.key),
    ]


def milliseconds(seconds: float) -> str:
    """``42 ms``."""
    return f"{1000 * seconds:.0f} ms"
