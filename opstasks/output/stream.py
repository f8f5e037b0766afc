"""A fleet's result as JSON, written while it is read: its length does not matter."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from opstasks.errors import OpsError
from opstasks.output.console import error_document, plain
from opstasks.result import FleetResult, HostResult

# Hands on pages of values to what it is given.
Source = Callable[[Callable[[Sequence[Any]], None]], None]


def fleet_stream(hosts: Iterable[tuple[str, Source]]) -> FleetResult[None]:
    """Write what each host hands on, in the form of `Console.fleet`; returns the outcomes.

    A host that fails half-way keeps what it gave, and has the error beside it. When the reader of
    our output goes away, as `| head` does, nothing more is asked for, and that is no failure.
    """
    result: FleetResult[None] = FleetResult()
    try:
        _fleet(hosts, result)
    except _ReaderGoneError:
        # Or Python complains once more when it flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return result


class _ReaderGoneError(Exception):
    """Nobody reads any more."""


def _fleet(hosts: Iterable[tuple[str, Source]], result: FleetResult[None]) -> None:
    _write('{"hosts": {')
    for number, (host, source) in enumerate(hosts):
        _write(f"{', ' if number else ''}{json.dumps(host)}: {{")
        item = _host(host, source)
        result.results.append(item)
        if item.error is not None:
            _write(f', "error": {_json(error_document(item.error))}')
        _write(f', "outcome": "{item.outcome}"}}')
    _write(f'}}, "exit_code": {result.exit_code}}}\n')
    _write("", flush=True)


def _host(host: str, source: Source) -> HostResult[None]:
    _write('"value": [')
    outcome, error, between = "ok", None, ""

    def take(page: Sequence[Any]) -> None:
        nonlocal between
        for value in page:
            _write(between + _json(value))
            between = ",\n"

    try:
        source(take)
    except OpsError as raised:
        raised.host = raised.host or host
        outcome, error = raised.outcome, raised
    _write("]")
    return HostResult(host, outcome, error=error)


def _json(value: object) -> str:
    return json.dumps(value, default=plain, ensure_ascii=False)


def _write(text: str, *, flush: bool = False) -> None:
    try:
        sys.stdout.write(text)
        if flush:
            sys.stdout.flush()
    except BrokenPipeError:
        raise _ReaderGoneError from None
