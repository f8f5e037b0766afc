"""What OpenSSH's `ssh` is told, so that its checks are those of `opstasks.fleet.ssh`.

One file for `ssh -F` begins with our settings and then includes the person's. In OpenSSH the first
value wins, so theirs cannot loosen ours, and ssh gives the same file to the jump hosts of
`ProxyJump`. What concerns only the host itself (user, key, pins) is on the command line.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opstasks.core.errors import Refused
from opstasks.fleet.inventory import HostSpec

# ssh reads these two, in this order, unless -F names one.
USER_CONFIG, SYSTEM_CONFIG = "~/.ssh/config", Path("/etc/ssh/ssh_config")
# A dead network is noticed after 80 s at most: three questions without an answer.
SETTINGS = """\
BatchMode yes
StrictHostKeyChecking yes
VerifyHostKeyDNS no
NoHostAuthenticationForLocalhost no
UpdateHostKeys no
ConnectionAttempts 1
ServerAliveInterval 20
ServerAliveCountMax 3
TCPKeepAlive yes
ClearAllForwardings yes
ForwardAgent no
ForwardX11 no
PermitLocalCommand no
Tunnel no
RequestTTY no
RemoteCommand none
ControlMaster no
ControlPath none
LogLevel INFO
"""
# ssh itself would replace these in a path, or read them as a pattern.
_ODD = re.compile(r'["\'\\*?\[\]{}$%\x00-\x1f]')


@dataclass(frozen=True)
class SSHArguments:
    """The words for `ssh`, before the address; `identity` is everything that they stand for."""

    words: tuple[str, ...]
    address: str
    user: str
    identity: str

    @property
    def name(self) -> str:
        """A short name that another user, key, pin, gateway or setting would change."""
        return short_hash(self.identity)


def short_hash(text: str) -> str:
    """A short name for a text: a socket's path has at most 104 bytes."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:20]


def arguments(spec: HostSpec, gateway: HostSpec | None, folder: Path) -> SSHArguments:
    """The words that reach a host; files that they name are written into the folder.

    Raises Refused for settings that could not be passed on exactly.
    """
    words = ["-F", stored(folder, "conf", config_text(spec))]
    words += ["-l", spec.user] if spec.user else []
    words += ["-p", str(spec.port)] if spec.port else []
    words += ["-i", _path(spec.identity_file, spec.name)] if spec.identity_file else []
    identity = []
    if gateway:
        inner = arguments(gateway, None, folder)
        words += ["-o", f"ProxyCommand={proxy_command(inner)}"]
        identity.append(inner.identity)
    settings = resolved(words, spec.address, spec)
    identity += [f"{key} {value}" for key, value in sorted(settings.items())]
    identity += _jump_settings(settings, words[:2], spec)
    revoked = "\n".join(_revocations(settings, spec))
    if spec.host_keys:
        words += _pins(spec, revoked, settings, folder)
    elif spec.host_key_checking == "accept-new":
        words += ["-o", "StrictHostKeyChecking=accept-new"]
    identity += [*words, revoked, spec.keep_connection]
    return SSHArguments(tuple(words), spec.address, settings["user"], "\n".join(identity))


def config_text(spec: HostSpec) -> str:
    """The file for `ssh -F`: our settings, then the person's files as ssh would read them."""
    text = f"{SETTINGS}ConnectTimeout {max(1, math.ceil(spec.connect_timeout_s))}\n"
    if not spec.ssh_config:
        _refuse_relative_include(spec)
        return f"{text}Include {USER_CONFIG}\nInclude {SYSTEM_CONFIG}\n"
    path = _path(str(Path(spec.ssh_config).expanduser().absolute()), spec.name)
    if not Path(path).is_file():
        raise Refused(f"{path} is not a file", host=spec.name, hint="correct -S or `ssh_config`")
    return f'{text}Include "{path}"\n'


def proxy_command(gateway: SSHArguments) -> str:
    """The command that connects through a gateway; ssh passes it to a shell."""
    line = shlex.join(["ssh", *gateway.words, "-W"]).replace("%", "%%")
    return f"{line} '[%h]:%p' -- {shlex.quote(gateway.address)}"


def resolved(words: list[str], address: str, spec: HostSpec) -> dict[str, str]:
    """What `ssh -G` says about a host; several values of a key are joined by line ends."""
    argv = ["ssh", "-G", *words, "--", address]
    options: dict[str, Any] = {"text": True, "errors": "surrogateescape", "timeout": 60}
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, check=False, **options
        )
    except FileNotFoundError as error:
        raise not_installed(spec.name) from error
    if done.returncode:
        reason = " ".join(done.stderr.split()[-40:])
        raise Refused(f"ssh: {reason}", host=spec.name, hint="correct ssh_config")
    settings: dict[str, str] = {}
    for line in done.stdout.splitlines():
        key, _, value = line.partition(" ")
        settings[key] = f"{settings[key]}\n{value}" if key in settings else value
    return settings


