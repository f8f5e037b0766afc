"""Why an account's shell did not start: the errors, from what sudo and the login shell said."""

from __future__ import annotations

import re

from opstasks.core.errors import NoShell, Refused
from opstasks.core.hints import one_word
from opstasks.core.lines import lines_of

# How much of a login shell's output an error repeats.
SAID_LINES = 3
SAID_CHARS = 300
NOTHING_SAID = ", and it said nothing"

# What sudo 1.8, sudo 1.9 and sudo-rs say about an account that does not exist.
_UNKNOWN_USER = re.compile(r"unknown user|user '[^']*' not found")
# What sudo and sudo-rs print when they accept no more passwords.
_NOT_ACCEPTED = re.compile(r"incorrect (password|authentication) attempt")
# sudo repeats the whole command line that it does not allow, between these two texts.
_NOT_ALLOWED, _AS = "not allowed to execute", "' as "
_ON_HOST = re.compile(r"^(\S+) on \S+?\.?(?=\s|$)")


class PasswordNotAccepted(Refused):
    """sudo did not accept the password; this says nothing about the account's rights."""


def wrong_password(host: str) -> PasswordNotAccepted:
    """The error when sudo asks a second time, or gives up."""
    return PasswordNotAccepted(
        "sudo did not accept the password", host=host, hint="try again; nothing was changed"
    )


def no_password(host: str) -> Refused:
    """The error when sudo asks and there is no terminal to ask the person."""
    return Refused(
        "sudo asks for a password, but this is not a terminal",
        host=host,
        hint="run in a terminal, or name a file in $OPSTASKS_SUDO_PASSWORD_FILE",
    )


def refusal(
    text: str, host: str, user: str, advice: str = "", service_user: str = ""
) -> Refused | NoShell:
    """The error for an account's shell that ended before it was ready, from its output.

    `advice` is the hint if sudo refuses, instead of the usual one. A host without its service
    account is not set up; another account was typed by a person.
    """
    if user and _UNKNOWN_USER.search(text):
        if user == service_user:
            text = f"account {user} does not exist: the host is not set up yet"
            return Refused(text, host=host, hint=f"inv -H {one_word(host)} manage")
        text = f"account {user} does not exist there"
        return Refused(text, host=host, hint="check --user, or service_user in hosts.yaml")
    text = _without_command(text)
    if user and _NOT_ACCEPTED.search(text):
        return wrong_password(host)
    if user and ("sudo" in text or _NOT_ALLOWED in text):
        return Refused(
            f"may not become {user}: {said(text, 1)}",
            host=host,
            hint=advice or "ask for sudo rights on the host, or set `sudo: ask` in hosts.yaml",
        )
    return NoShell(
        f"no shell on the host: {said(text) or 'closed without a message'}",
        host=host,
        hint="look at the account's login shell and its start-up files",
    )


def _without_command(text: str) -> str:
    """The words of sudo without the command line that it repeats."""
    before, words, rest = text.partition(f"{_NOT_ALLOWED} '")
    _, found, after = rest.rpartition(_AS)
    # sudo's name for the host is not ours: the error has ours.
    after = _ON_HOST.sub(r"\1", after)
    return f"{before}{_NOT_ALLOWED} it as {after}" if words and found else text


def too_slow(text: str, host: str, limit_s: float) -> NoShell:
    """The error for a login shell that was not ready in time, from its output."""
    heard = said(text)
    more = f"; it said: {heard}" if heard else NOTHING_SAID
    return NoShell(
        f"no shell within {limit_s:g} s{more}",
        host=host,
        hint="look at the start-up files of the account's login shell",
    )


def input_was_read(host: str) -> NoShell:
    """The error for a login shell that has read what was meant for our shell."""
    return NoShell(
        "a start-up file of the login shell reads standard input",
        host=host,
        hint="in that file, read only from a terminal: [ -t 0 ] && ...",
    )


def said(text: str, lines: int = SAID_LINES) -> str:
    """The last lines of a text in one line, limited."""
    found = [line for line in lines_of(text.replace("\0", "")) if line.strip()]
    return " / ".join(line.strip() for line in found[-lines:])[-SAID_CHARS:]
