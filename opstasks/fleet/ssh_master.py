"""Kept connections: OpenSSH's own masters (ssh(1), -M), in a folder that only we may enter.

A master is made from a file for `ssh -F` that has everything: each login on the way, with the
settings that `opstasks.fleet.route` found, and the only keys that the host may show, as
`opstasks.fleet.host_keys` found them. So its checks are the same. The socket is named after the
contents of these files: other settings or other keys never share a connection.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import secrets
import socket
import stat
import subprocess
import time
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from opstasks.core.errors import Refused
from opstasks.fleet import private_files, trusted_files
from opstasks.fleet.agent import agent_path
from opstasks.fleet.host_keys import TrustedKeys, trusted_keys
from opstasks.fleet.route import Hop

# How long a login may take beyond the connection itself.
LOGIN_S = 40.0
EXIT_S = 2.0
# ssh appends 17 bytes to a socket's path while it makes it; the system's limit is 104 (macOS).
PATH_LIMIT_BYTES = 104 - 17 - len("/opstasks/0123456789abcdef0123.01234567")
_PLAIN = re.compile(r"/[A-Za-z0-9_./+@-]*")
# Settings that are passed on as `ssh -G` prints them.
_COPIED = (
    "addressfamily",
    "bindaddress",
    "ciphers",
    "hostkeyalgorithms",
    "identitiesonly",
    "kexalgorithms",
    "macs",
    "pubkeyacceptedalgorithms",
    "requiredrsasize",
)
# A dead network is noticed after 80 s at most: three questions without an answer.
_ALWAYS = """\
  BatchMode yes
  GlobalKnownHostsFile none
  PreferredAuthentications publickey
  ServerAliveCountMax 3
  ServerAliveInterval 20
  StrictHostKeyChecking yes
  UpdateHostKeys no
"""


class CannotSayError(Exception):
    """A value that a file for `ssh -F` cannot express."""


@dataclass(frozen=True)
class Master:
    """One kept connection of a host; `is_own`: made by the person's own ssh, not ours to end."""

    socket: Path
    host: str
    is_own: bool = False
    opened_at: float = 0.0

    @property
    def config(self) -> Path:
        """Its file for `ssh -F`; the time of its change is that of the last use."""
        return Path(f"{self.socket}.conf")

    def accepts(self) -> bool:
        """Whether a master listens on the socket; what is behind it may still be dead."""
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as client:
            client.settimeout(1)
            try:
                client.connect(str(self.socket))
            except OSError:
                return False
        return True

    @property
    def age_s(self) -> float:
        """Seconds since it was opened."""
        return max(0.0, time.time() - self.opened_at)

    def unused_s(self) -> float:
        """Seconds since the other side last answered, by the wall clock."""
        try:
            return abs(time.time() - self.config.stat().st_mtime)
        except OSError:
            return float("inf")

    def note_use(self) -> None:
        """Record that the other side answered."""
        with contextlib.suppress(OSError):
            os.utime(self.config)

    def retire(self) -> None:
        """Use it for nothing new. Others that use it are not disturbed, and it expires."""
        self.config.unlink(missing_ok=True)

    def exit(self) -> bool:
        """End the connection, with everything that uses it; returns whether it was open."""
        was_open = self.accepts()
        if was_open:
            words = ["ssh", "-F", "none", "-S", str(self.socket), "-O", "exit", "--", "opstasks"]
            with contextlib.suppress(subprocess.TimeoutExpired):
                subprocess.run(
                    words,
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    timeout=EXIT_S,
                    check=False,
                )
        for path in (self.socket, self.config, _known_hosts(self.socket)):
            path.unlink(missing_ok=True)
        return was_open


