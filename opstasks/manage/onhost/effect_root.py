"""Runs on the host as root: other ways to make root run something; changes nothing."""

import re

from opstasks.manage.onhost.effect_docker import docker_ways
from opstasks.onhost.commands import attempt
from opstasks.onhost.plain_text import text_for_root

TIMEOUT_S = 20.0
MOST = 40
# Variables that systemd sets on every normal host.
USUAL = re.compile(r"(LANG|LANGUAGE|LC_[A-Z]+)=")
# Where root may look for programs: only root writes there.
SAFE_FOLDERS = {
    *("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin", "/snap/bin"),
}
PRELOAD = "/etc/ld.so.preload"


def ways() -> list[str]:
    """Each way, as text for people."""
    shown = attempt("systemctl", "show-environment", timeout_s=TIMEOUT_S)
    return [*variables(shown.stdout), *preloaded(PRELOAD), *docker_ways()][:MOST]


def variables(text: str) -> list[str]:
    """Variables that systemd gives to every service: only names, because values may be secrets.

    PATH is there on every host: the folders that do not belong there are named.
    """
    found = []
    for line in text.split("\n"):
        name, sign, value = line.partition("=")
        if name == "PATH":
            foreign = [at or "." for at in value.split(":") if at not in SAFE_FOLDERS]
            words = ", ".join(foreign)[:200]
            found += [f"systemd sets PATH with {words} for every service"] if foreign else []
        elif sign and not USUAL.match(line):
            found.append(f"systemd sets {name[:60]} for every service")
    return found


def preloaded(path: str) -> list[str]:
    """The libraries that every program loads."""
    text, is_whole = text_for_root(path)
    found = [f"{path} loads {name[:200]}" for name in text.split()]
    return found if is_whole else [*found, f"{path} cannot be read: every program reads it"]
