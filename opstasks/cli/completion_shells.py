"""What the scripts of the shells ask, and how they are answered (`opstasks completion SHELL`).

A script calls ``inv --complete -- LINE`` with the line up to the cursor, as it was typed, and
``OPSTASKS_COMPLETE`` names the shell. Invoke's own scripts name none, and lose an empty last word.

The answer is one candidate on each line: for zsh and fish followed by a tab and a description, for
bash as it is put into ``COMPREPLY``. No line: names of files. A tab alone: nothing.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from opstasks.cli.completion import offer
from opstasks.cli.completion_words import Candidate, ProgramWords
from opstasks.output.escape import printable

SHELL, WORD = "OPSTASKS_COMPLETE", "OPSTASKS_COMPLETE_WORD"
NOTHING = "\t"
# bash would take these in a candidate for patterns or for its history.
_ACTIVE = "!*?[]"
# Ends the typed line: it shows whether the last word is empty or quoted.
_CURSOR = "\0"


def answer(line: str, environment: Mapping[str, str], program: ProgramWords) -> list[str]:
    """The lines to print for a typed line."""
    words = split(line)
    shell = environment.get(SHELL, "")
    if not shell:
        return _for_invokes_scripts(words, program)
    found = offer(words, program)
    if shell == "bash":
        lines = _for_bash(found.candidates, words[-1], line, environment.get(WORD, ""))
    else:
        # A description may come from a file that somebody has changed: it stays one line.
        lines = [f"{value}\t{printable(about)}" for value, about in found.candidates]
    return lines or ([] if found.files else [NOTHING])


def split(line: str) -> list[str]:
    """The words after the program's name, without quotes; the last one may be empty."""
    line = line.replace(_CURSOR, "")
    for closing in ("", "'", '"'):
        try:
            words = shlex.split(line + _CURSOR + closing)
        except ValueError:  # a quote that is still open
            continue
        words[-1] = words[-1].replace(_CURSOR, "")
        return words[_program_at(words) + 1 :] or [""]
    return [""]


def _program_at(words: Sequence[str]) -> int:
    """The index of the program: after assignments, as in ``NAME=value inv``."""
    return next((i for i, word in enumerate(words) if "=" not in word), 0)


def _for_invokes_scripts(words: Sequence[str], program: ProgramWords) -> list[str]:
    """Also what may follow the last word, because it may be finished; the scripts filter both."""
    typed = words[-1] if words else ""
    lines = [value for value, _ in offer(words, program).candidates]
    if typed in (*program.tasks, *program.core.flags):
        after = offer([*words, ""], program)
        lines += [value for value, _ in after.candidates]
    return lines


def _for_bash(found: Sequence[Candidate], typed: str, line: str, word: str) -> list[str]:
    """What bash puts in the place of `word`, its own idea of the last word.

    For bash, a word begins after ``=`` and ``:``. An open quote is not part of it, a backslash is.
    """
    plain = word.replace("\\", "")
    cut = len(typed) - len(plain) if typed.endswith(plain) else 0
    begin = line[: len(line) - len(word)] if line.endswith(word) else ""
    is_quoted = begin.endswith(("'", '"'))
    values = [value[cut:] for value, _ in found if value.startswith(typed)]
    return values if is_quoted else ["".join(map(_escaped, value)) for value in values]


def _escaped(sign: str) -> str:
    return f"\\{sign}" if sign in _ACTIVE else sign
