"""Which keys are offered to a host, in which order: as in OpenSSH.

See ``pubkey_prepare`` in its sshconnect2.c. First certificates, then the keys of the agent that
ssh_config or -i names, then other keys of the agent (unless IdentitiesOnly), then keys in files.
"""

from __future__ import annotations

import base64
import contextlib
import copy
import os
import socket
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opstasks.core.errors import Refused
from opstasks.fleet.key_files import KEY_FILE_BYTES, read_file
from opstasks.fleet.ssh_settings import SSHSettings

if TYPE_CHECKING:
    import paramiko

CERTIFICATE = "-cert-v01@openssh.com"
AGENT_TIMEOUT_S = 30.0
# OpenSSH's limit for one answer of an agent.
_AGENT_MESSAGE_BYTES = 256 << 10


class AgentError(Exception):
    """The agent does not do what it is asked for, for the reason given."""


@dataclass
class Offer:
    """One key to log in with: `name` for people, the public part, and what signs."""

    name: str
    blob: bytes
    key: paramiko.PKey


@dataclass
class Identities:
    """The keys to offer, in order, and the files of keys that cannot be used, with the reason."""

    offers: list[Offer] = field(default_factory=list)
    unusable: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PublicKey:
    """The public part of a key: its type and the whole of it."""

    kind: str
    blob: bytes


@contextlib.contextmanager
def identities(settings: SSHSettings) -> Iterator[Identities]:
    """The keys to offer; the connection to the agent is open inside.

    Raises Refused when ssh_config allows no login with keys.
    """
    _check_supported(settings)
    try:
        agent, problem = _agent(settings), ""
    except AgentError as error:
        agent, problem = None, str(error)
    try:
        found = _ordered(settings, agent.keys if agent else [])
        if problem:
            found.unusable["the agent"] = problem
        yield found
    finally:
        if agent is not None:
            agent.close()


def _check_supported(settings: SSHSettings) -> None:
    if settings.one("pubkeyauthentication") in ("no", "false"):
        line = settings.line_of("pubkeyauthentication")
        raise Refused(f"{line}: PubkeyAuthentication is off", hint="only logins with keys work")
    methods = settings.one("preferredauthentications")
    if methods and "publickey" not in methods.split(","):
        line = settings.line_of("preferredauthentications")
        text = f"{line}: PreferredAuthentications does not include publickey"
        raise Refused(text, hint="only logins with keys work")
    if settings.one("pkcs11provider"):
        line = settings.line_of("pkcs11provider")
        hint = "add the key to the agent: ssh-add -s PROVIDER"
        raise Refused(f"{line}: PKCS11Provider is not supported", hint=hint)


def _ordered(settings: SSHSettings, in_agent: list[Any]) -> Identities:
    found = Identities()
    paths = [settings.path(text) for text in settings.many("identityfile")]
    named = {path: public for path in paths if (public := public_key(path))}
    only = settings.is_on("identitiesonly")
    certificates = [settings.path(text) for text in settings.many("certificatefile")]
    certificates += [Path(f"{path}-cert.pub") for path in paths]
    for path in certificates:
        _add_certificate(found, path, named, in_agent)
    wanted = {public.blob for public in named.values()}
    chosen = [key for key in in_agent if key.blob in wanted]
    chosen += [key for key in in_agent if key.blob not in wanted and not only]
    found.offers += [Offer(_agent_name(key), key.blob, key) for key in chosen]
    offered = {key.blob for key in chosen}
    for path in paths:
        public = named.get(path)
        if public is None or public.blob not in offered:
            _add_file(found, path)
    accepted = settings.algorithms("pubkeyacceptedalgorithms")
    found.offers = [offer for offer in found.offers if _is_accepted(offer, accepted)]
    return found


def _agent_name(key: Any) -> str:
    return f"{key.comment or key.get_name()} (agent)"


def _add_file(found: Identities, path: Path) -> None:
    """Add the private key of a file, if it can be used."""
    key, problem = private_key(path)
    if key is not None:
        found.offers.append(Offer(str(path), key.asbytes(), key))
    elif problem and _read_public(path):
        found.unusable[str(path)] = "it is a public key, which the agent does not have"
    elif problem:
        found.unusable[str(path)] = problem


