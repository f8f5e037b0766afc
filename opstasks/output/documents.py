"""JSON documents (docs/json.md).

A moment is ISO 8601 in UTC, in a field whose name is `at` or ends in `_at`; other numbers have
their unit in the name (`_s`, `_bytes`, `_percent`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from opstasks.core.errors import OpsError
from opstasks.core.hints import typed
from opstasks.core.result import FleetResult, HostResult
from opstasks.core.state import HostState

# Changed when a field is renamed or removed, or changes its meaning; not for a new field.
VERSION = 1
ERROR_FIELDS = ("message", "host", "command", "tail", "hint", "outcome", "now")
# They have commands of ours to type, which are complete as on a screen.
TO_TYPE = ("hint", "look", "next", "undo")


def plain(value: object) -> object:
    """A JSON value for our own types: dataclasses, msgspec structs, sets."""
    if isinstance(value, HostState):
        return value.told()
    fields = field_names(type(value))
    if fields is not None:
        return {name: _shown(name, getattr(value, name)) for name in fields}
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    return str(value)


def field_names(kind: Any) -> Sequence[str] | None:
    """The names of the fields of a struct or dataclass; None for other types."""
    names: Sequence[str] | None = getattr(kind, "__struct_fields__", None)
    if names is None and isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return [field.name for field in dataclasses.fields(kind)]
    return names


def _shown(name: str, value: Any) -> Any:
    """A field's value; seconds since the epoch become text, 0 ("not yet") null."""
    if name in TO_TYPE and isinstance(value, str):
        return typed(value)
    if (
        (name == "at" or name.endswith("_at"))
        and isinstance(value, int | float)
        and not isinstance(value, bool)
    ):
        return iso_text(value)
    return value


def iso_text(at: float | None) -> str | None:
    """A moment (seconds since the epoch) as ISO 8601 in UTC; None for 0 or an impossible one."""
    if not at:
        return None
    try:
        return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, OSError):
        return None


# -- documents ---------------------------------------------------------------------------------


def error_document(error: OpsError) -> dict[str, object]:
    """An error as JSON: message, host, command, the last lines and the hint."""
    found = {name: getattr(error, name) for name in ERROR_FIELDS}
    return {name: _shown(name, value) for name, value in found.items() if value}


def failure(error: OpsError) -> dict[str, object]:
    """The document of a run that ended with one error, wrong usage included."""
    return {"version": VERSION, "exit_code": error.exit_code, "error": error_document(error)}


def fleet_document(result: FleetResult[Any], fields: Sequence[str] = ()) -> dict[str, object]:
    """A fleet's result as JSON: exit code, and per host outcome, seconds, value and error.

    Also the error that is not about a host, if there is one.
    `fields`: of each value, or of each one in a list, only these. Whether they exist was checked
    before a host was asked (`opstasks.cli.json_values`).
    """

    def host(item: HostResult[Any]) -> dict[str, object]:
        shown: dict[str, object] = {"outcome": item.outcome}
        if item.elapsed_s:
            shown["elapsed_s"] = round(item.elapsed_s, 3)
        if item.value is not None:
            shown["value"] = selected(item.value, fields)
        if item.error is not None:
            shown["error"] = error_document(item.error)
        return shown

    hosts = {item.host: host(item) for item in result}
    found: dict[str, object] = {"version": VERSION, "exit_code": result.exit_code, "hosts": hosts}
    return {**found, "error": error_document(result.error)} if result.error else found


def selected(value: object, fields: Sequence[str]) -> object:
    """A value with only these of its fields; a list keeps them of each element."""
    if not fields:
        return value
    if isinstance(value, list | tuple | set | frozenset):
        return [selected(item, fields) for item in value]
    found = plain(value)
    if not isinstance(found, dict):
        return found
    return {name: found[name] for name in fields if name in found}
