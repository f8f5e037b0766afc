"""Asks OpenSSH for its settings: `ssh -G NAME`.

One call costs about 4 ms of processor time. Names that no Host or Match line tells apart share one
answer, so that a fleet of 250 plain hosts costs one call.
"""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from opstasks.core.errors import Refused
from opstasks.fleet.config_files import ConfigFiles, Signature, matches
from opstasks.fleet.ssh_settings import SSHSettings

# `Match exec` may run a command.
TIMEOUT_S = 30
_READ = re.compile(r"^debug1: Reading configuration data (.+)$", re.MULTILINE)
# How OpenSSH prints a byte that is not a plain letter: \303, and \\\\ for a backslash.
_PRINTED = re.compile(rb"\\([0-3][0-7]{2}|\\)")
_DEBUG = re.compile(r"debug\d: |OpenSSH_|Pseudo-terminal will not")


class Destination(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody would type after `ssh`: a name and options; "" and 0 for those not given.

    `jump` is the value of ``-J``, `config` of ``-F``, `identity` of ``-i``.
    """

    name: str
    user: str = ""
    port: int = 0
    identity: str = ""
    config: str = ""
    jump: str = ""

    def arguments(self) -> list[str]:
        """The command that prints the settings, and on standard error the files it read."""
        options = {"-F": self.config, "-l": self.user, "-p": self.port or ""}
        options |= {"-i": self.identity, "-J": self.jump}
        given = [word for flag, value in options.items() if value for word in (flag, str(value))]
        return ["ssh", "-v", "-G", *given, "--", self.name]


Values = Mapping[str, tuple[str, ...]]


class _Answers:
    """The answers so far for one ssh_config."""

    def __init__(self) -> None:
        self.files = ConfigFiles()
        self.signature: Signature = ()
        self.found: dict[Destination, SSHSettings] = {}
        self.plain: dict[Destination, bool] = {}
        self.hung: tuple[float, str] | None = None

    @property
    def are_shared(self) -> bool:
        """Whether several names may share one answer, so that the others should wait for it."""
        return not self.found or self.files.patterns is not None

    def ask(self, wanted: Destination) -> SSHSettings:
        """Ask OpenSSH, but not again just after it did not answer: 250 hosts would wait in turn."""
        if self.hung and time.monotonic() < self.hung[0] + TIMEOUT_S:
            raise _no_answer(self.hung[1])
        try:
            settings = _ask(wanted)
        except subprocess.TimeoutExpired:
            self.hung = (time.monotonic(), wanted.name)
            raise _no_answer(wanted.name) from None
        if not self.found:
            self.files, self.signature = settings.files, settings.files.signature()
        self.plain[wanted] = _is_plain(settings)
        self.found[wanted] = settings
        return settings

    def same(self, wanted: Destination) -> SSHSettings | None:
        """The settings that were found for another name which no line tells apart from this one."""
        for known, settings in list(self.found.items()):  # other threads may add to it
            if msgspec.structs.replace(known, name=wanted.name) != wanted:
                continue
            if known.name == wanted.name:
                return settings
            same = self.plain[known] and self._same_sections(known.name, wanted.name)
            if same and _is_kept(wanted.name):
                hostname = wanted.name.lower()
                return msgspec.structs.replace(settings, name=wanted.name, hostname=hostname)
        return None

    def _same_sections(self, one: str, other: str) -> bool:
        patterns = self.files.patterns
        return patterns is not None and all(
            matches(pattern, one) == matches(pattern, other) for pattern in patterns
        )


def _is_plain(settings: SSHSettings) -> bool:
    """Whether nothing in the settings was made from the name, apart from `hostname`."""
    own = (settings.name, settings.name.lower())
    return (
        settings.hostname == settings.name.lower()
        and settings.one("canonicalizehostname") in ("no", "false")
        and not settings.one("canonicalizepermittedcnames")
        and not any(
            word in value for values in settings.values.values() for value in values for word in own
        )
    )


def _is_kept(name: str) -> bool:
    """Whether OpenSSH keeps a name as it is: it writes addresses in their usual form."""
    if ":" in name or not name.isascii():
        return False
    try:
        return socket.inet_ntoa(socket.inet_aton(name)) == name
    except OSError:
        return True


_KNOWN: dict[str, _Answers] = {}
_LOCK = threading.Lock()


def settings_for(wanted: Destination) -> SSHSettings:
    """What OpenSSH would use for a destination.

    Raises Refused when OpenSSH refuses the files, with its words, or when it is not installed.
    """
    with _LOCK:
        answers = _KNOWN.setdefault(wanted.config, _Answers())
        if answers.found and answers.files.signature() != answers.signature:
            answers = _KNOWN[wanted.config] = _Answers()
        found = answers.same(wanted)
        if found is not None:
            return found
        if answers.are_shared:
            return answers.ask(wanted)
    return answers.ask(wanted)


def _no_answer(name: str) -> Refused:
    text = f"`ssh -G {name}` did not answer within {TIMEOUT_S} s"
    return Refused(text, hint="check the `Match exec` lines of ssh_config")


def _ask(wanted: Destination) -> SSHSettings:
    try:
        done = subprocess.run(
            wanted.arguments(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
            encoding="utf-8",
            errors="surrogateescape",
        )
    except FileNotFoundError:
        hint = "apt install openssh-client"
        raise Refused("the OpenSSH client is not installed here", hint=hint) from None
    if done.returncode:
        said = [line for line in done.stderr.split("\n") if line and not _DEBUG.match(line)]
        reason = "; ".join(said[:2]) or f"exit code {done.returncode}"
        words = [word for word in wanted.arguments() if word not in ("-v", "--")]
        raise Refused(f"ssh refuses its settings: {reason}", hint=shlex.join(words))
    files = ConfigFiles.read(map(_printed_path, _READ.findall(done.stderr)))
    return _parsed(wanted.name, done.stdout, files)


def _printed_path(text: str) -> Path:
    """A path from OpenSSH's words, which are plain ASCII."""

    def byte(match: re.Match[bytes]) -> bytes:
        return b"\\" if match[1] == b"\\" else bytes([int(match[1], 8)])

    return Path(os.fsdecode(_PRINTED.sub(byte, os.fsencode(text))))


def _parsed(name: str, text: str, files: ConfigFiles) -> SSHSettings:
    values: dict[str, tuple[str, ...]] = {}
    for line in text.removesuffix("\n").split("\n"):
        keyword, _, value = line.partition(" ")
        keyword = keyword.lower()
        values[keyword] = (*values.get(keyword, ()), value)
    special = {word: values.pop(word, ("",))[0] for word in ("host", "hostname", "port", "user")}
    return SSHSettings(
        name=name,
        hostname=special["hostname"],
        port=int(special["port"]),
        user=special["user"],
        values=values,
        files=files,
    )
