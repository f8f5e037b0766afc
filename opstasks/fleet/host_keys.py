"""Which host keys a connection accepts: as strict as OpenSSH, or stricter.

Fabric itself would add unknown keys silently. The steps are those of ``check_host_key`` in
OpenSSH's sshconnect.c; the test in tests/fleet/openssh compares the two.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import os
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from opstasks.core.errors import Refused
from opstasks.core.hints import one_word
from opstasks.fleet import known_hosts, private_files
from opstasks.fleet.key_files import KEY_LIST_BYTES, read_file
from opstasks.fleet.known_hosts import DEFAULT_PORT, HostKey, HostKeys, KnownHostsFile
from opstasks.fleet.ssh_settings import SSHSettings

if TYPE_CHECKING:
    import paramiko

STRICT, ACCEPT_NEW = "strict", "accept-new"
_SALT_BYTES = 20
MOST_KIND = 60
# A name with one of these would mean something else in known_hosts.
_ODD = frozenset("@?*#[]|'\"\\, \t!")
_KRL_MAGIC = b"SSHKRL\n\0"


class HostKeyError(Exception):
    """A host, or the gateway to it, showed a key that is not accepted; `hint` is what to do.

    `shown` is the host's name in known_hosts and the fingerprint of the key; "" if not known.
    """

    shown = ""

    def __init__(self, text: str, hint: str) -> None:
        super().__init__(text)
        self.hint = hint


class HostKeyUnknownError(HostKeyError):
    """The key of the host is unknown here."""


class HostKeyChangedError(HostKeyError):
    """The host shows a different key from the known one."""


class HostKeyRevokedError(HostKeyError):
    """The host shows a key that was revoked, or may be."""


# Nobody should trust a key because a program says how.
ASK = "ask the people who run the host"
NOT_OURS = f"do not connect; {ASK}"
PIN = "if it is theirs, pin it under host_keys in hosts.yaml, or connect once with ssh"


@dataclass(frozen=True)
class TrustedKeys:
    """The keys that one host may show.

    `place` is its name in known_hosts files. `checking` is "strict" or "accept-new"; a new key is
    written into `learns_into`. `note` is added to the error for an unknown key, and `stricter` to
    every error: it says what in ssh_config is not followed. `address_line` is that of CheckHostIP.
    `is_pinned`: the keys are those of hosts.yaml.
    """

    place: str
    keys: HostKeys
    checking: str = STRICT
    learns_into: Path | None = None
    hashes_names: bool = False
    revoked_lists: tuple[Path, ...] = ()
    min_rsa_bits: int = 1024
    note: str = ""
    stricter: str = ""
    address_line: str = ""
    is_pinned: bool = False

    def check(self, key: paramiko.PKey) -> None:
        """Accept the key that the host shows; raises HostKeyError otherwise."""
        shown = (key.get_name(), key.asbytes())
        try:
            self._check(key, shown)
        except HostKeyError as error:
            error.shown = f"{self.place}  {fingerprint(shown)}"
            raise

    def _check(self, key: paramiko.PKey, shown: HostKey) -> None:
        place = self.place
        if shown in self.keys.revoked or any(_is_listed(key, path) for path in self.revoked_lists):
            text = f"the host key of {place} is REVOKED{self.stricter}"
            raise HostKeyRevokedError(text, NOT_OURS)
        if shown in self.keys.revoked_address:
            text = f"the host key of {place} is REVOKED for its address"
            raise HostKeyRevokedError(f"{text} (CheckHostIP: {self.address_line})", NOT_OURS)
        if shown[0] == "ssh-rsa" and key.get_bits() < self.min_rsa_bits:
            text = f"the RSA host key of {place} is too short: {key.get_bits()} bits"
            raise HostKeyChangedError(text, f"{ASK} for another key; or see RequiredRSASize")
        if self.keys.of_address and shown not in self.keys.of_address:
            text = f"the host key of {place} is not known for its address, which has another one"
            raise HostKeyChangedError(text, self._when_changed)
        if shown in self.keys.accepted | self.keys.elsewhere:
            return
        told = f"{_kind_text(shown[0])} {fingerprint(shown)}"
        if self.keys.accepted:
            raise HostKeyChangedError(
                f"the host key of {place} has CHANGED, to {told}; someone may be between us and it"
                f"{self.stricter}",
                self._when_changed,
            )
        if self.checking != ACCEPT_NEW or self.learns_into is None:
            text = f"the host key of {place} is not known: {told}{self.note}{self.stricter}"
            raise HostKeyUnknownError(text, f"{ASK}; {PIN}")
        self._learn(self.learns_into, shown)

    @property
    def _when_changed(self) -> str:
        """What to do when the host has a new key."""
        if self.is_pinned:
            return f"{ASK}; then correct host_keys in hosts.yaml"
        return f"{ASK}; then remove the old key: ssh-keygen -R {one_word(self.place)}"

    def _learn(self, path: Path, shown: HostKey) -> None:
        """Add a key to known_hosts, as OpenSSH's accept-new does; another is refused later."""
        try:
            self._append(path, shown)
        except OSError as error:
            text = f"the host key of {self.place} is new, and {path} cannot be written"
            hint = f"make {one_word(path)} writable, or pin the key under host_keys in hosts.yaml"
            raise HostKeyUnknownError(f"{text}: {error.strerror}", hint) from error

    def _append(self, path: Path, shown: HostKey) -> None:
        name = self.place
        if self.hashes_names:
            name = known_hosts.hashed(self.place, os.urandom(_SALT_BYTES))
        old = read_file(path, KEY_LIST_BYTES) if path.exists() else b""
        start = "" if not old or old.endswith(b"\n") else "\n"
        handle = private_files.open_file(path, os.O_WRONLY | os.O_APPEND)
        with os.fdopen(handle, "a") as file:
            file.write(f"{start}{name} {shown[0]} {base64.b64encode(shown[1]).decode()}\n")