def _add_certificate(
    found: Identities, path: Path, named: dict[Path, PublicKey], in_agent: list[Any]
) -> None:
    """Add a certificate with its private key, from the agent or from a file."""
    certificate = _read_public(path)
    if certificate is None or not certificate.kind.endswith(CERTIFICATE):
        return
    plain = _key_of_certificate(certificate)
    key: Any = next((key for key in in_agent if key.blob == plain), None)
    if key is None:
        holders = [name for name, public in named.items() if public.blob == plain]
        key = next((key for name in holders if (key := private_key(name)[0])), None)
    if key is not None:
        found.offers.append(Offer(str(path), certificate.blob, _certified(key, path)))


def _certified(key: Any, path: Path) -> Any:
    """A copy of a key that shows a certificate in place of its public part."""
    from paramiko.agent import AgentKey

    if isinstance(key, AgentKey):  # copy() does not work for it
        made: Any = AgentKey(key.agent, key.blob, key.comment)
    else:
        made = copy.copy(key)
    made.load_certificate(str(path))
    return made


def _key_of_certificate(certificate: PublicKey) -> bytes:
    """The plain public key inside a certificate (PROTOCOL.certkeys)."""
    import paramiko

    message = paramiko.Message(certificate.blob)
    message.get_text()
    message.get_binary()  # the nonce
    kind = certificate.kind.removesuffix(CERTIFICATE)
    plain = paramiko.Message()
    plain.add_string(kind)
    counts = {"ssh-ed25519": 1, "ssh-rsa": 2}
    for _ in range(counts.get(kind, 2)):
        plain.add_string(message.get_binary())
    return plain.asbytes()


def _is_accepted(offer: Offer, accepted: list[str]) -> bool:
    """Whether PubkeyAcceptedAlgorithms allows the key's type."""
    certified = getattr(offer.key, "public_blob", None)
    kind = certified.key_type if certified else offer.key.get_name()
    if kind.startswith("ssh-rsa"):
        kinds = {kind.replace("ssh-rsa", f"rsa-sha2-{size}") for size in ("256", "512")}
        return bool(kinds & set(accepted))
    return kind in accepted


# -- files -------------------------------------------------------------------------------------


def public_key(path: Path) -> PublicKey | None:
    """The public part of an identity file; None when it is not known without its passphrase."""
    return _embedded(path) or _read_public(path) or _read_public(Path(f"{path}.pub"))


def _read_public(path: Path) -> PublicKey | None:
    try:
        words = read_file(path, KEY_FILE_BYTES).decode("utf-8", "replace").split()
        blob = base64.b64decode(words[1], validate=True)
    except (OSError, ValueError, IndexError):
        return None
    size = int.from_bytes(blob[:4])
    return PublicKey(words[0], blob) if blob[4 : 4 + size] == words[0].encode() else None


def _embedded(path: Path) -> PublicKey | None:
    """The public part in a private key of OpenSSH's own format, which is never encrypted."""
    import paramiko

    begin, end = "-----BEGIN OPENSSH PRIVATE KEY-----", "-----END"
    try:
        text = read_file(path, KEY_FILE_BYTES).decode("utf-8", "replace")
        body = text.partition(begin)[2].partition(end)[0]
        data = base64.b64decode(body)
    except (OSError, ValueError):
        return None
    magic = b"openssh-key-v1\0"
    if not data.startswith(magic):
        return None
    message = paramiko.Message(data[len(magic) :])
    for _ in range(3):  # the cipher, how its key is made, and with which options
        message.get_binary()
    message.get_int()
    blob = message.get_binary()
    size = int.from_bytes(blob[:4])
    return PublicKey(blob[4 : 4 + size].decode("ascii", "replace"), blob)


def private_key(path: Path) -> tuple[paramiko.PKey | None, str]:
    """The private key in a file, or why it cannot be used ("" when it is missing)."""
    try:
        seen = path.stat()
    except OSError:
        return None, ""
    if seen.st_uid == os.getuid() and stat.S_IMODE(seen.st_mode) & 0o077:
        return None, f"its mode is {stat.S_IMODE(seen.st_mode):04o}: others may read it"
    return _private_key(path, seen.st_ctime_ns, seen.st_size)


