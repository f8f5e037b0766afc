"""What is secret, and what is shown instead: the only place that decides this.

Diffs, records, errors, `--echo` and backups use it, on a host and on the client. In doubt a value
is a secret. The time is linear in the size of a text, which may come from a hostile host: a pattern
here matches one run of characters, from one place only, and Python code does the rest.
"""

import re
from collections.abc import Iterable, Sequence

MASK = "***"
# The file of a configuration folder that holds secrets only.
SECRETS_FILE = "02_secrets.env"
# A name of a setting, an option, a header or a field of JSON that has a secret value.
SECRET_NAME = re.compile(
    r"TOKEN|SECRET|PASS|PWD|CREDENTIAL|PRIVATE|LICEN[CS]E|HEADERS|HASH|DSN|DATABASE_URL|KEY"
    r"|AUTHORI[SZ]ATION|COOKIE",
    re.IGNORECASE,
)
# A secret's name in a text; exceptions such as KeyError and words of sudoers are not such names.
_NAME = re.compile(r"[A-Za-z0-9_-]+")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NO_NAME = ("Error", "Exception", "Warning", "NOPASSWD")
# What is between a name and its value, also in JSON.
_SETS = re.compile(r"""["']?[ \t]*(?:=>|:=|[=:])[ \t]*""")
# What may stand before and after an option in other text.
_OPENS, _CLOSES = "\"'`([{,", "\"'`)]},"
_BLANKS = re.compile(r"[ \t]+")
_WORD = re.compile(r"\S+")
_BEARER = re.compile(r"(?i)\b(bearer|basic)[ \t]+(?=\S)")
# A run of characters of tokens, paths and domain names.
_RUN = re.compile(r"[\w/.@+-]+")
_TOKEN = re.compile(r"[\w+-]{20,}")
_KEY_BEGINS, _KEY_ENDS = "-----BEGIN ", "-----END "
_AUTHORITY = re.compile(r"[^/?#]*")
# Options of usual clients that take a password, or a user with a password.
_PASSWORD_OPTIONS, _LOGIN_OPTIONS = ("-p",), ("-u", "--user", "--proxy-user", "-U")
# Not a password: a port, ports of a container, a folder (mkdir -p), a variable.
_NO_PASSWORD = re.compile(r"[0-9]{1,5}(?::[0-9]{1,5})?|[/~.$-].*", re.DOTALL)


def is_secret(key: str, values: Iterable[str] = (), secret_keys: Iterable[str] = ()) -> bool:
    """Whether a key's value must not be shown. In doubt it is a secret."""
    return (
        key in secret_keys
        or bool(SECRET_NAME.search(key))
        or any(masked(value) != value for value in values)
    )


def masked(text: str, *, tokens: bool = False) -> str:
    """A text of any number of lines without its secrets; `tokens`: also what looks like a token."""
    return "\n".join(masked_lines(text.split("\n"), tokens=tokens))


def masked_words(words: Sequence[str]) -> list[str]:
    """The words of a command line without secrets: ``--password x`` becomes ``--password ***``."""
    found, before, glues = [], "", False
    for word in words:
        found.append(masked(_masked_argument(before, word, glues=glues)))
        glues = glues or _is_client(word)
        before = word
    return found


def masked_lines(lines: Iterable[str], *, tokens: bool = False) -> list[str]:
    """Lines without secrets; a secret may have several lines.

    Only a newline ends a line: a secret may contain other characters that Python splits at.
    """
    hidden = _Hidden()
    return [_masked_line(line, hidden, tokens=tokens) for line in lines]