def not_installed(host: str) -> Refused:
    """The error where OpenSSH's client is missing."""
    return Refused(
        "keep_connection needs OpenSSH's `ssh`, which is not installed here",
        host=host,
        hint="install the package openssh-client, or remove keep_connection",
    )


def own_master(settings: dict[str, str], spec: HostSpec) -> Path | None:
    """The socket of the person's own ControlMaster for a host; `settings` are of `ssh -G`.

    None without one, and where hosts.yaml asks for checks that its maker may not have made.
    """
    path = settings.get("controlpath", "none")
    wanted = settings.get("controlmaster") in ("auto", "true", "yes", "ask", "autoask")
    stricter = spec.host_keys or spec.gateway or spec.identity_file
    return Path(path) if wanted and path != "none" and not stricter else None


def _jump_settings(
    settings: dict[str, str], config: list[str], spec: HostSpec, depth: int = 8
) -> Iterator[str]:
    """What ssh resolves for each jump host of ssh_config: part of what makes a connection."""
    for jump in settings.get("proxyjump", "none").split(","):
        if jump != "none" and depth:
            found = resolved(config, jump if "://" in jump else f"ssh://{jump}", spec)
            yield from (f"{jump} {key} {value}" for key, value in sorted(found.items()))
            yield from _jump_settings(found, config, spec, depth - 1)


def _pins(spec: HostSpec, revoked: str, settings: dict[str, str], folder: Path) -> list[str]:
    """Accept the keys of hosts.yaml, whatever the host is called, and nothing else."""
    lines = "".join(f"* {' '.join(key.split()[:2])}\n" for key in spec.host_keys)
    words = [f"UserKnownHostsFile={stored(folder, 'pins', lines + revoked + chr(10))}"]
    words += ["GlobalKnownHostsFile=/dev/null", "CheckHostIP=no"]
    # Not known to ssh before 8.5.
    words += ["KnownHostsCommand=none"] if "knownhostscommand" in settings else []
    return [word for pair in words for word in ("-o", pair)]


def _revocations(settings: dict[str, str], spec: HostSpec) -> Iterator[str]:
    """All @revoked lines of the known_hosts files, and what RevokedHostKeys has."""
    names = f"{settings.get('userknownhostsfile', '')} {settings.get('globalknownhostsfile', '')}"
    for name in names.split():
        if name == "none":
            continue
        if not name.startswith(("/", "~")):
            raise Refused(
                f"known_hosts file {name!r}: a relative path or a space",
                host=spec.name,
                hint="correct UserKnownHostsFile in ssh_config, or remove keep_connection",
            )
        lines = _content(Path(name)).splitlines()
        yield from (line for line in lines if line.split()[:1] == ["@revoked"])
    if (name := settings.get("revokedhostkeys", "none")) != "none":
        yield f"# RevokedHostKeys {short_hash(_content(Path(name)))}"


def _content(path: Path) -> str:
    try:
        return path.expanduser().read_text("utf-8", "surrogateescape")
    except OSError:
        return ""


def _path(text: str, host: str) -> str:
    path = str(Path(text).expanduser())
    if _ODD.search(path):
        raise Refused(
            f"{path!r}: ssh cannot be given this path exactly",
            host=host,
            hint="rename it, or remove keep_connection",
        )
    return path


def _refuse_relative_include(spec: HostSpec) -> None:
    """OpenSSH would look for such a file elsewhere when our file includes the system's."""
    for line in _content(SYSTEM_CONFIG).splitlines():
        first, *names = line.replace("=", " ", 1).split() or [""]
        if first.lower() == "include" and not all(name.startswith("/") for name in names):
            raise Refused(
                f"{SYSTEM_CONFIG} includes a file by a relative path",
                host=spec.name,
                hint="write the whole path there, or remove keep_connection",
            )


def stored(folder: Path, kind: str, text: str) -> str:
    """The path of a private file with this text, named after it."""
    path = folder / f"{kind}-{short_hash(text)}"
    data = text.encode("utf-8", "surrogateescape")
    try:
        if path.read_bytes() == data:
            return str(path)
    except OSError:
        pass
    part = folder / f"{path.name}.{os.getpid()}-{os.urandom(4).hex()}"
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
    part.replace(path)
    return str(path)
