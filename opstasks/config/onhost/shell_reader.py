"""Runs on the host: an env file as bash reads it when a person sources it.

People and job-runner's own commands get the configuration in this way; the service gets it through
systemd (`systemd_reader`). The two languages differ: quotes, spaces, `$`, `#`, backslashes and
semicolons. `ShellReader` follows bash as far as plain assignments go. It executes nothing, and
reports values that are unknown.
"""

import re
from dataclasses import dataclass, field

from opstasks.config.onhost.reading import NAME, Assignment, Reading, line_of

# Commands that may change variables or end the file in ways that we cannot know.
_POWERFUL = re.compile(
    r"[!.{}]|\]\]|\[\[|\(\(|alias|builtin|case|command|coproc|declare|do|done|elif|else|enable|esac|eval"
    r"|exec|exit|export|fi|for|function|getopts|hash|if|in|let|local|mapfile|printf|pushd|popd|read"
    r"|readarray|readonly|return|select|set|shift|shopt|source|then|time|trap|typeset|umask|unalias"
    r"|unset|until|wait|while|cd"
)
_HARMLESS = {":", "true", "false"}
# The kernel starts no program with a longer variable. Without a limit, A=$A$A fills the memory.
_MOST_LENGTH = 128 << 10
_PLAIN_COMMAND = re.compile(r"[^()'\"`\\$#\n]*")


class _Lost(Exception):
    """The shell does something here whose result is unknown without running it."""


class _Unclosed(Exception):
    """A quote is not closed: the shell stops reading before this statement."""


@dataclass
class _Word:
    """A word of a statement: its text, or None if it depends on more than the file."""

    text: str | None
    start: int
    name: str = ""
    appends: bool = False
    quoted: bool = False
    braces: bool = False
    expanded: bool = False
    why: str = ""
    pieces: list[str] = field(default_factory=list)
    length: int = 0