def trusted_keys(
    settings: SSHSettings, pins: tuple[str, ...] = (), checking: str = "", address: str = ""
) -> TrustedKeys:
    """The keys that a host may show: the pinned ones only; without pins, the known ones.

    A revoked key is never accepted, pinned or not. `checking` is "strict", "accept-new", or "" for
    what ssh_config says. `address` is the IP address of a direct connection, for CheckHostIP.
    Raises Refused for a bad pin, and for a way to check that is not supported.
    """
    if settings.one("knownhostscommand"):
        raise _unsupported(settings, "KnownHostsCommand", "pin the key in hosts.yaml")
    alias = settings.one("hostkeyalias")
    place = alias or known_hosts.place_of(settings.hostname, settings.port)
    user_paths = settings.paths("userknownhostsfile")
    files = [
        known_hosts.read(path) for path in (*user_paths, *settings.paths("globalknownhostsfile"))
    ]
    found = known_hosts.known(place, files)
    if pins:
        keys = _pinned(pins, place)
        keys.revoked = found.revoked
    else:
        keys = _known(found, files, settings, address)
    is_odd = _ODD & set(settings.hostname)
    return TrustedKeys(
        place=place,
        keys=keys,
        checking=STRICT if pins else _checking(checking, settings),
        learns_into=user_paths[0] if user_paths and not is_odd else None,
        hashes_names=settings.is_on("hashknownhosts"),
        revoked_lists=_revoked_lists(settings),
        min_rsa_bits=int(settings.one("requiredrsasize") or 1024),
        note=_note(keys, settings, files),
        stricter=_stricter(checking, settings),
        address_line=settings.line_of("checkhostip") if keys.revoked_address else "",
        is_pinned=bool(pins),
    )


def _revoked_lists(settings: SSHSettings) -> tuple[Path, ...]:
    """The files of RevokedHostKeys. OpenSSH does not know ``~`` there: it refuses every key."""
    if settings.one("revokedhostkeys").startswith("~"):
        line = settings.line_of("revokedhostkeys")
        raise Refused(
            f"{line}: RevokedHostKeys with ~ is not supported", hint="write the whole path"
        )
    return tuple(settings.paths("revokedhostkeys"))


def _pinned(pins: tuple[str, ...], place: str) -> HostKeys:
    try:
        return known_hosts.pinned(pins)
    except ValueError as error:
        raise Refused(f"{place}: {error}", hint="correct host_keys in hosts.yaml") from error


