"""Files of keys and settings; reading them never waits for a pipe, and has a size limit."""

from __future__ import annotations

import base64
import errno
import io
import os
import stat
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import paramiko

# OpenSSH reads no key file that is longer.
KEY_FILE_BYTES = 1 << 20
# For lists of keys, such as known_hosts: half a million lines.
KEY_LIST_BYTES = 64 << 20
# Why the private key in a file cannot be used.
MISSING, LOCKED = "it does not exist", "it is locked by a passphrase"
OTHERS_READ = "others may read it"


class OddFileError(OSError):
    """A path that exists, but is not a file that can be read to its end."""


def read_file(path: Path, most_bytes: int) -> bytes:
    """A file's contents; raises OddFileError for a pipe or a very long file, or another OSError."""
    # Without O_NONBLOCK, a pipe is waited for when it is opened.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            raise OddFileError(errno.ESPIPE, "it is a pipe, not a file")
        data = file.read(most_bytes + 1) or b""
    if len(data) > most_bytes:
        raise OddFileError(errno.EFBIG, f"it is longer than {most_bytes >> 20} MiB")
    return data


@dataclass(frozen=True)
class PublicKey:
    """The public part of a key: its type, and the whole key in SSH's format."""

    kind: str
    blob: bytes


def public_key(path: Path) -> PublicKey | None:
    """The public part of an identity file; None when it is not known without its passphrase.

    As in OpenSSH, a public file beside a private one counts first, even if it belongs to another.
    """
    return read_public(Path(f"{path}.pub")) or read_public(path) or _embedded(path)


def read_public(path: Path) -> PublicKey | None:
    """The key in a public file; None for another file."""
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
        raw = read_file(path, KEY_FILE_BYTES)
        if not _is_well_formed(raw):
            return None
        text = raw.decode("utf-8", "replace")
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


def _is_well_formed(data: bytes) -> bool:
    """Whether OpenSSH reads a private key in this text."""
    return data.startswith(b"-----BEGIN ") and data.endswith(b"\n") and b"\r" not in data


def private_key(path: Path) -> tuple[paramiko.PKey | None, str]:
    """The private key in a file, or why it cannot be used (MISSING if there is no such file)."""
    try:
        seen = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None, MISSING
    except (OSError, ValueError) as error:
        return None, _reason(error)
    if stat.S_ISDIR(seen.st_mode):
        return None, "it is a directory"
    if seen.st_uid == os.getuid() and stat.S_IMODE(seen.st_mode) & 0o077:
        return None, f"its mode is {stat.S_IMODE(seen.st_mode):04o}: {OTHERS_READ}"
    return _private_key(path, seen.st_ctime_ns, seen.st_size)


def _loaded(path: Path, data: bytes) -> paramiko.PKey:
    import paramiko

    if b"-----BEGIN PRIVATE KEY-----" not in data:
        return paramiko.PKey.from_path(path)
    # PKCS 8, which paramiko does not read: as OpenSSH's own format, in memory only.
    from cryptography.hazmat.primitives import serialization as form

    found: Any = form.load_pem_private_key(data, password=None)
    text = found.private_bytes(
        form.Encoding.PEM, form.PrivateFormat.OpenSSH, form.NoEncryption()
    ).decode()
    kinds: dict[str, Any] = {
        "Ed25519": paramiko.Ed25519Key,
        "RSA": paramiko.RSAKey,
        "EllipticCurve": paramiko.ECDSAKey,
    }
    (kind,) = (kind for name, kind in kinds.items() if type(found).__name__.startswith(name))
    key: paramiko.PKey = kind.from_private_key(io.StringIO(text))
    return key


@lru_cache(maxsize=64)
def _private_key(
    path: Path, _changed_ns: int, _size_bytes: int
) -> tuple[paramiko.PKey | None, str]:
    import paramiko

    try:
        data = read_file(path, KEY_FILE_BYTES)  # paramiko would wait for a pipe
        if not data:
            return None, "it is empty"
        if not _is_well_formed(data):
            return None, "ssh does not read it: text before the key, or wrong line ends"
        key = _loaded(path, data)
    except (paramiko.PasswordRequiredException, TypeError):
        return None, LOCKED
    except OSError as error:
        return None, _reason(error)
    except Exception:  # paramiko and cryptography raise a dozen unrelated types
        return None, "it is not a private key that we can read"
    key.public_blob = None  # a certificate beside it is offered separately
    return key, ""


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).lower()
