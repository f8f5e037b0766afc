"""The program's own streams: closed ones, pipes that end early, and what must not be printed."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from invoke.exceptions import Exit

from opstasks.core import errors

_PASSWORD = re.compile(r"""('password': )(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")""")


@contextlib.contextmanager
def until_pipe_closes() -> Iterator[None]:
    """Exit with 0 when the reader of our output closes the pipe, as `| head` does.

    Raises OpsError when the disk is full.
    """
    try:
        try:
            yield
        except Exit:  # after all was printed
            sys.stdout.flush()
            raise
        sys.stdout.flush()
    except OSError as error:
        from opstasks.output.console import to_nowhere, unwritten

        full = unwritten(error)
        if full is None and not isinstance(error, BrokenPipeError):
            raise
        to_nowhere(sys.stdout)
        raise full or Exit(code=errors.OK) from None


def open_streams() -> None:
    """Open streams that were closed at the start (`2>&-`): Python has None for them.

    Without this, text for standard error could end up in the middle of the result. A byte that is
    not UTF-8 becomes a surrogate in what is read: the reader refuses it, and shows nothing of it.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115 (open to the end)
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")


def hide_password() -> None:
    """Keep the sudo password out of what Invoke logs with --debug."""
    logging.getLogger("invoke").addFilter(_NoPassword())


class _NoPassword(logging.Filter):
    """Removes the sudo password from the configuration that Invoke prints with --debug."""

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        record.msg, record.args = _PASSWORD.sub(r"\1'***'", text), ()
        return True
