"""Everything that can go wrong, as one family of exceptions.

Each error has the host, the command, the exit code of the program, the last lines that the command
printed and what the operator should type next. The command line prints them in
one place (`opstasks.cli.program`), so no other module formats an error.

Exit codes are part of the public interface (docs/exit-codes.md):

==== =========================================================================
0    every host did what was asked, or had nothing to do
1    at least one host failed
2    refused, or wrong usage: nothing was touched
3    at least one host could not be reached, none failed
4    at least one host is in an unknown state: connection lost while changing it
130  interrupted
==== =========================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opstasks.core.lines import clipped

if TYPE_CHECKING:
    from opstasks.core.state import HostState

# A host may give a reason of megabytes: the hint after it, and other hosts, must stay in sight.
MOST_SHOWN = 10_000
OK, FAILED, REFUSED, UNREACHABLE, UNKNOWN, INTERRUPTED = 0, 1, 2, 3, 4, 130


class OpsError(Exception):
    """Base of every error that an operator may see."""

    exit_code = FAILED
    outcome = "failed"
    # Set when it was shown: no error is shown twice.
    is_shown = False
    # What stands for the host in the texts, besides its name: its addresses.
    own_words: tuple[str, ...] = ()
    # What a person must see of each host, also where several have the same error: its key.
    own_line = ""
    # The host's state as it was read after the last action; None if it was not read.
    now: HostState | None = None

    def __init__(
        self,
        message: str,
        *,
        host: str = "",
        command: str = "",
        tail: str = "",
        hint: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.host = host
        self.command = command
        self.tail = tail
        self.hint = hint

    def __str__(self) -> str:
        """One line, for tracebacks; `opstasks.output.failures` makes what a person sees."""
        prefix = f"{self.host}: " if self.host else ""
        suffix = f" (next: {self.hint})" if self.hint else ""
        return f"{prefix}{clipped(self.message, MOST_SHOWN)}{suffix}"


class CommandFailed(OpsError):
    """A command ran on the host and ended with an exit code that was not expected."""

    def __init__(self, message: str, *, returned: int, **details: str) -> None:
        super().__init__(message, **details)
        self.returned = returned


class ProgramFailed(OpsError):
    """A program of ours failed on the host; `traceback` is the host's, shown with --debug.

    `cause` is a word of `opstasks.onhost.protocol` for why, "" for none.
    """

    def __init__(
        self, message: str, *, traceback: str = "", cause: str = "", **details: str
    ) -> None:
        super().__init__(message, **details)
        self.traceback = traceback
        self.cause = cause


class InvalidResponse(OpsError):
    """The answer of a host has the wrong form, or a value that is impossible."""


class TooMuchOutput(OpsError):
    """A host sent more output than the command's limit; the command was abandoned."""


class TimedOut(OpsError):
    """A command did not finish in time; it was stopped on the host as well."""


class VerifyFailed(OpsError):
    """A change was made, but the check after it did not find the wanted state."""


class Refused(OpsError):
    """What was asked for is wrong or unsafe; nothing was touched."""

    exit_code = REFUSED
    outcome = "refused"


class Incomplete(OpsError):
    """A part of the change was done, and then the rest was not possible."""


class Unreachable(OpsError):
    """The host could not be reached, or the login failed; nothing was touched."""

    exit_code = UNREACHABLE
    outcome = "unreachable"


class NoShell(Unreachable):
    """The account's shell did not start on the host: none of the commands sent was run."""


class Lost(OpsError):
    """The connection broke after a change began: the host's state is not known."""

    exit_code = UNKNOWN
    outcome = "unknown"


class Interrupted(OpsError):
    """The operator pressed Ctrl-C; the message says what was done and what was not."""

    exit_code = INTERRUPTED
    outcome = "interrupted"


def unforeseen(error: BaseException, host: str) -> OpsError:
    """The error for a defect in this program; `host` is "" if it is not about a host."""
    wrapped = OpsError(
        f"internal error: {type(error).__name__}: {error}",
        host=host,
        hint="run again with --debug and report it",
    )
    wrapped.__cause__ = error
    return wrapped
