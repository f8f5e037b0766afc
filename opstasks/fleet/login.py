"""Which keys are offered to a host, in which order: as in OpenSSH.

See ``pubkey_prepare`` in its sshconnect2.c. First CertificateFile, then the keys of the agent that
ssh_config or -i names, then other keys of the agent (unless IdentitiesOnly), then keys in files,
each with its certificate.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opstasks.core.errors import Refused
from opstasks.fleet.agent import AgentError, HostProof, connected_agent
from opstasks.fleet.key_files import MISSING, PublicKey, private_key, public_key, read_public
from opstasks.fleet.ssh_settings import SSHSettings

if TYPE_CHECKING:
    import paramiko

USE_KEYS = "remove that line: only logins with keys work"
# `ssh -G` names these, and others, if nobody names a file: then they need not exist.
USUAL_FILES = {"~/.ssh/id_rsa", "~/.ssh/id_ecdsa"}
CERTIFICATE = "-cert-v01@openssh.com"


@dataclass
class Offer:
    """One key to log in with: `name` for people, the public part, and what signs.

    Without a `key`, the host is only asked whether it would accept it.
    """

    name: str
    public: PublicKey
    key: paramiko.PKey | None = None


@dataclass
class Identities:
    """The keys to offer, in order, and the files of keys that cannot be used, with the reason."""

    offers: list[Offer] = field(default_factory=list)
    unusable: dict[str, str] = field(default_factory=dict)


@contextlib.contextmanager
def identities(settings: SSHSettings, proof: HostProof) -> Iterator[Identities]:
    """The keys to offer; the connection to the agent is open inside.

    Raises Refused when ssh_config allows no login with keys.
    """
    _check_supported(settings)
    try:
        agent, problem = connected_agent(settings, proof), ""
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
        raise Refused(
            f"{line}: PubkeyAuthentication is off",
            hint=USE_KEYS,
        )
    methods = settings.one("preferredauthentications")
    if methods and "publickey" not in methods.split(","):
        line = settings.line_of("preferredauthentications")
        text = f"{line}: PreferredAuthentications does not include publickey"
        raise Refused(text, hint=USE_KEYS)
    if settings.one("pkcs11provider"):
        line = settings.line_of("pkcs11provider")
        hint = "add the key to the agent: ssh-add -s PROVIDER"
        raise Refused(f"{line}: PKCS11Provider is not supported", hint=hint)


def _ordered(settings: SSHSettings, in_agent: list[Any]) -> Identities:
    found = Identities()
    paths = [settings.path(text) for text in settings.many("identityfile")]
    named = {path: public for path in paths if (public := public_key(path))}
    only = settings.is_on("identitiesonly")
    are_usual = set(settings.many("identityfile")) >= USUAL_FILES
    for text in settings.many("certificatefile"):
        _add_certificate(found, settings.path(text), named, in_agent)
    wanted = {public.blob for public in named.values()}
    chosen = [key for key in in_agent if key.blob in wanted]
    chosen += [key for key in in_agent if key.blob not in wanted and not only]
    for key in chosen:
        found.offers.append(Offer(_agent_name(key), PublicKey(key.get_name(), key.blob), key))
    offered = {key.blob for key in chosen}
    for path in dict.fromkeys(paths):
        public = named.get(path)
        if public is None or public.blob not in offered:
            _add_file(found, path, public, may_be_missing=are_usual)
        _add_certificate(found, Path(f"{path}-cert.pub"), named, in_agent)
    for offer in found.offers:
        if _is_too_short(offer, settings):
            found.unusable[offer.name] = "it is too short (RequiredRSASize)"
    found.offers = [
        offer
        for offer in found.offers
        if _is_allowed(offer, settings) and not _is_too_short(offer, settings)
    ]
    return found


def _agent_name(key: Any) -> str:
    return f"{key.comment or key.get_name()} (agent)"


def _add_file(
    found: Identities, path: Path, public: PublicKey | None, *, may_be_missing: bool
) -> None:
    """Add the key of a file; only its public part if the private one cannot be used."""
    key, problem = private_key(path)
    if key is not None and public is not None and key.asbytes() != public.blob:
        key, problem = None, f"{path}.pub belongs to another key"
    if key is not None:
        found.offers.append(Offer(str(path), PublicKey(key.get_name(), key.asbytes()), key))
        return
    if problem == MISSING:
        if not may_be_missing:
            found.unusable[str(path)] = problem
        return
    if problem and read_public(path):
        problem = "it is a public key, which the agent does not have"
    if problem:
        found.unusable[str(path)] = problem
        if public is not None:
            found.offers.append(Offer(str(path), public))


def _add_certificate(
    found: Identities, path: Path, named: dict[Path, PublicKey], in_agent: list[Any]
) -> None:
    """Add a certificate with its private key, from the agent or from a file."""
    certificate = read_public(path)
    if certificate is None or not certificate.kind.endswith(CERTIFICATE):
        return
    plain = _key_of_certificate(certificate)
    key: Any = next((key for key in in_agent if key.blob == plain), None)
    if key is None:
        holders = [name for name, public in named.items() if public.blob == plain]
        key = next((key for name in holders if (key := private_key(name)[0])), None)
    if key is not None:
        found.offers.append(Offer(str(path), certificate, _certified(key, path)))


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


def _is_too_short(offer: Offer, settings: SSHSettings) -> bool:
    is_rsa = offer.public.kind.startswith("ssh-rsa") and offer.key is not None
    least_bits = int(settings.one("requiredrsasize") or 0)
    return bool(is_rsa and offer.key and offer.key.get_bits() < least_bits)


def _is_allowed(offer: Offer, settings: SSHSettings) -> bool:
    """Whether PubkeyAcceptedAlgorithms allows the key."""
    accepted, kind = settings.algorithms("pubkeyacceptedalgorithms"), offer.public.kind
    if not kind.startswith("ssh-rsa"):
        return kind in accepted
    kinds = {kind.replace("ssh-rsa", f"rsa-sha2-{size}") for size in ("256", "512")}
    return bool(kinds & set(accepted))
