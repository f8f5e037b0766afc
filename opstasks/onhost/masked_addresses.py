"""Users and passwords in addresses: ``scheme://user:password@host``, ``user:password@host``."""

import re

from opstasks.onhost.secret_names import MASK

_WORD = re.compile(r"\S+")
_AUTHORITY = re.compile(r"[^/?#]*")
_USER = re.compile(r"[\w.+-]+")
_HOST = re.compile(r"(?!sha(?:256|512):)[\w\[]")
# What may stand before an address without a scheme.
_OPENS = "\"'`([{<=,;|"


def authority(text: str) -> str:
    """The user, the password, the host and the port at the begin of an address's rest."""
    found = _AUTHORITY.match(text)
    return found[0] if found else ""


def without_credentials(text: str) -> str:
    """A text without the users and passwords in its addresses."""
    if "@" not in text and "://" not in text:
        return text
    return _WORD.sub(lambda found: _without_login(found[0]), text)


def _without_login(word: str) -> str:
    """A word, which may have addresses; a password may contain any sign."""
    last, place = word.rfind("@"), 0
    while (mark := word.find("//", place)) >= 0:
        found = _AUTHORITY.match(word, mark + 2)
        login = found[0] if found else ""
        place = mark + 2 + len(login)
        if _is_address(word, mark) and _has_login(word, mark, login, last):
            return f"{word[: mark + 2]}{MASK}{word[last:] if last > mark else ''}"
    return _without_bare_login(word, last)


def _is_address(word: str, mark: int) -> bool:
    return mark == 0 or word[mark - 1] == ":" or word[mark - 1] in _OPENS


def _has_login(word: str, mark: int, login: str, last: int) -> bool:
    """Whether an authority has a password; an address may be cut before its ``@``."""
    if "@" in login:
        return True
    _, colon, port = login.partition(":")
    if not colon or login.startswith("["):
        return False
    # After digits, "?" or "#" may be a part of a password that begins with digits.
    place = mark + 2 + len(login)
    after = word[place : place + 1]
    if last < mark:
        return port.strip("\"'`)]},;:.") != "" and not port[:1].isdigit()
    return not (port.isdigit() and after not in ("?", "#"))


def _without_bare_login(word: str, last: int) -> str:
    """``user:password@host``; the tag of an image and ``host:/path/a@b`` are none."""
    colon = word.find(":", 0, max(last, 0))
    if colon <= 0 or "/" in word[colon:last] or colon + 1 == last:
        return word
    if not _USER.match(word[colon - 1]) or not _HOST.match(word, last + 1):
        return word
    return f"{word[: colon + 1]}{MASK}{word[last:]}"
