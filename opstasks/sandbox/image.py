"""The host image, and the volume of nested images that each host starts with.

Both are caches shared by all instances on this machine. Their names end in a hash of what went
in, so a changed recipe is built anew, and the old one is dropped.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from opstasks.sandbox import releases
from opstasks.sandbox.engine import (
    Report,
    docker,
    ensure_tools,
    image_exists,
    inspect,
    labelled,
    try_docker,
)
from opstasks.sandbox.errors import SandboxError
from opstasks.sandbox.shell import as_root, run
from opstasks.sandbox.state import LABEL, cache_lock, locked

CACHE_LABEL = "opstasks.sandbox-cache=1"
# On the containers that building needs for a moment: the image's own label is on hosts too.
BUILD_LABEL = "opstasks.sandbox-build=1"
FILES = releases.FILES
SUITE = "bookworm"
PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "procps", "iproute2", "iptables", "ca-certificates"),
    *("openssh-server", "sudo", "sqlite3", "rsync", "git", "curl", "less", "tmux", "strace"),
    # job-runner's libraries look for setuptools itself, not just for pkg_resources.
    *("python3", "python3-venv", "python3-pkg-resources", "python3-setuptools"),
    *("docker.io", "docker-registry", "busybox-static"),
    # One of those that `manage` removes.
    "popularity-contest",
)
# Not installed: they lie in an archive on each host, for tests of installing.
ARCHIVE = ("tree", "libpam-pwquality", "gpg", "iotop", "tcpdump", "silversearcher-ag")
# What makes a container fit to be a machine. Not --privileged: that fails where the engine
# itself lacks CAP_SYS_RESOURCE.
MACHINE = (
    *("--stop-signal", "SIGRTMIN+3", "--cgroupns=private"),
    *("--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"),
    *("--security-opt", "systempaths=unconfined"),
    *("--cap-add", "ALL", "--cap-drop", "SYS_RESOURCE", "--device-cgroup-rule", "a *:* rwm"),
    *("--tmpfs", "/run", "--tmpfs", "/run/lock"),
)
NESTED = "/var/lib/docker"
# Written last into a template: without it, the template was cut short.
COMPLETE = ".sandbox-complete"


def mirror() -> str:
    """Where Debian comes from."""
    return os.environ.get("OPSTASKS_SANDBOX_MIRROR", "http://deb.debian.org/debian")


def digest(*parts: str | bytes) -> str:
    """A short name for exactly this content."""
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
    """The image that hosts run: Debian, accounts, repositories."""
    names = ("init", "finish-image.sh", "gitconfig", "nested-images.sh")
    study = sorted(path for path in (FILES / "study").rglob("*") if path.is_file())
    content = [(FILES / name).read_bytes() for name in names]
    content += [part for path in study for part in (path.name.encode(), path.read_bytes())]
    recipe = Path(releases.__file__).read_bytes()
    return f"opstasks-sandbox-host:{digest(base_tag(), recipe, *content)}"


def template_name() -> str:
    """The volume that every host's nested Docker starts from."""
    script = (FILES / "nested-images.sh").read_bytes()
    return f"opstasks-sandbox-template-{digest(base_tag(), script)}"


def ensure(report: Report) -> None:
    """Image and template, built where absent; one builder at a time."""
    if cached():
        return
    with locked(cache_lock()):
        ensure_tools(report)
        if not image_exists(host_tag()):
            build_host(report)
        if not template_exists():
            build_template(report)
        drop_old()


def cached() -> bool:
    """Whether both are there."""
    return image_exists(host_tag()) and template_exists()


def template_exists() -> bool:
    """Whether the volume is there; a copy out of it finds out whether it is whole."""
    return bool(inspect("volume", [template_name()]))


def build_host(report: Report) -> None:
    """Debian, and meanwhile the repositories; then the two together."""
    with tempfile.TemporaryDirectory() as work, ThreadPoolExecutor() as pool:
        repositories = pool.submit(releases.build, Path(work))
        if not image_exists(base_tag()):
            build_base(report)
        repositories.result()
        report("building the host image")
        finish(Path(work))


def build_base(report: Report) -> None:
    """Unpack Debian into a directory and import it as an image of one layer."""
    report(f"unpacking Debian {SUITE} from {mirror()}: about a minute, once")
    # /tmp may forbid device files, which Debian has.
    root = Path(tempfile.mkdtemp(prefix="opstasks-sandbox-", dir="/var/tmp"))
    include = f"--include={','.join(PACKAGES)}"
    try:
        options = ["--variant=minbase", "--merged-usr", include]
        run(as_root(["debootstrap", *options, SUITE, str(root), mirror()]))
        script = (FILES / "package-archive.sh").read_bytes()
        run(as_root(["chroot", str(root), "sh", "-s", *ARCHIVE]), stdin=script)
        label = f"LABEL {CACHE_LABEL}"
        pipe = 'tar --numeric-owner --xattrs -C "$1" -c . | docker import --change "$2" - "$3"'
        run(as_root(["sh", "-c", pipe, "sh", str(root), label, base_tag()]))
    finally:
        run(as_root(["rm", "-rf", "--one-file-system", str(root)]))