def open_master(hops: Sequence[Hop], host: str, keep_s: int) -> Master | None:
    """The connection that is kept for a host, made when there is none.

    None when OpenSSH cannot make it: then a login of our own works, or says why not. Raises Refused
    when the folder is not ours alone.
    """
    where = folder()
    try:
        config, known = _files(hops, host)
    except CannotSayError:
        return None
    text = f"{config}{known}{keep_s}".encode("utf-8", "surrogateescape")
    name = hashlib.sha256(text).hexdigest()[:20]
    with _locked(_lock_of(name)):  # of two masters, one would stay unused
        for path in where.glob(f"{name}.*.conf"):
            master = Master(path.with_suffix(""), host)
            if master.accepts():
                return master
        # A new name each time: a process that began on one master never continues on another.
        master = Master(where / f"{name}.{secrets.token_hex(4)}", host)
        _write(_known_hosts(master.socket), known)
        _write(master.config, config.replace(_PLACE, str(_known_hosts(master.socket))))
        _start(master, hops, keep_s)
    if master.accepts():
        return master
    master.exit()
    return None


def kept() -> list[Master]:
    """Every kept connection that is open; removes what is left of others."""
    found = []
    for path in sorted(folder().glob("*.conf")):
        with contextlib.suppress(OSError, IndexError):
            first = path.read_text("utf-8", "surrogateescape").partition("\n")[0]
            place = path.with_suffix("")
            opened_at = place.stat().st_mtime if place.exists() else 0.0
            master = Master(place, first.split(" ", 1)[1], opened_at=opened_at)
            if master.accepts():
                found.append(master)
            else:
                _remove(master)
    return found


def _remove(master: Master) -> None:
    """Remove the files of a master that is gone, unless its login is under way."""
    name = master.socket.name.partition(".")[0]
    with contextlib.suppress(BlockingIOError), _locked(_lock_of(name), fcntl.LOCK_NB):
        if not master.accepts():
            master.exit()


def _lock_of(name: str) -> Path:
    return folder() / f"{name}.lock"


def own_master(hop: Hop, host: str) -> Master | None:
    """The connection that the person's own ssh keeps for a host (ControlMaster), or None.

    Not used if hosts.yaml has pins: that ssh may not have checked them. Nor if another account made
    the socket or could replace it: it would get all that we send, a sudo password too.
    """
    path = hop.settings.one("controlpath")
    wanted = hop.settings.one("controlmaster") in ("auto", "true", "yes")
    if not (wanted and path) or hop.pins:
        return None
    master = Master(hop.settings.path(path), host, is_own=True)
    return master if _is_ours(master.socket) and master.accepts() else None


def _is_ours(path: Path) -> bool:
    """Whether a socket is ours, in folders in which nobody else can replace it."""
    with contextlib.suppress(OSError):
        return path.lstat().st_uid == os.geteuid() and not trusted_files.problem(path)
    return False


# -- making one --------------------------------------------------------------------------------


def _start(master: Master, hops: Sequence[Hop], keep_s: int) -> None:
    """Log in, and leave the connection in the background."""
    words = ["ssh", "-F", str(master.config), "-M", "-N", "-f", "-S", str(master.socket)]
    words += ["-o", f"ControlPersist={keep_s}s", "--", f"hop{len(hops) - 1}"]
    no = subprocess.DEVNULL
    # Its own session: Ctrl-C must not reach it.
    popen = subprocess.Popen(words, stdin=no, stdout=no, stderr=no, start_new_session=True)
    try:
        popen.wait(sum(hop.timeout_s for hop in hops) + LOGIN_S)
    except subprocess.TimeoutExpired:
        popen.kill()
        popen.wait()


# Where the name of the known_hosts file goes: the name depends on this text.
_PLACE = "\0known_hosts\0"


