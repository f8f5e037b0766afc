"""The lines of a command, passed on while it is still running."""

from __future__ import annotations

from opstasks.core.command import Command, OnOut


class LineTap:
    """Looks at the output of one command as it grows, and passes on each whole line once."""

    def __init__(self, mark: str, on_out: OnOut) -> None:
        end = b"\0" + mark.encode()
        self._out, self._err = _Stream(end), _Stream(end)
        self._on_out = on_out

    @classmethod
    def of(cls, command: Command, mark: str) -> LineTap | None:
        """The tap of a command that wants its lines early; `mark` ends both its outputs."""
        return cls(mark, command.on_out) if command.on_out else None

    def look(self, out: bytearray, err: bytearray) -> None:
        """Pass on what is new; both buffers begin with the command's first byte."""
        lines = self._out.new(out), self._err.new(err)
        if any(lines):
            self._on_out(*lines)


class _Stream:
    """One of the two outputs: what was passed on, and up to where it was searched."""

    def __init__(self, end: bytes) -> None:
        self._end, self._passed, self._searched, self._has_ended = end, 0, 0, False

    def new(self, buffer: bytearray) -> bytes:
        """The whole lines since the last call; after the end mark, other commands follow."""
        if self._has_ended:
            return b""
        at = buffer.find(self._end, max(0, self._searched - len(self._end)))
        self._has_ended = at >= 0
        limit = at if self._has_ended else len(buffer)
        cut = buffer.rfind(b"\n", self._searched, limit) + 1
        self._searched = limit
        if not cut:
            return b""
        lines = bytes(buffer[self._passed : cut])
        self._passed = cut
        return lines
