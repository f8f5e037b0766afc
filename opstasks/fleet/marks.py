"""Where the output of a command ends: a mark on both streams, with the exit code on the first.

The host writes them, so nothing in them is trusted: a wrong number is a ValueError.
"""

from __future__ import annotations

# The number of a command that was not run (`opstasks.fleet.leftover`): not one of an exit code.
NOT_RUN = 256
MAX_CODE = NOT_RUN
# The highest process id of Linux.
MAX_PID = 1 << 22


class EndMarks:
    """Finds the marks of one command in two growing buffers; looks at each byte only once.

    When `is_in` is true, output ends at `out_at` and `err_at`, and what follows the marks begins at
    `out_next` and `err_next`.
    """

    def __init__(self, mark: str, highest: int = MAX_CODE) -> None:
        self.number = -1
        self.out_at = self.err_at = -1
        self.out_next = self.err_next = 0
        self._out_mark = b"\0%b " % mark.encode()
        self._err_mark = b"\0%b\0" % mark.encode()
        self._highest = highest
        self._out_from = self._err_from = 0

    def is_in(self, out: bytearray, err: bytearray) -> bool:
        """Whether both marks have arrived; raises ValueError for a wrong number."""
        return self.is_in_out(out) and self.is_in_err(err)

    def is_in_out(self, out: bytearray) -> bool:
        """Whether the mark on standard output has arrived; raises ValueError."""
        if self.number >= 0:
            return True
        if self.out_at < 0:
            self.out_at = out.find(self._out_mark, self._out_from)
            self._out_from = max(0, len(out) - len(self._out_mark))
        if self.out_at < 0:
            return False
        start, longest = self.out_at + len(self._out_mark), len(str(self._highest))
        end = out.find(b"\0", start, start + longest + 1)
        if end < 0 and len(out) - start <= longest:
            return False
        self.number = _number(bytes(out[start:end]) if end >= 0 else b"", self._highest)
        self.out_next = end + 1
        return True

    def is_in_err(self, err: bytearray) -> bool:
        """Whether the mark on standard error has arrived."""
        if self.err_at < 0:
            self.err_at = err.find(self._err_mark, self._err_from)
            self._err_from = max(0, len(err) - len(self._err_mark))
            self.err_next = self.err_at + len(self._err_mark)
        return self.err_at >= 0


def _number(digits: bytes, highest: int) -> int:
    if not digits.isdigit() or int(digits) > highest:
        raise ValueError("wrong number in an end mark")
    return int(digits)


def taken(buffer: bytearray, end: int, after: int) -> bytes:
    """The bytes up to `end`; removes everything up to `after` from the buffer."""
    with memoryview(buffer) as view:
        found = bytes(view[:end])
    del buffer[:after]
    return found
