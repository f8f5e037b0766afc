"""A fleet's result as JSON, written while it is read, so it may be of any length."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from opstasks.core.errors import Interrupted, OpsError, unforeseen
from opstasks.core.result import FleetResult, HostResult
from opstasks.output.console import to_nowhere, unwritten
from opstasks.output.documents import VERSION, error_document, plain, selected
from opstasks.output.escape import json_text

# Passes pages of values to the given function.
Source = Callable[[Callable[[Sequence[Any]], None]], None]


def fleet_stream(
    hosts: Iterable[tuple[str, Source]], fields: Sequence[str] = ()
) -> FleetResult[None]:
    """Write the values of each host, as `documents.fleet_document` does; returns the outcomes.

    A host that fails half-way keeps its values so far, together with the error. When the reader of
    our output closes the pipe, as `| head` does, the rest is left out without an error. Raises
    OpsError when the disk is full.
    """
    result: FleetResult[None] = FleetResult()
    try:
        _fleet(hosts, result, fields)
    except _CannotWriteError as stopped:
        to_nowhere(sys.stdout)
        if stopped.error:
            raise stopped.error from stopped
    return result


class _CannotWriteError(Exception):
    """The reader of our output closed the pipe, or the disk is full (`error`)."""

    def __init__(self, error: OpsError | None) -> None:
        super().__init__()
        self.error = error


def _fleet(
    hosts: Iterable[tuple[str, Source]], result: FleetResult[None], fields: Sequence[str]
) -> None:
    _write(f'{{"version": {VERSION}, "hosts": {{')
    item: HostResult[None] | None = None
    for number, (host, source) in enumerate(hosts):
        _write(f"{', ' if number else ''}{_json(host)}: {{")
        is_over = item is not None and item.outcome == "interrupted"
        item = _host(host, _not_begun if is_over else source, fields)
        result.results.append(item)
        if item.error is not None:
            _write(f', "error": {_json(error_document(item.error))}')
        _write(f', "outcome": "{item.outcome}"}}')
    _write(f'}}, "exit_code": {result.exit_code}}}\n')
    _write("", flush=True)


def _host(host: str, source: Source, fields: Sequence[str]) -> HostResult[None]:
    _write('"value": [')
    error: OpsError | None = None
    outcome, between = "ok", ""

    def take(page: Sequence[Any]) -> None:
        nonlocal between
        for value in page:
            _write(between + _json(selected(value, fields)))
            between = ",\n"

    try:
        source(take)
    except _CannotWriteError:
        raise
    except (Exception, KeyboardInterrupt) as raised:  # the document must be complete in every case
        error = _as_ours(raised)
        error.host = error.host or host
        outcome = error.outcome
    _write("]")
    return HostResult(host, outcome, error=error)


def _not_begun(take: Callable[[Sequence[Any]], None]) -> None:
    raise Interrupted("interrupted before the host was asked")


def _as_ours(raised: BaseException) -> OpsError:
    if isinstance(raised, OpsError):
        return raised
    if isinstance(raised, KeyboardInterrupt):
        return Interrupted("interrupted; the rest is missing")
    return unforeseen(raised, "")


def _json(value: object) -> str:
    return json_text(value, plain)


def _write(text: str, *, flush: bool = False) -> None:
    try:
        sys.stdout.write(text)
        if flush:
            sys.stdout.flush()
    except OSError as error:
        raise _CannotWriteError(unwritten(error)) from None