class ShellReader:
    """Read as bash does when it sources the text; `known` are values from earlier files."""

    def __init__(self, text: str, known: dict[str, str | None] | None = None) -> None:
        self.text = text
        self.known = dict(known or {})
        self.place = 0
        self.found = Reading()
        # Assignments of the present statement, kept until it is known not to be a command.
        self._pending: dict[str, str | None] = {}

    def read(self) -> Reading:
        """Read all statements; stop at the first that cannot be understood."""
        start = line_start = 0
        try:
            while self.place < len(self.text):
                start = self.place
                if self.text[start - 1 : start] in ("", "\n"):
                    line_start = start
                self._statement(self._words())
        except _Lost:
            line = line_of(self.text, start)
            self.found.lost = line
            self.found.problems.append((line, "a shell does more than assign here"))
            self.found.assignments = [
                Assignment(item.key, None, item.start, item.end) for item in self.found.assignments
            ]
        except _Unclosed:
            line = line_of(self.text, start)
            self.found.problems.append((line, "a quote is not closed: a shell stops reading here"))
            # Bash reads a whole line before it runs the first statement in it.
            self.found.assignments = [
                item for item in self.found.assignments if item.start < line_start
            ]
        return self.found

    def _statement(self, words: list[_Word]) -> None:
        """Assignments alone are kept; before a command they apply only to that command."""
        count = next((n for n, word in enumerate(words) if not word.name), len(words))
        if count == len(words):
            for word in words:
                self._assign(word)
            return
        command, rest = words[count], words[count + 1 :]
        if command.text == "export" and not command.quoted and count == 0:
            self._export(rest)
            return
        if command.expanded or _POWERFUL.fullmatch(command.text or ""):
            raise _Lost
        if command.text not in _HARMLESS:
            line = line_of(self.text, words[0].start)
            what = "the rest of the line" if count else "this"
            self.found.problems.append((line, f"a shell runs {what} as a command"))

    def _export(self, words: list[_Word]) -> None:
        """``export A=x``: all values are expanded before any is assigned."""
        if any(word.braces or not (word.name or self._is_name(word)) for word in words):
            raise _Lost
        for word in words:
            if word.name:
                self._assign(word)

    @staticmethod
    def _is_name(word: _Word) -> bool:
        return word.text is not None and not word.quoted and bool(NAME.fullmatch(word.text))

    def _assign(self, word: _Word) -> None:
        value = word.text
        if word.appends:
            old = self.known.get(word.name)
            value = None if old is None or value is None else old + value
            if value is not None and len(value) > _MOST_LENGTH:
                value = None
        self.known[word.name] = value
        if value is None:
            line = line_of(self.text, word.start)
            why = word.why or "it adds to what was set before"
            self.found.problems.append((line, f"its value in a shell is unknown: {why}"))
        self.found.assignments.append(Assignment(word.name, value, word.start, self.place))

    # -- words -----------------------------------------------------------------------------

    def _words(self) -> list[_Word]:
        """The words up to the end of the statement."""
        words: list[_Word] = []
        exporting, all_assign = False, True
        self._pending = {}
        while self.place < len(self.text):
            char = self.text[self.place]
            if char in "\n;":
                if char == ";" and not words:
                    raise _Lost
                self.place += 1
                break
            if char in " \t":
                self.place += 1
            elif self.text.startswith("\\\n", self.place):
                self.place += 2
            elif char == "#":
                end = self.text.find("\n", self.place)
                self.place = len(self.text) if end < 0 else end
            elif char in "&|<>()":
                raise _Lost
            else:
                word = self._word(assigns=exporting or all_assign)
                if not exporting and not word.name and word.text == "export":
                    exporting = not words
                words.append(word)
                all_assign = all_assign and bool(word.name)
                if not exporting and word.name:
                    # A later word of the same statement sees earlier assignments.
                    self._remember(word)
        return words

    def _remember(self, word: _Word) -> None:
        old = self.known.get(word.name) if word.appends else ""
        self._pending[word.name] = None if old is None or word.text is None else old + word.text

    def _word(self, *, assigns: bool) -> _Word:
        """One word; where allowed, ``NAME=`` at its start makes it an assignment."""
        word = _Word("", self.place)
        head = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(\+?=|\[)").match(self.text, self.place)
        if head and assigns:
            if head[2] == "[":
                raise _Lost
            word.name, word.appends = head[1], head[2] == "+="
            self.place = head.end()
        tilde = self.place
        while self.place < len(self.text) and self.text[self.place] not in " \t\n;&|<>()":
            char = self.text[self.place]
            if char == "~" and self.place == tilde:
                word.expanded = True
                self._cannot_tell(word, "a ~ is replaced by a home directory")
            if char == ":":
                tilde = self.place + 1
            self._piece(word, char)
        if self.place < len(self.text) and self.text[self.place] in "&|<>()":
            raise _Lost
        if word.text is not None:
            word.text = "".join(word.pieces)
        return word

    def _piece(self, word: _Word, char: str) -> None:
        if char == "'":
            end = self.text.find("'", self.place + 1)
            if end < 0:
                raise _Unclosed
            self._add(word, self.text[self.place + 1 : end])
            word.quoted, self.place = True, end + 1
        elif char == '"':
            word.quoted, self.place = True, self.place + 1
            self._double_quoted(word)
        elif char == "\\":
            follows = self.text[self.place + 1 : self.place + 2]
            if follows == "\n" and not word.name:
                raise _Lost  # the next line may make it an assignment
            self._add(word, "" if follows == "\n" else follows or "\\")
            word.quoted, self.place = True, min(self.place + 2, len(self.text))
        elif char in "$`":
            self._expansion(word, quoted=False)
        else:
            word.braces = word.braces or char == "{"
            self._add(word, char)
            self.place += 1

    def _double_quoted(self, word: _Word) -> None:
        while self.place < len(self.text):
            char = self.text[self.place]
            if char == '"':
                self.place += 1
                return
            if char in "$`":
                self._expansion(word, quoted=True)
                continue
            if char == "\\":
                follows = self.text[self.place + 1 : self.place + 2]
                special = follows in ("$", "`", '"', "\\", "\n")
                self._add(word, "" if follows == "\n" else follows if special else char)
                self.place += 2 if special else 1
                continue
            self._add(word, char)
            self.place += 1
        raise _Unclosed

    def _expansion(self, word: _Word, *, quoted: bool) -> None:
        """A `$` or a backquote: replaced if the files give the value, else unknown."""
        text, place = self.text, self.place
        word.expanded = True
        if text[place] == "`":
            self._runs(word, "`", place + 1)
            return
        follows = text[place + 1 : place + 2]
        name = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*)").match(
            text, place + 1
        )
        if name:
            self._variable(word, name[1] or name[2])
            self.place = name.end()
        elif follows == "(":
            self._runs(word, ")", place + 2)
        elif follows in ("{", "[") or (follows in ("'", '"') and not quoted):
            raise _Lost
        elif follows and follows in "0123456789@*#?-$!":
            self._cannot_tell(word, f"it contains ${follows}")
            self.place += 2
        else:
            self._add(word, "$")
            self.place += 1

    def _variable(self, word: _Word, name: str) -> None:
        value = self._pending.get(name, self.known.get(name))
        if value is None:
            self._cannot_tell(word, f"it contains ${name}")
        else:
            self._add(word, value)

    def _runs(self, word: _Word, closing: str, place: int) -> None:
        """A command in the middle of a value; it is not run here."""
        inside = _PLAIN_COMMAND.match(self.text, place)
        assert inside
        if self.text[inside.end() : inside.end() + 1] != closing:
            raise _Lost
        self._cannot_tell(word, "a shell runs a command for it")
        self.place = inside.end() + 1

    def _add(self, word: _Word, text: str) -> None:
        if word.text is None:
            return
        word.length += len(text)
        if word.length > _MOST_LENGTH:
            self._cannot_tell(word, "it is very long")
        else:
            word.pieces.append(text)

    def _cannot_tell(self, word: _Word, why: str) -> None:
        word.text, word.why = None, word.why or why
