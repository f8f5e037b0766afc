"""The contents of the host image and the nested images, and their names.

Names end in a hash of the contents, so a changed recipe is built again.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from opstasks.sandbox import releases

CACHE, BUILD = "opstasks.sandbox-cache", "opstasks.sandbox-build"
CACHE_LABEL = f"{CACHE}=1"
# For the temporary containers of a build; the image's own label is also on hosts.
BUILD_LABEL = f"{BUILD}=1"
FILES = releases.FILES
SUITE = "bookworm"
PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "procps", "iproute2", "iptables", "ca-certificates"),
    *("openssh-server", "sudo", "sqlite3", "rsync", "git", "curl", "less", "tmux", "strace"),
    # job-runner's libraries look for setuptools itself, not just for pkg_resources.
    *("python3", "python3-venv", "python3-pkg-resources", "python3-setuptools"),
    *("docker.io", "docker-registry", "busybox-static"),
    # A package that `manage` removes.
    "popularity-contest",
)
# Not installed: they are in an archive on each host, for tests that install packages.
ARCHIVE = (
    *("tree", "libpam-pwquality", "cracklib-runtime"),
    *("gpg", "iotop", "tcpdump", "silversearcher-ag"),
    # Login shells.
    *("zsh", "fish", "tcsh"),
)


def mirror() -> str:
    """The Debian mirror."""
    return os.environ.get("OPSTASKS_SANDBOX_MIRROR", "http://deb.debian.org/debian")


def digest(*parts: str | bytes) -> str:
    """A short hash of this content."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        total.update(f"{len(data)}:".encode() + data)
    return total.hexdigest()[:12]


def base_tag() -> str:
    """The plain Debian image with the packages of a host."""
    script = (FILES / "package-archive.sh").read_bytes()
    return f"opstasks-sandbox-base:{digest(SUITE, *PACKAGES, script, *ARCHIVE)}"


def host_tag() -> str:
    """The image of hosts: Debian, accounts, repositories."""
    names = ("init", "finish-image.sh", "gitconfig", "nested-images.sh")
    study = sorted(path for path in (FILES / "study").rglob("*") if path.is_file())
    content = [(FILES / name).read_bytes() for name in names]
    content += [part for path in study for part in (path.name.encode(), path.read_bytes())]
    recipe = Path(releases.__file__).read_bytes()
    return f"opstasks-sandbox-host:{digest(base_tag(), recipe, *content)}"


def template_name() -> str:
    """The volume that is copied for every host's nested Docker."""
    script = (FILES / "nested-images.sh").read_bytes()
    return f"opstasks-sandbox-template-{digest(base_tag(), script)}"