def finish(repositories: Path) -> None:
    """Run the finishing script in a container of the plain image and keep the result."""
    container = docker(
        *("create", "--label", BUILD_LABEL, "--network", "none", base_tag()),
        *("sh", "/sandbox/finish-image.sh"),
    )
    try:
        docker("cp", "-", f"{container}:/", stdin=image_files(repositories))
        docker("start", "--attach", container)
        docker("commit", "--change", 'CMD ["/usr/local/sbin/sandbox-init"]', container, host_tag())
    finally:
        try_docker("rm", "--force", container)


def image_files(repositories: Path) -> bytes:
    """What the finishing script needs, as a tar with everything under /sandbox."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in ("init", "finish-image.sh", "gitconfig", "nested-images.sh"):
            tar.add(FILES / name, f"sandbox/{name}")
        for repository in repositories.glob("*.git"):
            tar.add(repository, f"sandbox/git/{repository.name}")
    return buffer.getvalue()


def build_template(report: Report) -> None:
    """Start a host on an empty volume, make the nested images there, stop it cleanly."""
    report("making the images that jobs run in")
    volume = template_name()
    docker("volume", "create", "--label", CACHE_LABEL, volume)
    try:
        container = docker(
            *("run", "--detach", "--label", BUILD_LABEL, "--network", "none", *MACHINE),
            *("--volume", f"{volume}:{NESTED}", host_tag()),
        )
        try:
            fill_template(container)
        finally:
            try_docker("rm", "--force", container)
    except BaseException:
        try_docker("volume", "rm", "--force", volume)
        raise


def fill_template(container: str) -> None:
    """Build inside, then leave the nested Docker's files at rest."""
    deadline = time.monotonic() + 60
    while try_docker("exec", container, "docker", "version").returncode != 0:
        if time.monotonic() > deadline:
            raise SandboxError("Docker does not start inside a host", "does this kernel allow it?")
        time.sleep(0.3)
    docker("exec", container, "sandbox-nested-images")
    docker("exec", container, "systemctl", "stop", "docker.socket", "docker", "containerd")
    docker("exec", container, "touch", f"{NESTED}/{COMPLETE}")


def fill_volume(volume: str) -> None:
    """Copy the template into a host's own volume."""
    script = f"[ -e /from/{COMPLETE} ] && cp -a /from/. /to/"
    done = try_docker(
        *("run", "--rm", "--label", BUILD_LABEL, "--network", "none"),
        *("--cap-add", "ALL", "--cap-drop", "SYS_RESOURCE"),
        *("--volume", f"{template_name()}:/from:ro", "--volume", f"{volume}:/to"),
        *(host_tag(), "sh", "-c", script),
    )
    if done.returncode != 0:
        raise SandboxError(
            f"cannot copy the nested images: {done.stderr.strip() or 'the template is not whole'}",
            "inv sandbox.down --images, then up again",
        )


def drop_old() -> None:
    """Remove caches of earlier recipes, where no host runs from them."""
    current = {base_tag(), host_tag()}
    for image in inspect("image", set(labelled("image", CACHE_LABEL))):
        if not current & set(image["RepoTags"] or ()):
            try_docker("image", "rm", image["Id"])
    drop(volume for volume in labelled("volume", CACHE_LABEL) if volume != template_name())


def drop(volumes: Iterable[str]) -> None:
    """Remove volumes that nothing uses."""
    for volume in volumes:
        try_docker("volume", "rm", volume)


def remove_caches() -> list[str]:
    """Remove images and templates; what another instance still uses stays, and is returned."""
    leftover = build_leftovers()
    if leftover:
        try_docker("rm", "--force", *leftover)
    drop(labelled("volume", CACHE_LABEL))
    before: set[str] = set()
    # An image cannot go before those made from it: again, for as long as that helps.
    while (images := set(labelled("image", CACHE_LABEL))) != before:
        before = images
        for identity in images:
            try_docker("image", "rm", identity)
    return [*(name(item) for item in inspect("image", before)), *labelled("volume", CACHE_LABEL)]


def build_leftovers() -> list[str]:
    """Containers that a build left behind; hosts have its label, too, from their image."""
    found = inspect("container", labelled("container", BUILD_LABEL))
    return [item["Id"] for item in found if LABEL not in item["Config"]["Labels"]]


def name(item: dict[str, Any]) -> str:
    """What to call an image: its tag, or its id when the tag has moved on."""
    return str((item["RepoTags"] or [item["Id"]])[0])
