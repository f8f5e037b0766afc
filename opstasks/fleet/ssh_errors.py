"""What OpenSSH's `ssh` says when a login fails, as our errors: one sentence and a hint."""

from __future__ import annotations

import re

from opstasks.core.errors import OpsError, Unreachable
from opstasks.fleet.host_keys import (
    HostKeyChangedError,
    HostKeyRevokedError,
    HostKeyUnknownError,
)
from opstasks.fleet.inventory import HostSpec

_UP = "is the host up, and the VPN?"
_FORWARD = "set AllowTcpForwarding in its sshd_config"
_KEY = "check `user`, your key and your agent: ssh-add -l"
_MANY = "set identity_file, or IdentitiesOnly yes in ssh_config"
# What ssh says: what we say, and the hint. The first that matches counts.
_MEANINGS = (
    (r"host key for (\S+) is marked as revoked", "the host key of {} is REVOKED",
     HostKeyRevokedError.hint),
    (r"Host key (\S+ \S+) revoked by", "the host key {} is REVOKED", HostKeyRevokedError.hint),
    (r"Host key for (\S+) has changed",
     "the host key of {} has CHANGED; someone may be between us and it", HostKeyChangedError.hint),
    (r"No \S+ host key is known for (\S+)", "the host key of {} is not known",
     HostKeyUnknownError.hint),
    (r"(Error checking host key .*)", "{}", "correct RevokedHostKeys in ssh_config"),
    (r"Could not resolve hostname ([^:\s]+)", "no address for {!r}",
     "check `address` in hosts.yaml"),
    (r"Too many authentication failures", "{where} refused: too many keys were offered", _MANY),
    (r"(\S+): Permission denied \(", "{} did not accept our key", _KEY),
    (r"connect to host (\S+ port \d+): Connection timed out",
     "no answer from {} within {limit:g} s", _UP),
    (r"connect to host (\S+ port \d+: .*)", "cannot connect to {}", _UP),
    (r"Connection timed out during banner exchange", "no answer from {where}", _UP),
    (r"administratively prohibited", "the gateway does not forward connections", _FORWARD),
    (r"channel \d+: open failed: (.*)", "the gateway gets no connection to the host: {}", _UP),
    (r"Connection to (\S+ port \d+) timed out", "no answer from {} within {limit:g} s", _UP),
    (r"Connection (?:closed|reset) by (\S+ port \d+)", "{} closed the connection", "try again"),
)  # fmt: skip
# Lines of ssh itself; the others are of the server, or say more about a key.
_OWN = re.compile(
    r"kex_exchange_|Connection |ssh: |channel \d|stdio|Warning: Permanently|debug|Disconnected"
    r"|Received disconnect|\S+: Permission denied|Timeout, server|Host key|@@@|client_loop"
)


def login_error(said: str, spec: HostSpec) -> OpsError:
    """The error for what ssh said on standard error."""
    where = f"{spec.address}:{spec.port or 22}"
    rest = [line for line in said.splitlines() if line.strip() and not _OWN.match(line)]
    for pattern, text, hint in _MEANINGS:
        if match := re.search(pattern, said, re.IGNORECASE):
            words = [word.replace(" port ", ":") for word in match.groups()]
            message = text.format(*words, where=where, limit=spec.connect_timeout_s)
            is_key = "host key" in text
            return Unreachable(
                message, host=spec.name, hint=hint, tail="" if is_key else "\n".join(rest[-10:])
            )
    return Unreachable(
        f"cannot connect to {where}",
        host=spec.name,
        hint=f"try `ssh {spec.address}`",
        tail=said[-600:],
    )


def was_turned_away(said: str) -> bool:
    """Whether sshd closed the connection before its first message (MaxStartups)."""
    return "kex_exchange_identification" in said and "UNKNOWN port" not in said
