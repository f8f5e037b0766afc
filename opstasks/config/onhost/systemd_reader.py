"""Runs on the host: an env file as systemd reads it for the service (EnvironmentFile)."""

from opstasks.config.onhost.reading import BLANK, NAME, NEWLINE, Assignment, Reading, line_of


def read_systemd(text: str) -> Reading:
    """Read as systemd 252 does for EnvironmentFile."""
    found = Reading()
    place = 0
    while place < len(text):
        char = text[place]
        if char in "#;":
            place = _after_comment(text, place, found)
        elif char in BLANK:
            place += 1
        else:
            place = _systemd_line(text, place, found)
    return found


def _after_comment(text: str, place: int, found: Reading) -> int:
    """The end of a comment; a backslash at its end continues it (before systemd 254)."""
    start = place
    while place < len(text) and text[place] not in NEWLINE:
        if text[place] == "\\":
            if text[place + 1 : place + 2] in ("\n", "\r"):
                line = line_of(text, start)
                found.problems.append(
                    (line, "a comment ends in a backslash and hides the next line")
                )
            place += 1
        place += 1
    return place


def _systemd_line(text: str, start: int, found: Reading) -> int:
    """One line from its key on; a line without an equals sign is skipped."""
    place = start
    while place < len(text) and text[place] not in "=\n\r":
        place += 1
    if place == len(text) or text[place] != "=":
        found.problems.append((line_of(text, start), "the line has no equals sign"))
        return place
    key = text[start:place].rstrip(BLANK)
    value, end = _systemd_value(text, place + 1)
    if not NAME.fullmatch(key):
        found.problems.append((line_of(text, start), "the service ignores it: not a plain name"))
    elif any((ord(c) < 32 and c not in "\t\n") or ord(c) == 127 for c in value):
        found.problems.append((line_of(text, start), "the service ignores it: control characters"))
    else:
        found.assignments.append(Assignment(key, value, start, end))
    return end


def _systemd_value(text: str, place: int) -> tuple[str, int]:
    """A value and the place of its line end; it may mix quoted and unquoted parts."""
    pieces: list[str] = []
    kept = 0  # how many pieces: trailing spaces are removed, unless quoted or escaped
    bare = False
    while place < len(text):
        char = text[place]
        if char in NEWLINE:
            break
        if char == "\\":
            piece = text[place + 1 : place + 2]
            pieces.append("" if piece in ("\n", "\r") else piece)
            bare, kept = True, len(pieces)
            place += 2
        elif char in "'\"" and not bare:
            piece, place = (_single if char == "'" else _double)(text, place + 1)
            pieces.append(piece)
            kept = len(pieces)
        else:
            if bare or char not in BLANK:
                pieces.append(char)
                bare = True
                kept = kept if char in BLANK else len(pieces)
            place += 1
    return "".join(pieces[:kept]), min(place, len(text))


def _single(text: str, place: int) -> tuple[str, int]:
    end = text.find("'", place)
    end = len(text) if end < 0 else end
    return text[place:end], end + 1


def _double(text: str, place: int) -> tuple[str, int]:
    value = ""
    while place < len(text) and text[place] != '"':
        if text[place] == "\\" and place + 1 < len(text):
            follows = text[place + 1]
            value += follows if follows in '"\\`$' else "" if follows == "\n" else "\\" + follows
            place += 2
        elif text[place] == "\\":
            place += 1
        else:
            value += text[place]
            place += 1
    return value, place + 1
