"""What `config.show` and `config.check` show: pure, from facts to lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from opstasks.config.check import ConfigFinding
from opstasks.config.keys import LOCAL_FILE, ConfigKey, ConfigValue, HostConfig
from opstasks.core.formats import first_names, plural
from opstasks.core.result import FleetResult
from opstasks.output.parts import Line, Part, bad, dim, good, odd, to_type
from opstasks.output.screens import Screen, for_hosts, where
from opstasks.output.table import Column

KEYS = (
    Column("HOST"),
    Column("KEY"),
    Column("VALUE", long="clip"),
    Column("FROM", rank=1),
    Column("OVER", rank=2),
)
FINDINGS = (
    Column("HOST"),
    Column("LEVEL"),
    Column("KEY"),
    Column("FINDING", long="wrap", least=30),
    Column("FILE", rank=1),
    Column("WHAT", rank=2),
)
# The task that corrects a kind of problem on a host.
CORRECTIONS = {"restart": "service.restart", "drift": "manage --plan --diff"}


# -- config.show -------------------------------------------------------------------------------


def keys_screen(
    hosts: int, names: Sequence[str] = (), *, local: bool = False
) -> Screen[HostConfig]:
    """The screen of `config.show`, for some keys, or for those of the local file."""
    if names:  # a value that was asked for by its key is shown whole
        value = Column("VALUE", long="wrap", least=40)
    else:
        value = replace(KEYS[2], least=24 if hosts == 1 else 16)
    columns = (*KEYS[:2], value, *KEYS[3:])
    return Screen(
        for_hosts(columns, hosts),
        rows=lambda host, found: (_key_cells(host, key) for key in found.keys),
        headline=_keys_headline,
        notes=lambda host, found: (_key_note(host, key) for key in found.keys if key.note()),
        nothing=lambda result: _no_keys(result, names, local=local),
        ids=lambda found: (key.name for key in found.keys),
    )


def _key_cells(host: str, key: ConfigKey) -> list[object]:
    return [host, key.name, _value(key), key.source, ", ".join(key.over)]


def _value(key: ConfigKey) -> Part:
    mark = key.value.fingerprint
    # A fingerprint is short, because it must never be cut.
    text = f"secret {mark}" if mark else key.value.describe()
    if key.note():
        return odd(text)
    return text if key.value.is_set else dim(text)


def _key_note(host: str, key: ConfigKey) -> Line:
    after: Line = (
        ["  ", to_type(f"inv -H {host} service.restart")] if key.running is not None else []
    )
    return [f"{host}  {key.name}: ", odd(key.note()), *after]


def _keys_headline(result: FleetResult[HostConfig]) -> Line:
    found = result.values
    names = {key.name for config in found.values() for key in config.keys}
    if not names:
        return []
    local = sum(key.source == LOCAL_FILE for config in found.values() for key in config.keys)
    parts = [
        f"{plural(len(names), 'key')} on {where(result)}",
        *([f"{plural(local, 'override')} in {LOCAL_FILE}"] if local else []),
    ]
    differing = _differing(found.values()) if len(found) > 1 else []
    if differing:
        verb = "differs" if len(differing) == 1 else "differ"
        parts.append(f"{first_names(differing, 3)} {verb} between hosts")
    return [", ".join(parts)]


def _differing(configs: Iterable[HostConfig]) -> list[str]:
    """The keys that do not have the same value on all hosts."""
    values: dict[str, list[ConfigValue]] = {}
    configs = list(configs)
    for config in configs:
        for key in config.keys:
            values.setdefault(key.name, []).append(key.value)
    return [
        name
        for name, found in values.items()
        if len(found) < len(configs) or any(value != found[0] for value in found)
    ]


def _no_keys(result: FleetResult[HostConfig], names: Sequence[str], *, local: bool) -> str:
    place = f"on {where(result)}"
    if names:
        text = f"{LOCAL_FILE} does not set" if local else "no file sets"
        return f"{text} {' or '.join(names)} {place}; all keys: config.show"
    if local:
        return f"{LOCAL_FILE} sets nothing {place}; all keys: config.show without --local"
    return f"no key is set {place}"


# -- config.check ------------------------------------------------------------------------------

Findings = tuple[ConfigFinding, ...]


def findings_screen(hosts: int, *, problems: bool = False) -> Screen[Findings]:
    """The screen of `config.check`; only the problems, if `problems`."""
    return Screen(
        for_hosts(FINDINGS, hosts),
        rows=lambda host, found: (
            _finding_cells(host, item) for item in found if item.is_problem or not problems
        ),
        headline=lambda result: _findings_headline(result, problems=problems),
        closing=_corrections,
        nothing=lambda result: _no_findings(result, problems=problems),
    )


def _finding_cells(host: str, item: ConfigFinding) -> list[object]:
    level = bad("problem") if item.is_problem else dim("note")
    return [host, level, item.key or item.file, item.text, item.file, item.what]


def _count(result: FleetResult[Findings], *, problems: bool) -> int:
    return sum(item.is_problem is problems for found in result.values.values() for item in found)


def _findings_headline(result: FleetResult[Findings], *, problems: bool) -> Line:
    count, notes = _count(result, problems=True), _count(result, problems=False)
    if not count and (problems or not notes):
        return []  # there is no table: what was looked for is said instead of it
    hosts = where(result)
    words = good("no problem") if not count else bad(plural(count, "problem"))
    more = f", {plural(notes, 'note')}" if notes and not problems else ""
    return [words, f" on {hosts}{more}"]


def _no_findings(result: FleetResult[Findings], *, problems: bool) -> str:
    text = f"no problem found on {where(result)}"
    notes = _count(result, problems=False)
    return f"{text}; {plural(notes, 'note')} without --problems" if notes and problems else text


def _corrections(result: FleetResult[Findings]) -> Iterator[Line]:
    """The command that corrects each kind of problem, for all its hosts together."""
    for what, task in CORRECTIONS.items():
        names = [
            host
            for host, found in result.values.items()
            if any(item.is_problem and item.what == what for item in found)
        ]
        hosts = ",".join(names)
        if hosts:
            yield [f"{what}:".ljust(9), to_type(f"inv -H {hosts} {task}")]