@lru_cache(maxsize=64)
def _private_key(
    path: Path, _changed_ns: int, _size_bytes: int
) -> tuple[paramiko.PKey | None, str]:
    import paramiko

    try:
        read_file(path, KEY_FILE_BYTES)  # paramiko would wait for a pipe
        key = paramiko.PKey.from_path(path)
    except (paramiko.PasswordRequiredException, TypeError):
        return None, "it is locked by a passphrase"
    except OSError as error:
        return None, (error.strerror or str(error)).lower()
    except Exception:  # paramiko and cryptography raise a dozen unrelated types
        return None, "it is not a private key that we can read"
    key.public_blob = None  # a certificate beside it is offered separately
    return key, ""


# -- the agent ---------------------------------------------------------------------------------


def agent_path(settings: SSHSettings) -> str:
    """The socket of the agent that IdentityAgent or the environment names; "" for no agent."""
    (wanted, *_) = settings.values.get("identityagent", ("SSH_AUTH_SOCK",))
    if wanted == "none":
        return ""
    if wanted == "SSH_AUTH_SOCK":
        return os.environ.get("SSH_AUTH_SOCK", "")
    if wanted.startswith("$") and not wanted.startswith("${"):
        return os.environ.get(wanted[1:], "")
    return str(settings.path(wanted))


class _Agent:
    """A connected agent; raises AgentError when it does not answer.

    paramiko's own class wants comments in UTF-8, and does not say why something failed.
    """

    def __init__(self, connection: socket.socket) -> None:
        from paramiko.agent import cSSH2_AGENTC_REQUEST_IDENTITIES

        self._connection = connection
        _, answer = self._send_message(cSSH2_AGENTC_REQUEST_IDENTITIES)
        pairs = [(answer.get_binary(), answer.get_string()) for _ in range(answer.get_int())]
        self.keys = [key for blob, text in pairs if (key := self._key(blob, text))]

    def _key(self, blob: bytes, comment: bytes) -> Any:
        """One of its keys; None for one that paramiko does not understand."""
        from paramiko.agent import AgentKey

        agent: Any = self  # paramiko only calls its _send_message
        try:
            return AgentKey(agent, blob, comment.decode("utf-8", "replace"))
        except Exception:  # paramiko and cryptography raise a dozen unrelated types
            return None

    def _send_message(self, msg: Any) -> tuple[int, paramiko.Message]:
        """The answer to a message; also called by paramiko's keys, to sign."""
        import paramiko
        from paramiko.agent import SSH2_AGENT_IDENTITIES_ANSWER, SSH2_AGENT_SIGN_RESPONSE

        data = msg if isinstance(msg, bytes) else msg.asbytes()
        try:
            self._connection.sendall(len(data).to_bytes(4) + data)
            answer = self._receive(int.from_bytes(self._receive(4)))
        except TimeoutError as error:
            raise AgentError(f"no answer within {AGENT_TIMEOUT_S:g} s") from error
        except OSError as error:
            raise AgentError("it closed the connection") from error
        kind = answer[0] if answer else 0
        if kind not in (SSH2_AGENT_IDENTITIES_ANSWER, SSH2_AGENT_SIGN_RESPONSE):
            raise AgentError("it refuses")
        return kind, paramiko.Message(answer[1:])

    def _receive(self, size_bytes: int) -> bytes:
        if size_bytes > _AGENT_MESSAGE_BYTES:
            raise ConnectionError
        found = bytearray()
        while len(found) < size_bytes:
            data = self._connection.recv(size_bytes - len(found))
            if not data:
                raise ConnectionError
            found += data
        return bytes(found)

    def close(self) -> None:
        """Close the connection to it."""
        self._connection.close()


def _agent(settings: SSHSettings) -> _Agent | None:
    """The connected agent; None without one. Raises AgentError for one that does not answer."""
    path = agent_path(settings)
    if not path:
        return None
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(AGENT_TIMEOUT_S)
        connection.connect(path)
    except OSError:
        connection.close()
        return None
    try:
        return _Agent(connection)
    except BaseException:
        connection.close()
        raise
