"""The quotes and brackets of a value that may have several lines.

In a doubtful case a value goes on: too much is masked then, and never too little.
"""

import re

# A quote, also one inside a quoted text (with backslashes), in HTML or in a URL.
QUOTE = r"(?:\\*[\"'`]|&quot;|&#3[49];|%2[27])"
_LONG = ('"""', "'''")
# So many characters are read to see what a doubtful quote is: the time stays linear.
_FAR = 1000
_BEGINS = re.compile(rf"\\*(?:\"\"\"|''')|{QUOTE}|[$<]\(|\${{|[(\[{{]")
_SIGN = re.compile(rf"(?<!\\){QUOTE}|[(\[{{)\]}}]")
# What may follow a value.
_AFTER = re.compile(r"[ \t]*(?:\\+[nrt][ \t]*)*(?:[,}\])]|\r?$)")
# What may follow a value of Python in a line that begins with its name.
_LAST = re.compile(r"[ \t]*[,}\])]*[ \t]*\r?$")
_OPENS = re.compile(r"[(\[{]")
_CLOSES = {"(": ")", "[": "]", "{": "}"}
# In a word of a shell: what it may contain, and the blank that ends it.
_IN_WORD = re.compile(r"\\.|\$?[\"'`]|[$<]\(|\$\{|[ \t]")


class OpenSigns:
    """The quote and the brackets that are open at a place of a text.

    `level` is the number of backslashes before the quote: it is more than 0 in a text that is
    quoted itself. `is_raw`: a backslash has no meaning. `is_shell`: so is it in each ``'``.
    """

    def __init__(self) -> None:
        self.quote, self.level, self.is_raw = "", 0, False
        self.brackets: list[str] = []
        self.is_shell = False

    def __bool__(self) -> bool:
        return bool(self.quote or self.brackets)

    def begin(self, line: str, place: int, *, is_raw: bool = False) -> int:
        """Open what a value begins with; the place after it, or -1 if it is not quoted."""
        found = _BEGINS.match(line, place)
        if found is None:
            return -1
        self._open(found[0], is_raw=is_raw and found[0] == "'")
        return found.end()

    def _open(self, sign: str, *, is_raw: bool) -> None:
        if sign[-1] in _CLOSES:
            self.brackets.append(_CLOSES[sign[-1]])
            return
        self.quote, self.is_raw = sign.lstrip("\\"), is_raw
        self.level = len(sign) - len(self.quote)

    def end(self, line: str, place: int) -> int:
        """The place after the last sign is closed; -1 if something is open when the line ends."""
        while True:
            if self.quote:
                sign, place = self.quote, self._closed(line, place)
                if place < 0:
                    return -1
                self.quote = ""
                if sign in _LONG and line.startswith(sign[0], place):
                    place = self.begin(line, place)  # the next string, or YAML's doubled quotes
                    continue
            if not self.brackets:
                return place
            found = _SIGN.search(line, place)
            if found is None:
                return -1
            place = found.end()
            if found[0] == self.brackets[-1]:
                self.brackets.pop()
            elif found[0] not in _CLOSES.values():
                is_plain = found[0] == "'" and not line.startswith("$", found.start() - 1)
                self._open(found[0], is_raw=self.is_shell and is_plain)

    def _is_closing(self, slashes: int, line: str, place: int) -> bool:
        """Whether a quote after so many backslashes ends the value; `place` is after the quote."""
        level = self.level
        while level and slashes % 2:
            slashes, level = slashes // 2, level // 2
        if slashes % 2:
            return False
        # A repr doubles backslashes, but not the quotes after them.
        return slashes == 0 or bool(level) or _AFTER.match(line, place) is not None

    def _is_doubled(self, line: str, start: int, place: int) -> bool:
        r"""Whether the quote after ``\'`` is the second of YAML's ``''``, and not an end.

        `start`: where the value begins; 0 if it does so in an earlier line. A string of Python is
        whole in one line; a comma or a bracket follows, and then the end or whole strings.
        """
        is_yaml = not (self.level or self.brackets or self.is_shell)
        if not is_yaml or not line.startswith("'", place):
            return False
        rest = line[place + 1 : place + 1 + _FAR]
        if start == 0 or len(rest) == _FAR or rest.count("'") % 2:
            return True
        is_flow = _OPENS.search(line, max(0, start - _FAR), start)
        return not (_AFTER if is_flow else _LAST).match(rest)

    def _closed(self, line: str, place: int) -> int:
        """The place after the closing quote; -1 if it is not in this line."""
        sign, start = self.quote, place
        while True:
            at = line.find(sign, place)
            if at < 0 or len(sign) > 1:
                return at + len(sign) if at >= 0 else -1
            slashes = at - len(line[place:at].rstrip("\\")) - place
            place = at + 1
            if not self.is_raw and not self._is_closing(slashes, line, place):
                place += self._is_doubled(line, start, place)
                continue
            if self.level == 0 and line.startswith(sign, place):
                place += 1  # a doubled quote is a part of the value
                continue
            return place


def word_end(line: str, place: int, signs: OpenSigns) -> int:
    """The end of a word of a shell; -1 if a quote or bracket of it is open at the line's end."""
    start, signs.is_shell = place, True
    while True:
        first = signs.begin(line, place, is_raw=True) if place == start else -1
        if first < 0:
            found = _IN_WORD.search(line, place)
            if found is None:
                return len(line)
            if found[0] in (" ", "\t"):
                return found.start()
            place = found.end()
            if found[0][0] == "\\":
                continue
            signs.begin(line, place - 1, is_raw=found[0] == "'")
        else:
            place = first
        place = signs.end(line, place)
        if place < 0:
            return -1
