"""Runs on the host as root: other ways to make root run something; changes nothing."""

import json
import re
import stat
from pathlib import Path

from opstasks.onhost.commands import attempt
from opstasks.onhost.plain_text import names_in, text_of

TIMEOUT_S = 20.0
MOST = 40
# Variables that systemd sets on every normal host.
USUAL = re.compile(r"(LANG|LANGUAGE|LC_[A-Z]+|PATH)=")
PRELOAD = "/etc/ld.so.preload"
SOCKETS = ("/run/docker.sock", "/run/containerd/containerd.sock")
DAEMON = "/etc/docker/daemon.json"


def ways() -> list[str]:
    """Each way, as text for people."""
    shown = attempt("systemctl", "show-environment", timeout_s=TIMEOUT_S)
    return [
        *variables(shown.stdout),
        *(f"{PRELOAD} loads {name[:200]}" for name in (text_of(PRELOAD) or "").split()),
        *open_sockets(),
        *listeners(text_of(DAEMON), daemons()),
    ][:MOST]


def variables(text: str) -> list[str]:
    """Variables that systemd gives to every service: only names, because values may be secrets."""
    lines = [line for line in text.split("\n") if "=" in line and not USUAL.match(line)]
    return [f"systemd sets {line.partition('=')[0][:60]} for every service" for line in lines]


def open_sockets() -> list[str]:
    """Sockets of docker that every account may use."""
    found = []
    for path in SOCKETS:
        try:
            mode = Path(path).stat().st_mode
        except OSError:
            continue
        if mode & 0o006:
            found.append(f"{path} has mode {stat.S_IMODE(mode):04o}: every account can be root")
    return found


def daemons() -> list[list[str]]:
    """The words of the command lines of all processes of dockerd."""
    found = []
    for pid in filter(str.isdigit, names_in("/proc")):
        try:
            words = Path("/proc", pid, "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"/dockerd"):
            found.append([word.decode("utf-8", "replace") for word in words])
    return found


def listeners(config: str | None, commands: list[list[str]]) -> list[str]:
    """Addresses at which docker accepts commands from the network."""
    named: list[object] = [word for words in commands for word in words]
    try:
        hosts = json.loads(config or "{}").get("hosts", [])
        named += hosts if isinstance(hosts, list) else [hosts]
    except (ValueError, AttributeError, RecursionError):
        pass  # docker does not start with this file
    addresses = sorted({str(word)[:200] for word in named if "tcp://" in str(word)})
    return [f"docker listens at {address}: who reaches it is root" for address in addresses]
