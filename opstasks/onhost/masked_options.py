"""Passwords in command lines: ``--password x``, ``-p x``, ``mysql -px``, ``curl -u user:x``."""

import re

from opstasks.onhost.masked_values import Hidden, here_word
from opstasks.onhost.open_signs import OpenSigns, word_end
from opstasks.onhost.secret_names import MASK, is_telling

_WORD = re.compile(r"\S+")
_OPTION = re.compile(r"--?\w[\w.:-]*")
# How many times a line may be read for the ends of arguments: the time stays linear in a text of
# nothing but signs that open something. From a secret on, the rest is hidden then.
_READS = 8
# What may stand before and after an option in other text.
_OPENS, _CLOSES = "\"'`([{,", "\"'`)]},"
# Options of usual programs that take a password, or a user with a password.
_PASSWORD_OPTION, _LOGIN_OPTIONS = "-p", ("-u", "--user", "--proxy-user", "-U")
# Not a password: a port, ports of a container, a folder (mkdir -p), a variable.
_NO_PASSWORD = re.compile(
    r"(?:[0-9.]{7,15}:)?[0-9]{1,5}(?:[:-][0-9]{1,5}){0,3}(?:/(?:tcp|udp))?|[/~.$-].*", re.DOTALL
)
# Not a user and a password: an account and a group as numbers.
_IDS = re.compile(r"[0-9]{1,10}:[0-9]{1,10}")
# Programs whose option takes a password, also in the same word; whatever the password is.
_CLIENT = re.compile(
    r"(?:^|[/\"'`(\[{,;|&=])(mysql|mariadb|sshpass|login|sqlcmd|bcp|tsql|redis-cli|ldap|curl)"
    r"[a-z_-]*[\"'`,)\]}]*$"
)
_OPTION_OF = {
    **dict.fromkeys(("mysql", "mariadb", "sshpass", "login"), "-p"),
    **dict.fromkeys(("sqlcmd", "bcp", "tsql"), "-P"),
    **{"redis-cli": "-a", "ldap": "-w", "curl": ""},
}


def without_options(line: str, hidden: Hidden) -> str:
    """A line without the words after options with passwords."""
    before, client = hidden.before, hidden.client
    hidden.before = hidden.client = ""
    # A command line in several lines, or a list with one word in each line.
    goes_on = line.endswith(("\\", ",")) or " " not in line.strip(" \t-+")
    if "-" not in line and not before and not goes_on:
        return line
    pieces, place, budget = [], 0, _READS * len(line)
    for found in _WORD.finditer(line):
        start, end, signs = found.start(), found.end(), OpenSigns()
        if start < place or found[0] in ("\\", "-"):
            continue
        if budget > 0 and ("-" in before or "-" in found[0]):
            is_listed = before.endswith(",")
            end, read_to = _argument_end(line, start, end, signs, in_list=is_listed)
            budget -= read_to - start
        # A word that goes on in the next line has something after its end.
        secret = secret_place(before, line[start:end] + ("x" if signs else ""), client)
        if secret >= 0 and budget <= 0:
            pieces += [line[place : start + secret], MASK]
            before, place = _hide_rest(line, start, hidden), len(line)
            break
        if secret >= 0:
            if line.startswith("<<", start):
                hidden.here, end = here_word(line, start - 1), len(line)
            pieces += [line[place : start + secret], MASK]
            place = end
            if signs and not hidden.signs:
                hidden.signs, hidden.word = signs, True
        client = client_of(found[0]) or ("" if secret >= 0 else client)
        before = found[0]
    if goes_on:
        hidden.before, hidden.client = before.rstrip("\\"), client
    return "".join([*pieces, line[place:]])


def _argument_end(
    line: str, start: int, end: int, signs: OpenSigns, *, in_list: bool
) -> tuple[int, int]:
    """The end of a word with blanks in quotes, and how far the line was read to find it.

    `signs` is what is open at the line's end. An apostrophe inside a word of a
    sentence opens nothing. In a list, a backslash has a meaning also in ``'``.
    """
    first = start + len(line[start:end]) - len(line[start:end].lstrip("([{,"))
    inside = signs.begin(line, first) if in_list else -1
    found = signs.end(line, inside) if inside >= 0 else word_end(line, first, signs)
    if found >= 0:
        return max(found, end), max(found, end)
    if line[first] in "\"'`\\$&%":
        return len(line), len(line)
    vars(signs).update(vars(OpenSigns()))
    return end, len(line)


def _hide_rest(line: str, start: int, hidden: Hidden) -> str:
    """Set what may go on after a line whose rest is hidden; the last word of the line."""
    signs, place = OpenSigns(), start
    while 0 <= place < len(line):
        end = word_end(line, place, signs)
        place = end + 1 if end >= 0 else end
    if signs and not hidden.signs:
        hidden.signs, hidden.word = signs, True
    hidden.here = hidden.here or here_word(line, start - 1)
    return ("", *line.rstrip("\\ \t").split())[-1]


def client_of(word: str) -> str:
    """The program in a word that takes a password as an option; "" for any other word."""
    found = _CLIENT.search(word)
    return found[1] if found else ""


def _option(word: str) -> str:
    """A word without the signs around an option: ``--password`` of ``f('--password'``."""
    word = word.rstrip(_CLOSES)
    return word[max(word.rfind(sign) for sign in _OPENS) + 1 :]


def secret_place(before: str, word: str, client: str) -> int:
    """Where a secret begins in a word of a command line, by the word before it; -1 for none."""
    name, equals, value = word.partition("=")
    name = _option(name)
    if name.startswith("-") and equals and value and _takes(name, value, client):
        return _login_place(name, word, word.index("=") + 1)
    glued = _glued_place(word, client)
    return glued if glued >= 0 else _separate_place(_option(before), word, client)


def _takes(name: str, value: str, client: str) -> bool:
    """Whether a value of an option is a secret: a password, or a user with one."""
    if name in _LOGIN_OPTIONS:
        bare = value.strip(_OPENS + _CLOSES)
        return ":" in value and (client == "curl" or not _IDS.fullmatch(bare))
    if name == _OPTION_OF.get(client):
        return True
    if name == _PASSWORD_OPTION:
        return not _NO_PASSWORD.fullmatch(value.strip(_OPENS + _CLOSES) or value)
    return is_telling(name) and (name.startswith("--") or "pass" in name.lower())


def _login_place(name: str, word: str, start: int) -> int:
    """Where the secret of an argument begins: the user before a password is shown."""
    return word.index(":", start) + 1 if name in _LOGIN_OPTIONS else start


def _glued_place(word: str, client: str) -> int:
    """Where a secret begins in ``-pPASSWORD`` or ``-uUSER:PASSWORD``; -1 for none."""
    bare = word.lstrip(_OPENS)
    name, value = bare[:2], bare[2:]
    start = len(word) - len(value)
    if not value.strip(_CLOSES) or len(bare) < 2:
        return -1
    if client and name == _OPTION_OF[client]:
        return start
    if name in _LOGIN_OPTIONS and _takes(name, value, client):
        return _login_place(name, word, start)
    return -1


def _separate_place(before: str, word: str, client: str) -> int:
    """Where a secret begins in the word after an option; -1 for none."""
    if not _OPTION.fullmatch(before):
        return -1
    is_optional = client in ("", "mysql", "mariadb") or before != _OPTION_OF[client]
    if word.startswith("--" if before.startswith("--") else "-") and is_optional:
        return -1
    return _login_place(before, word, 0) if _takes(before, word, client) else -1
