"""Logging in with keys, one after another, and the reason when none is accepted."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import paramiko

from opstasks.fleet import login
from opstasks.fleet.agent import AgentError
from opstasks.fleet.key_files import MISSING
from opstasks.fleet.login_errors import ONLY_KEYS, FailedLogin, LoginError
from opstasks.fleet.route import Hop
from opstasks.fleet.wire import NoLoginAnswerError, Wire, in_one_line

# How long all keys together may take; sshd's own limit, LoginGraceTime, is the same.
LOGIN_TIMEOUT_S = 120


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
            raise LoginError(f"the host accepts no key, only: {methods}", ONLY_KEYS) from error
        except AgentError as error:
            self._agent_problem = f"{offer.name}: {error}"
            return self._asks_about(offer)
        except (paramiko.SSHException, EOFError, OSError):
            return False
        if left and "publickey" not in left:
            methods = in_one_line(", ".join(left))
            raise LoginError(f"the host also wants: {methods}", ONLY_KEYS)
        return not left

    def _asks_about(self, offer: login.Offer) -> bool:
        """Ask whether a key that cannot sign would be accepted, for the error. Always False."""
        with contextlib.suppress(paramiko.SSHException, EOFError, OSError):
            user, public = self._hop.settings.user, offer.public
            if self._wire.ask_about_key(user, public.kind, public.blob):
                self._would_accept = offer.name
        return False

    def _refusal(self, found: login.Identities, tried: int) -> LoginError:
        unusable, named = found.unusable, self._hop.identity
        if named and not Path(named).exists():
            unusable = {named: MISSING, **unusable}
        return FailedLogin(
            self._hop.settings,
            offered=tuple(offer.name for offer in found.offers[:tried]),
            unusable=unusable,
            would_accept=self._would_accept,
            agent_problem=self._agent_problem,
            said=self._wire.said,
            is_closed=not self._wire.is_active(),
        ).error()
