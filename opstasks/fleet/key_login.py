"""Logging in with keys, one after another, and the reason when none is accepted."""

from __future__ import annotations

import contextlib
import time

import paramiko

from opstasks.fleet import login
from opstasks.fleet.agent import AgentError
from opstasks.fleet.route import Hop
from opstasks.fleet.wire import NoLoginAnswerError, Wire, in_one_line

# How long all keys together may take; sshd's own limit, LoginGraceTime, is the same.
LOGIN_TIMEOUT_S = 120


class LoginError(Exception):
    """The host accepts none of our keys; `hint` says what to do."""

    def __init__(self, text: str, hint: str) -> None:
        super().__init__(text)
        self.hint = hint


class KeyLogin:
    """Offers the keys as OpenSSH does."""

    def __init__(self, hop: Hop, wire: Wire) -> None:
        self._hop, self._wire = hop, wire
        self._agent_problem = ""
        self._would_accept = ""

    def authenticate(self) -> str:
        """Log in; returns the name of the key that the host accepted.

        Raises LoginError, or NoLoginAnswerError when the host says nothing.
        """
        with login.identities(self._hop.settings, self._wire.proof) as found:
            deadline = time.monotonic() + LOGIN_TIMEOUT_S
            tried = 0
            for offer in found.offers:
                if time.monotonic() > deadline:
                    raise NoLoginAnswerError
                tried += 1
                if self._accepts(offer):
                    return offer.name
                if not self._wire.is_active():
                    break
        raise self._refusal(found, tried)

    def _accepts(self, offer: login.Offer) -> bool:
        """Offer one key; False when the host wants another one, or closes the connection.

        Raises no OSError, which would cause a new try: the host may count failed logins.
        """
        user = self._hop.settings.user
        try:
            if offer.key is None:
                return self._asks_about(offer)
            if "rsa" in offer.key.get_name():
                self._wire.await_extensions()
            left = self._wire.offer_key(user, offer.key)
        except paramiko.BadAuthenticationType as error:
            methods = in_one_line(", ".join(error.allowed_types))
            raise LoginError(
                f"the host accepts no key, only: {methods}", "only logins with keys work"
            ) from error
        except AgentError as error:
            self._agent_problem = f"{offer.name}: {error}"
            return self._asks_about(offer)
        except (paramiko.SSHException, EOFError, OSError):
            return False
        if left and "publickey" not in left:
            methods = in_one_line(", ".join(left))
            raise LoginError(f"the host also wants: {methods}", "only logins with keys work")
        return not left

    def _asks_about(self, offer: login.Offer) -> bool:
        """Ask whether a key that cannot sign would be accepted, for the error. Always False."""
        with contextlib.suppress(paramiko.SSHException, EOFError, OSError):
            user, public = self._hop.settings.user, offer.public
            if self._wire.ask_about_key(user, public.kind, public.blob):
                self._would_accept = offer.name
        return False

    def _refusal(self, found: login.Identities, tried: int) -> LoginError:
        settings = self._hop.settings
        where = f"{settings.user}@{settings.hostname}:{settings.port}"
        said = self._wire.said
        if "Too many authentication failures" in said:
            return LoginError(
                f"too many keys: {where} closed the connection after {tried}",
                "set IdentitiesOnly and IdentityFile for it in ssh_config",
            )
        if tried and not said and not self._wire.is_active():
            return LoginError(
                f"{where} closed the connection during the login", f"try `ssh {settings.name}`"
            )
        if self._agent_problem:
            return LoginError(
                f"{where} did not accept our key; the agent does not sign: {self._agent_problem}",
                "confirm it, or look at it: ssh-add -l",
            )
        locked = [name for name, problem in found.unusable.items() if "passphrase" in problem]
        others = [f"{name}: {problem}" for name, problem in found.unusable.items()]
        if self._would_accept in found.unusable:
            reason = found.unusable[self._would_accept]
            verb = "chmod 600" if "mode" in reason else "ssh-add"
            return LoginError(
                f"{where} would accept {self._would_accept}, but {reason}",
                f"{verb} {self._would_accept}",
            )
        if locked:
            return LoginError(
                f"{where} did not accept our key; {locked[0]} is locked", f"ssh-add {locked[0]}"
            )
        if not tried:
            reason = f" ({others[0]})" if others else ""
            return LoginError(f"no key to offer to {where}{reason}", "ssh-add it, or give -i")
        words = f": {said}" if said else ""
        return LoginError(
            f"{where} did not accept our key{words}", "check `user`, your agent and your key"
        )