def _files(hops: Sequence[Hop], host: str) -> tuple[str, str]:
    """The text for `ssh -F`, with the host's name in the first line, and that of known_hosts."""
    config, known = [f"# {host}\n"], []
    for number, hop in enumerate(hops):
        trusted = trusted_keys(hop.settings, hop.pins, hop.checking)
        accepted = trusted.keys.accepted | trusted.keys.elsewhere
        config.append(_section(number, hop, trusted))
        known += [f"hop{number} {_key(key)}\n" for key in sorted(accepted)]
        known += [f"@revoked hop{number} {_key(key)}\n" for key in sorted(trusted.keys.revoked)]
    return "".join(config), "".join(known)


def _section(number: int, hop: Hop, trusted: TrustedKeys) -> str:
    settings = hop.settings
    lines = [f"Host hop{number}", f"HostName {_word(settings.hostname)}", f"Port {settings.port}"]
    lines += [f"User {_word(settings.user)}", f"HostKeyAlias hop{number}"]
    lines += [f"ConnectTimeout {max(1, round(hop.timeout_s))}", f"UserKnownHostsFile {_PLACE}"]
    lines += [f"{key} {value}" for key in _COPIED if (value := settings.one(key))]
    for key in ("identityfile", "certificatefile"):
        paths = [settings.path(text) for text in settings.many(key)]
        lines += [f"{key} {_quoted(str(path))}" for path in paths]
    lines.append(f"IdentityAgent {_quoted(agent_path(settings) or 'none')}")
    if trusted.revoked_lists:
        lists = " ".join(_quoted(str(path)) for path in trusted.revoked_lists)
        lines.append(f"RevokedHostKeys {lists}")
    if hop.command:
        lines.append(f"ProxyCommand {hop.command.replace('%', '%%')}")
    elif number:
        lines.append(f"ProxyJump hop{number - 1}")
    if any("\n" in line for line in lines):
        raise CannotSayError
    return "\n  ".join(lines) + "\n" + _ALWAYS


def _key(key: tuple[str, bytes]) -> str:
    return f"{key[0]} {b64encode(key[1]).decode()}"


def _word(text: str) -> str:
    if not re.fullmatch(r"[\w.:@+-]+", text):
        raise CannotSayError(text)
    return text


def _quoted(path: str) -> str:
    """A path that ssh reads unchanged."""
    if '"' in path or "\\" in path or "$" in path:
        raise CannotSayError(path)
    return f'"{path.replace("%", "%%")}"'


# -- the folder --------------------------------------------------------------------------------


def folder() -> Path:
    """The private folder, made when it is missing; raises Refused for someone else's."""
    chosen = os.environ.get("XDG_RUNTIME_DIR", "")
    if _PLAIN.fullmatch(chosen) and len(chosen) < PATH_LIMIT_BYTES:
        with contextlib.suppress(FileNotFoundError, PermissionError):
            return _private(Path(chosen) / "opstasks")
    return _private(Path(f"/tmp/opstasks-{os.geteuid()}"))  # noqa: S108 - checked below


def _private(path: Path) -> Path:
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
        path.chmod(0o700)  # the umask may have removed bits
    above, info = path.parent.stat(), path.lstat()
    open_above = above.st_mode & 0o022 and not above.st_mode & stat.S_ISVTX
    if (
        not stat.S_ISDIR(info.st_mode)
        or info.st_uid != os.geteuid()
        or info.st_mode & 0o077
        or above.st_uid not in (0, os.geteuid())
        or open_above
    ):
        raise Refused(
            f"{path} is not a folder that only you may enter",
            hint="remove it if it is yours; else set XDG_RUNTIME_DIR or remove keep_connection",
        )
    return path


def _known_hosts(path: Path) -> Path:
    return Path(f"{path}.known")


def _write(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    handle = private_files.open_file(path, os.O_WRONLY | os.O_EXCL)
    with os.fdopen(handle, "w", errors="surrogateescape") as file:
        file.write(text)


@contextlib.contextmanager
def _locked(path: Path, mode: int = 0) -> Iterator[None]:
    with os.fdopen(private_files.open_file(path, os.O_RDWR), "r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX | mode)
        yield