def _known(
    found: HostKeys, files: list[KnownHostsFile], settings: SSHSettings, address: str
) -> HostKeys:
    """The known keys, with OpenSSH's two additions."""
    is_unknown = not found.accepted and not settings.one("hostkeyalias")
    if is_unknown and settings.port != DEFAULT_PORT:
        # OpenSSH then accepts the key of the same host at port 22.
        plain = known_hosts.known(settings.hostname, files)
        found.elsewhere = plain.accepted - plain.revoked
        found.authority = found.authority or plain.authority
    is_checked = settings.is_on("checkhostip") and not _is_address(settings.hostname)
    if address and is_checked and not ipaddress.ip_address(address).is_loopback:
        of_address = known_hosts.known(known_hosts.place_of(address, settings.port), files)
        found.of_address = of_address.accepted
        found.revoked_address = of_address.revoked
    return found


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _checking(wanted: str, settings: SSHSettings) -> str:
    """What to do with an unknown key; `no` of ssh_config is never followed."""
    asked = wanted or settings.one("stricthostkeychecking")
    return ACCEPT_NEW if asked == ACCEPT_NEW else STRICT


def _note(keys: HostKeys, settings: SSHSettings, files: list[KnownHostsFile]) -> str:
    """Why a key is unknown that was accepted before, or that OpenSSH might accept."""
    if problems := [file.problem for file in files if file.problem]:
        return f" ({problems[0]})"
    if keys.authority:
        if keys.is_authority_revoked:
            return f" (its certificate authority is REVOKED: {keys.authority})"
        return f" (host certificates are not supported: {keys.authority})"
    if settings.is_on("verifyhostkeydns"):
        return f" (VerifyHostKeyDNS is not supported: {settings.line_of('verifyhostkeydns')})"
    return ""


def _stricter(checking: str, settings: SSHSettings) -> str:
    """The setting of ssh_config that lets OpenSSH accept any key, and that we do not follow."""
    if not checking and settings.one("stricthostkeychecking") in ("no", "off", "false"):
        line = settings.line_of("stricthostkeychecking")
        return f" (StrictHostKeyChecking no is not followed: {line})"
    if settings.is_on("nohostauthenticationforlocalhost"):
        line = settings.line_of("nohostauthenticationforlocalhost")
        return f" (NoHostAuthenticationForLocalhost is not followed: {line})"
    return ""


def _unsupported(settings: SSHSettings, keyword: str, hint: str) -> Refused:
    return Refused(f"{settings.line_of(keyword.lower())}: {keyword} is not supported", hint=hint)


def _is_listed(key: paramiko.PKey, path: Path) -> bool:
    """Whether RevokedHostKeys has the key; raises HostKeyRevokedError if it cannot be read."""
    try:
        data = read_file(path, KEY_LIST_BYTES)
        if data.startswith(_KRL_MAGIC):
            return _is_in_krl(key, path)
        listed = known_hosts.keys_of(data.decode("utf-8", "replace"))
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        reason = getattr(error, "strerror", None) or error
        text = f"cannot read RevokedHostKeys {path}: {reason}"
        hint = f"correct {one_word(path)}, or RevokedHostKeys in ssh_config"
        raise HostKeyRevokedError(text, hint) from error
    return (key.get_name(), key.asbytes()) in listed


def _is_in_krl(key: paramiko.PKey, path: Path) -> bool:
    """Whether a binary revocation list has the key: only `ssh-keygen -Q` can read it.

    Raises OSError or SubprocessError when it does not run to its end.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".pub") as file:
        os.fchmod(file.fileno(), private_files.FILE_MODE)
        file.write(f"{key.get_name()} {key.get_base64()}\n")
        file.flush()
        words = ["ssh-keygen", "-Q", "-f", str(path), file.name]
        done = subprocess.run(words, capture_output=True, timeout=30, check=False)
    return done.returncode != 0


def fingerprint(key: HostKey) -> str:
    """A key's fingerprint, as ssh-keygen -l shows it: ``SHA256:...``."""
    digest = base64.b64encode(hashlib.sha256(key[1]).digest()).decode()
    return f"SHA256:{digest.rstrip('=')}"


def _kind_text(kind: str) -> str:
    """A type of key in one line: a host may send any text."""
    return kind if kind.isprintable() and len(kind) <= MOST_KIND else repr(kind[:MOST_KIND])


def preferred_kinds(kinds: set[str], algorithms: Iterable[str]) -> list[str]:
    """The signature algorithms for host keys, those of known keys first, as in OpenSSH."""
    wanted = list(algorithms)
    first = [name for name in wanted if kind_of(name) in kinds]
    return [*first, *(name for name in wanted if name not in first)]


def kind_of(algorithm: str) -> str:
    """The type of key that signs with an algorithm."""
    return "ssh-rsa" if algorithm.startswith("rsa-sha2-") else algorithm