class _Hidden:
    """The secret that the next lines may still belong to.

    `quote` is the sign that ends a value, `key` is set inside a private key, `indent` is the
    indent of a name: deeper lines after it are its value (-1: none).
    """

    def __init__(self) -> None:
        self.quote, self.key, self.more, self.indent = "", False, False, -1

    def hides(self, line: str) -> bool:
        """Whether a line is inside a secret; it may be the last one."""
        if self.key:
            self.key = _KEY_ENDS not in line
            return True
        if self.quote:
            self.quote = "" if self.quote in line else self.quote
            return True
        if self.more:
            self.more = line.endswith("\\")
            return True
        if self.indent >= 0 and _indent(line) > self.indent:
            return True
        self.indent = -1
        return False


def _masked_line(line: str, hidden: _Hidden, *, tokens: bool) -> str:
    if not line.strip():
        return line
    if hidden.hides(line):
        return MASK
    before, begins, after = line.partition(_KEY_BEGINS)
    if begins and "PRIVATE KEY" in after:
        hidden.key = _KEY_ENDS not in after
        line = f"{before}{MASK}"
    line = _without_options(_without_bearer(_without_values(line, hidden)))
    line = without_credentials(line)
    return _RUN.sub(_masked_run, line) if tokens else line


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" \t-+"))


def _without_values(line: str, hidden: _Hidden) -> str:
    """A line without the values of secret names: ``name=x``, ``name: x``, ``"name": "x"``."""
    pieces, place = [], 0
    for found in _NAME.finditer(line):
        if found.start() < place or not _is_telling(found[0]):
            continue
        sets = _SETS.match(line, found.end())
        if sets is None:
            continue
        is_json = line[found.end() : found.end() + 1] in ("'", '"')
        end = _value_end(line, sets.end(), hidden, is_json=is_json)
        pieces += [line[place : sets.end()], MASK if end > sets.end() else ""]
        place = end
    return "".join([*pieces, line[place:]])


def _is_telling(name: str) -> bool:
    return bool(SECRET_NAME.search(name)) and not name.endswith(_NO_NAME)


def _value_end(line: str, start: int, hidden: _Hidden, *, is_json: bool) -> int:
    """The end of a value: of its quotes or the line; sets what the next lines belong to."""
    sign = line[start : start + 1]
    if sign and sign in "\"'":
        place = _closing(line, start + 1, sign)
        if place < 0:
            hidden.quote = sign
            return len(line)
        # In JSON a quote ends the value; elsewhere the value may go on after it.
        return place + 1 if is_json else len(line)
    if line[start:].strip() in ("", "|", ">", "|-", ">-", "|+", ">+"):
        hidden.indent = _indent(line)
    hidden.more = line.endswith("\\")
    return len(line)


def _closing(line: str, place: int, sign: str) -> int:
    """The place of the next quote without a backslash; -1 if there is none."""
    while True:
        at = line.find(sign, place)
        if at < 0 or sign == "'":
            return at
        slashes = at - len(line[place:at].rstrip("\\")) - place
        if slashes % 2 == 0:
            return at
        place = at + 1


def _without_bearer(line: str) -> str:
    """A line without what follows ``Bearer`` or ``Basic``."""
    pieces, place = [], 0
    for found in _BEARER.finditer(line):
        word = _WORD.match(line, found.end())
        if found.start() >= place and word and (found[1].lower() == "bearer" or len(word[0]) > 7):
            pieces += [line[place : found.end()], MASK]
            place = word.end()
    return "".join([*pieces, line[place:]])


def _without_options(line: str) -> str:
    """A line without the words after options with passwords: ``--password x``, ``-p x``."""
    if "-" not in line:
        return line
    pieces, before, quoted, glues = [], "", "", False
    for piece in re.split(r"([ \t]+)", line):
        if not piece or _BLANKS.fullmatch(piece):
            pieces.append(piece)
            continue
        if quoted:
            pieces.append(MASK)
            quoted = "" if quoted in piece else quoted
            continue
        shown = _masked_argument(before, piece, glues=glues)
        sign = piece[:1]
        if shown != piece and sign in ("'", '"') and sign not in piece[1:]:
            quoted = sign
        pieces.append(shown)
        glues = glues or _is_client(piece)
        before = piece
    return "".join(pieces)


