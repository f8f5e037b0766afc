"""Questions to a person, on standard error, before any change."""

from __future__ import annotations

import contextlib
import sys
import termios
from collections.abc import Iterator, Sequence

from opstasks.core.errors import Interrupted, Refused

# In front of each line of a list is its number.
NUMBER_COLUMNS = 6


@contextlib.contextmanager
def asking() -> Iterator[None]:
    """Turn Ctrl-C into Interrupted; nothing was changed before the question."""
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted("interrupted; nothing was changed") from None


def discard_typed() -> None:
    """Discard what was typed before the question was shown: it is not an answer to it."""
    with contextlib.suppress(OSError, termios.error):  # not a terminal
        termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)


def show(question: str) -> None:
    """Show a question; what was typed before is no answer to it."""
    discard_typed()
    print(_within(question), end=" ", file=sys.stderr, flush=True)


def answer_to(question: str) -> str:
    """The line that a person types, with its line end; "" for Ctrl-D.

    A line with bytes that are no text is an empty one: it answers nothing.
    """
    show(question)
    with asking():
        line = sys.stdin.readline()
    if not line:
        print(file=sys.stderr)  # Ctrl-D leaves the cursor on the line of the question
    return line if _is_text(line) else "\n"


def _is_text(typed: str) -> bool:
    """Whether it has no byte that is not UTF-8: standard input gives such a byte as a surrogate."""
    return not any("\ud800" <= char <= "\udfff" for char in typed)


def _within(question: str) -> str:
    """A question in lines of the window; a long one begins below what is said before it.

    The terminal itself would divide words.
    """
    from opstasks.core.window import size_of
    from opstasks.output import fit
    from opstasks.output.escape import printable

    width = size_of(sys.stderr)[0] - len(" ")
    shown = printable(question)
    before, _, asked = shown.rpartition(". ")
    parts = [f"{before}.", asked] if before and len(shown) > width else [shown]
    return "\n".join(line for part in parts for line in fit.paragraph(part, width))


def is_interactive() -> bool:
    """Whether a person can be asked: questions go to standard error."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def agrees_to(question: str) -> bool:
    """Whether a person answers yes."""
    return answer_to(f"{question} [y/N]").strip().lower() in ("y", "yes")


def choice_of(question: str, choices: Sequence[str]) -> str:
    """The word that a person chooses; raises Refused for any other answer."""
    answer = answer_to(f"{question} [{'/'.join(choices)}]").strip().lower()
    if answer not in choices:
        raise Refused(f"{answer!r} is not one of {', '.join(choices)}; nothing was changed")
    return answer


def number_of(question: str, lines: Sequence[str]) -> int:
    """The index of the line that a person chooses; raises Refused for any other answer.

    A line that is wider than the window is cut: a choice is one line.
    """
    from opstasks.core.window import size_of
    from opstasks.output import fit
    from opstasks.output.escape import printable

    room = size_of(sys.stderr)[0] - NUMBER_COLUMNS
    for number, line in enumerate(lines, 1):
        shown = fit.bare(fit.shortened(fit.filled(printable(line)), room))
        print(f"{number:4}  {shown}", file=sys.stderr)
    answer = answer_to(f"{question} Which number?").strip()
    is_number = answer.isascii() and answer.isdigit() and len(answer) < 10
    if not (is_number and 1 <= int(answer) <= len(lines)):
        raise Refused(f"{answer!r} is not a number from 1 to {len(lines)}; nothing was done")
    return int(answer) - 1


def secret_for(name: str) -> str:
    """A value that is typed without being shown, or the first line of standard input.

    Raises Refused for an empty one: the command before the pipe may have failed.
    """
    try:
        with asking():
            if sys.stdin.isatty():
                value = typed_unseen(f"{name}: ", f"the value of {name}")
            else:
                value = _valid(sys.stdin.readline().rstrip("\n"), f"the value of {name}")
    except EOFError:
        print(file=sys.stderr)
        value = ""
    if not value:
        raise Refused(f"no value was given for {name}", hint=f"{name}= sets it to an empty value")
    return value


def typed_unseen(prompt: str, what: str) -> str:
    """What a person types without it being shown. What was typed before the prompt is discarded.

    Raises EOFError for Ctrl-D, and Refused for bytes that are no text; `what` it should be.
    """
    import getpass

    try:
        value = getpass.getpass(prompt, stream=sys.stderr)
    except UnicodeDecodeError:
        print(file=sys.stderr)
        value = "\udc80"  # the error itself has the secret in it: nothing may keep it
    return _valid(value, what)


def _valid(value: str, what: str) -> str:
    """A secret that is text; raises Refused without any part of it."""
    if not _is_text(value):
        raise Refused(f"{what} is not valid text", hint="type it in UTF-8")
    return value
