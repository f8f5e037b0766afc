"""Why no key of ours was accepted: each error names what is to blame, and what to type next."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from opstasks.core.formats import first_names
from opstasks.core.hints import one_word
from opstasks.fleet.agent import agent_path
from opstasks.fleet.key_files import LOCKED, MISSING, OTHERS_READ
from opstasks.fleet.ssh_settings import SSHSettings

# So many of the keys that a host did not accept are named.
NAMED = 3
ONLY_KEYS = "only logins with keys work: ask the people who run the host to allow them"


class LoginError(Exception):
    """The host accepts none of our keys; `hint` says what to do."""

    def __init__(self, text: str, hint: str) -> None:
        super().__init__(text)
        self.hint = hint


@dataclass(frozen=True)
class FailedLogin:
    """What is known about a login that failed.

    `offered` are the names of the keys that were offered, or that the host was asked about.
    `unusable` says why keys could not be used, by the path of the file, or "the agent".
    `would_accept` is the name of a key that the host would accept, but that we cannot use. `said`
    are the words of the host.
    """

    settings: SSHSettings
    offered: tuple[str, ...] = ()
    unusable: Mapping[str, str] = field(default_factory=dict)
    would_accept: str = ""
    agent_problem: str = ""
    said: str = ""
    is_closed: bool = False

    @property
    def where(self) -> str:
        """``ops@192.0.2.10:22``."""
        return f"{self.settings.user}@{self.settings.hostname}:{self.settings.port}"

    @property
    def _agent(self) -> str:
        """What is wrong with the agent, to follow another reason."""
        problem = self.unusable.get("the agent", "")
        return f"; the agent: {problem}" if problem else ""

    def error(self) -> LoginError:
        """The first reason that applies."""
        return self._ended_by_host() or self._unusable_key() or self._not_accepted()

    def _ended_by_host(self) -> LoginError | None:
        """The host closed the connection."""
        count = len(self.offered)
        if "Too many authentication failures" in self.said:
            return LoginError(
                f"too many keys: {self.where} closed the connection after {count}",
                "set IdentitiesOnly and IdentityFile for it in ssh_config",
            )
        if count and not self.said and self.is_closed:
            return LoginError(f"{self.where} closed the connection during the login", self._ssh())
        return None

    def _unusable_key(self) -> LoginError | None:
        """A key that may be the right one cannot be used."""
        if self.agent_problem:
            return LoginError(
                f"{self.where} did not accept our key; the agent does not sign:"
                f" {self.agent_problem}",
                "confirm it, or look at it: ssh-add -l",
            )
        if self.would_accept in self.unusable:
            reason = self.unusable[self.would_accept]
            text = f"{self.where} would accept {self.would_accept}, but {reason}"
            return LoginError(text, self._next_step(self.would_accept, reason))
        # The host does not know a key that it was asked about.
        maybe = [name for name in self.unusable if name not in ("the agent", *self.offered)]
        if not maybe:
            return None
        name, reason = maybe[0], self.unusable[maybe[0]]
        # No colon after a name that may end with "key": the record would mask what follows.
        text = f"cannot use the key {name}; {reason}{self._agent}"
        if self.offered:
            text = f"{self.where} did not accept our key; {text}"
        return LoginError(text, self._next_step(name, reason))

    def _next_step(self, name: str, reason: str) -> str:
        """What to do about a key that cannot be used."""
        word = one_word(name)
        if reason == LOCKED:
            has_agent = bool(agent_path(self.settings))
            return f"ssh-add {word}" if has_agent else f'eval "$(ssh-agent)"; ssh-add {word}'
        if OTHERS_READ in reason:
            return f"chmod 600 {word}"
        if "too short" in reason:
            return "use a longer key: ssh-keygen -t ed25519"
        line = self.settings.line_of_key(name)
        if line:
            return f"correct IdentityFile: {line}"
        if reason == MISSING:
            return "correct -i, or identity_file in hosts.yaml"
        return "give the right file: with -i, or identity_file in hosts.yaml"

    def _not_accepted(self) -> LoginError:
        """Each key was offered in vain, or there is none."""
        if not self.offered:
            text = f"no key to offer to {self.where}: neither the agent nor ~/.ssh has one"
            return LoginError(text + self._agent, "ssh-add FILE, or give the file with -i")
        words = f": {self.said}" if self.said else ""
        names = first_names(self.offered, NAMED)
        return LoginError(
            f"{self.where} did not accept our key{words} (offered: {names}){self._agent}",
            f"check user and key; {self._ssh()}",
        )

    def _ssh(self) -> str:
        """The same login with OpenSSH, which says more."""
        settings = self.settings
        port = ["-p", str(settings.port)] if settings.port != 22 else []
        words = ["ssh", "-v", *port, f"{settings.user}@{settings.hostname}"]
        return f"try {shlex.join(words)}"
