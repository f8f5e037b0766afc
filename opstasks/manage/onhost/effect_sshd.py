"""Runs on the host as root: sshd's settings in effect, and the lines that set them.

It changes nothing. ``sshd -T`` says what is in effect; the files say where it comes from.
"""

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

from opstasks.onhost.commands import attempt, said
from opstasks.onhost.plain_text import text_for_root

Facts = dict[str, Any]
TIMEOUT_S = 20.0
CONFIG = "/etc/ssh/sshd_config"
DEFAULTS = "/etc/default/ssh"
MOST_FILES = 200
MOST_LINES = 200
MOST_ACCOUNTS = 20
MOST_UNREAD = 20
# Old names that sshd still accepts.
ALIASES = {"challengeresponseauthentication": "kbdinteractiveauthentication"}
_SIGN = re.compile(r"[\s=]+")
# A variable in the value of SetEnv, with or without quotes.
_VARIABLE = re.compile(r"(?<!\S)[\"']?([A-Za-z_]\w*)=")
# From the first blank only: otherwise a long run of blanks is read again from each of them.
_COMMENT = re.compile(r"(?<!\s)\s+#.*$")


def settings(keys: list[str], accounts: list[str], described: str) -> Facts:
    """The values of keys, the lines that set them, and values for accounts if there is a Match.

    `described` is the text of the described files: sshd itself says what it means.
    """
    shown, ours = effective(), effective("-f", "/dev/stdin", text=described)
    lines, unread = config_lines(CONFIG)
    options_text, is_whole = text_for_root(DEFAULTS)
    chosen = [line for line in lines if line["key"] in keys]
    # What is not read may have a Match, too.
    has_match = any(line["match"] for line in lines) or bool(unread)
    return {
        "values": values_of(shown.stdout, keys),
        "described": {} if ours.returncode else values_of(ours.stdout, keys),
        "lines": chosen[:MOST_LINES],
        "accounts": for_accounts(keys, accounts) if has_match else {},
        "options": options(options_text),
        "unread": [*unread, *([] if is_whole else [DEFAULTS])],
        "problem": (said(shown) or ["it does not answer"])[-1][:500] if shown.returncode else "",
    }


def effective(*options: str, text: str = "") -> subprocess.CompletedProcess[str]:
    """What sshd says about its settings. An old sshd with a Match answers for one login only."""
    done = attempt("sshd", "-T", *options, timeout_s=TIMEOUT_S, input=text)
    if done.returncode == 0:
        return done
    login = ("-C", context("nobody"))
    again = attempt("sshd", "-T", *options, *login, timeout_s=TIMEOUT_S, input=text)
    return done if again.returncode else again


def context(user: str) -> str:
    """A login from this host, for sshd's option -C."""
    return f"user={user},host=localhost,addr=127.0.0.1"


def for_accounts(keys: list[str], accounts: list[str]) -> Facts:
    """The values for a login of each account from this host."""
    found = {}
    for name in accounts[:MOST_ACCOUNTS]:
        done = attempt("sshd", "-T", "-C", context(name), timeout_s=TIMEOUT_S)
        found[name] = values_of(done.stdout, keys)
    return found


def values_of(text: str, keys: list[str]) -> dict[str, str]:
    """The values of keys in the output of ``sshd -T``; several of one key in one text."""
    found: dict[str, list[str]] = {}
    for line in text.split("\n"):
        key, _, value = line.strip().partition(" ")
        if key.lower() in keys:
            found.setdefault(key.lower(), []).extend(told(key.lower(), value).split())
    return {key: " ".join(words)[:4000] for key, words in found.items()}


def told(key: str, value: str) -> str:
    """A value as it may be shown: only the names of variables, because values may be secrets."""
    if key != "setenv":
        return value
    return " ".join(_VARIABLE.findall(value)) or "?"


def config_lines(path: str) -> tuple[list[Facts], list[str]]:
    """The lines of all configuration files, in sshd's order; the files that were not read whole."""
    found: list[Facts] = []
    seen: list[tuple[str, bool]] = []
    _read(path, "", found, seen)
    unread = dict.fromkeys(name for name, is_whole in seen if not is_whole)
    return found, list(unread)[:MOST_UNREAD]


def _read(path: str, match: str, found: list[Facts], seen: list[tuple[str, bool]]) -> None:
    """Add the lines of a file and of the files that it includes; a Match ends with its file."""
    text, is_whole = text_for_root(path) if len(seen) < MOST_FILES else ("", False)
    seen.append((path, is_whole))
    for number, line in enumerate(text.split("\n"), 1):
        key, value = directive(line)
        if key == "match":
            match = value[:200] or "?"
        elif key == "include":
            for name in included(value):
                _read(name, match, found, seen)
        if key:
            place = {"path": path, "line": number, "match": match}
            found.append({**place, "key": key, "value": told(key, value)[:1000]})


def included(value: str) -> list[str]:
    """The files of an Include, in sshd's order."""
    try:
        patterns = shlex.split(value)
    except ValueError:
        patterns = value.split()
    places = [p if p.startswith("/") else f"/etc/ssh/{p}" for p in patterns]
    return [name for place in places for name in found_by(place)]


def found_by(pattern: str) -> list[str]:
    """The files that an absolute pattern finds, sorted."""
    # For sshd, ** is the same as *; Python would search all folders.
    plain = re.sub(r"\*+", "*", pattern)
    try:
        return sorted(map(str, Path("/").glob(plain.lstrip("/"))))
    except (OSError, ValueError, NotImplementedError):
        return []


def directive(line: str) -> tuple[str, str]:
    """The key (in lower case) and the value of a line; ("", "") for a comment or an empty line."""
    text = line.strip()
    if not text or text.startswith("#"):
        return "", ""
    key, *rest = _SIGN.split(text, maxsplit=1)
    name = key.strip('"').lower()
    value = _COMMENT.sub("", rest[0] if rest else "").strip()
    plain = value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value
    return ALIASES.get(name, name), " ".join(plain.split())


def options(text: str | None) -> str:
    """The options for sshd in Debian's file of defaults."""
    found = ""
    for line in (text or "").split("\n"):
        key, sign, value = line.strip().partition("=")
        if sign and key.strip() == "SSHD_OPTS":
            found = value.strip().strip("'\"")
    return found[:500]
