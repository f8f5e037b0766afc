"""The agent that holds a person's keys: which one, its keys, and its signatures.

See draft-miller-ssh-agent, and PROTOCOL.agent of OpenSSH for its extension.
"""

from __future__ import annotations

import contextlib
import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opstasks.fleet.ssh_settings import SSHSettings

if TYPE_CHECKING:
    import paramiko

AGENT_TIMEOUT_S = 30.0
# OpenSSH's limit for one answer of an agent.
_AGENT_MESSAGE_BYTES = 256 << 10
_EXTENSION, _SUCCESS = 27, 6


class AgentError(Exception):
    """The agent did not do what it was asked; the message is the reason."""


class AgentRefusalError(AgentError):
    """The agent answers "no"."""


@dataclass(frozen=True)
class HostProof:
    """A host's key and its signature of the session: an agent needs them for limited keys."""

    key: bytes
    session: bytes
    signature: bytes


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


class Agent:
    """A connected agent; raises AgentError when it does not answer.

    paramiko's own class wants comments in UTF-8, and does not say why something failed.
    """

    def __init__(self, connection: socket.socket, proof: HostProof) -> None:
        """Ask for its keys for a host; raises AgentError."""
        from paramiko.agent import cSSH2_AGENTC_REQUEST_IDENTITIES

        self._connection = connection
        self._bind(proof)
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
        if kind not in (SSH2_AGENT_IDENTITIES_ANSWER, SSH2_AGENT_SIGN_RESPONSE, _SUCCESS):
            raise AgentRefusalError("it refuses")
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

    def _bind(self, proof: HostProof) -> None:
        """Tell it which host asks, for keys that are limited to hosts (``ssh-add -h``).

        An agent without such keys may not know the question, and refuses it.
        """
        import paramiko

        message = paramiko.Message()
        message.add_byte(bytes([_EXTENSION]))
        message.add_string("session-bind@openssh.com")
        for value in (proof.key, proof.session, proof.signature):
            message.add_string(value)
        message.add_boolean(False)  # the connection to it is not forwarded
        with contextlib.suppress(AgentRefusalError):
            self._send_message(message)

    def close(self) -> None:
        """Close the connection to it."""
        self._connection.close()


def connected_agent(settings: SSHSettings, proof: HostProof) -> Agent | None:
    """The connected agent; None without one. Raises AgentError if it cannot be asked."""
    path = agent_path(settings)
    if not path:
        return None
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(AGENT_TIMEOUT_S)
        connection.connect(path)
    except OSError as error:
        connection.close()
        raise AgentError(f"{path}: {(error.strerror or str(error)).lower()}") from error
    try:
        return Agent(connection, proof)
    except BaseException:
        connection.close()
        raise
