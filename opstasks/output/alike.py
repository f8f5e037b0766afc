"""Errors that say the same about several hosts, as one error."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from opstasks.core.errors import OpsError
from opstasks.core.formats import first_names

# So many hosts are named, also in the hint; of more, only the first ones.
NAMED = 3


def grouped(errors: Iterable[OpsError]) -> list[list[OpsError]]:
    """Errors in groups that differ only in the host, in the order of their first ones."""
    groups: dict[tuple[object, ...], list[OpsError]] = {}
    for error in errors:
        groups.setdefault(_key(error), []).append(error)
    return list(groups.values())


def shown_text(errors: Sequence[OpsError]) -> str:
    """The text of a group: ``a, b and 34 more: no answer -> inv -H a,b doctor``."""
    first, names = errors[0], [error.host for error in errors]
    if len(errors) == 1:
        return str(first)
    merged = OpsError(first.message, host=first_names(names, NAMED))
    merged.hint = _with_host(first.hint, first.host, ",".join(names[:NAMED]))
    return str(merged)


def _key(error: OpsError) -> tuple[object, ...]:
    if not error.host:
        return (id(error),)
    hint = _with_host(error.hint, error.host, "HOST")
    return (type(error), error.message, error.command, error.tail, hint)


def _with_host(hint: str, host: str, name: str) -> str:
    """A hint for another host, or for several."""
    return re.sub(rf"(?<=-H ){re.escape(host)}(?=\s|$)", lambda found: name, hint)