def _is_client(word: str) -> bool:
    """Whether a word is a program that reads its password from ``-pPASSWORD``."""
    return word.rpartition("/")[2].startswith(("mysql", "mariadb", "sshpass"))


def _option(word: str) -> str:
    """A word without the signs around an option: ``--password`` of ``f('--password'``."""
    word = word.rstrip(_CLOSES)
    return word[max(word.rfind(sign) for sign in _OPENS) + 1 :]


def _masked_argument(before: str, word: str, *, glues: bool) -> str:
    """A word of a command line, by the word before it; `glues`: ``-pPASSWORD`` is one word."""
    if glues and word.startswith("-p") and len(word) > len("-p"):
        return f"-p{MASK}"
    before = _option(before)
    name, equals, value = word.partition("=")
    name = _option(name)
    if name.startswith("-") and equals and value and _is_telling(name):
        return f"{word.partition('=')[0]}={MASK}"
    if before.startswith("--") and "=" not in before and _is_telling(before):
        return word if word.startswith("--") or word == MASK else MASK
    if before in _PASSWORD_OPTIONS and not _NO_PASSWORD.fullmatch(word):
        return MASK
    if before in _LOGIN_OPTIONS and ":" in word:
        return f"{word.partition(':')[0]}:{MASK}"
    return word


def without_credentials(text: str) -> str:
    """A text without the users and passwords in its URLs."""
    if "://" not in text or "@" not in text:
        return text
    return _WORD.sub(lambda found: _without_login(found[0]), text)


def _without_login(word: str) -> str:
    """A word, which may have URLs; a password may contain any sign."""
    last, place = word.rfind("@"), 0
    while 0 <= (mark := word.find("://", place)) < last:
        found = _AUTHORITY.match(word, mark + 3)
        authority = found[0] if found else ""
        _, colon, port = authority.partition(":")
        # After digits, "?" or "#" may be a part of a password that begins with digits.
        after = word[mark + 3 + len(authority) :][:1]
        is_port = port.isdigit() and after not in ("?", "#")
        if "@" in authority or (colon and not is_port):
            return f"{word[: mark + 3]}{MASK}{word[last:]}"
        place = mark + 3 + len(authority)
    return word


def _masked_run(found: "re.Match[str]") -> str:
    """A run of characters, masked if it looks like a token; paths and domain names do not."""
    run = found[0]
    if not _TOKEN.fullmatch(run):
        return run
    is_mixed = any(c.isdigit() for c in run) and any(c.isalpha() for c in run)
    return MASK if is_mixed else run


def assigned(line: str) -> str:
    """The name that a line of an env file assigns, also after a comment sign; "" for none."""
    left, equals, _ = line.partition("=")
    name = left.strip().lstrip("#").strip()
    name = name[len("export ") :].strip() if name.startswith("export ") else name
    return name if equals and _VARIABLE.fullmatch(name) else ""


def all_assigned(lines: Iterable[str]) -> set[str]:
    """The names that the lines of an env file assign."""
    return {name for line in lines if (name := assigned(line))}


def placeholder(value: str) -> str:
    """A value of the same kind as a secret, for code that only needs some value."""
    if not value:
        return ""
    if value.startswith("/"):
        return "/dev/null"  # a file that exists
    scheme, mark, rest = value.partition("://")
    if mark and scheme.isalnum():
        # With a port if the secret has one: code may need a number.
        login = _AUTHORITY.match(rest)
        port = login[0].rpartition("@")[2].rpartition(":")[2] if login and ":" in login[0] else ""
        return f"{scheme}://masked:masked@masked{':1' if port.isdecimal() else ''}/masked"
    if value.isdecimal():
        return "0"
    if value[0] in "[{":
        return "[]" if value[0] == "[" else "{}"
    # Headers, and connection strings: a name for each value.
    return (
        "masked=masked" if _VARIABLE.match(value.partition("=")[0]) and "=" in value else "masked"
    )
