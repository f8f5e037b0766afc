"""One instance of the sandbox: its state directory, its keys, and its label."""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from opstasks.sandbox.errors import SandboxError
from opstasks.sandbox.shell import run

LABEL = "opstasks.sandbox"
OURS = (
    "hosts.yaml",
    "ssh_config",
    "known_hosts",
    "many.yaml",
    "many_ssh_config",
    "many_known_hosts",
    "id_ed25519",
    "id_ed25519.pub",
    "sudo-password",
    "host-keys",
    "job-server",
    ".lock",
)


@dataclass(frozen=True)
class SandboxInstance:
    """The files of one instance, and the label on its containers, networks and volumes."""

    directory: Path

    @property
    def id(self) -> str:
        """A short name that no other state directory on this machine has."""
        return hashlib.sha256(str(self.directory).encode()).hexdigest()[:8]

    @property
    def label(self) -> str:
        """The label of every container, network and volume of this instance, as a filter."""
        return f"{LABEL}={self.id}"

    @property
    def labels(self) -> dict[str, str]:
        """The label for a new container, network or volume."""
        return {LABEL: self.id}

    @property
    def identity(self) -> Path:
        """The private key for SSH to every host of this instance."""
        return self.directory / "id_ed25519"

    @property
    def job_server(self) -> Path:
        """What the stub job-server serves and records."""
        return self.directory / "job-server"

    def named(self, name: str) -> str:
        """The engine's name for a container, network or volume of ours."""
        return f"opstasks-{self.id}-{name}"


def current() -> SandboxInstance:
    """The instance that the environment names, else this checkout's own."""
    chosen = os.environ.get("OPSTASKS_SANDBOX_DIR")
    return SandboxInstance(Path(chosen or project_root() / ".sandbox").resolve())


def project_root() -> Path:
    """The checkout of this code; for an installed package, the working directory."""
    root = Path(__file__).resolve().parents[2]
    return root if (root / "pyproject.toml").exists() else Path.cwd()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file; the lock ends with this process."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        reason = f"cannot write {path}: {error.strerror}"
        raise SandboxError(reason, "set OPSTASKS_SANDBOX_DIR to a directory of yours") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def cache_lock() -> Path:
    """A lock file for all instances of this user, because images and templates are shared."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "opstasks" / "sandbox.lock"


def prepare(here: SandboxInstance) -> None:
    """Make the directory, the SSH key and the sudo password, if missing."""
    here.directory.mkdir(parents=True, exist_ok=True)
    here.directory.chmod(0o700)
    for directory in (here.job_server, here.directory / "host-keys"):
        directory.mkdir(exist_ok=True)
    if not here.identity.exists():
        make_key(here.identity, f"opstasks-sandbox-{here.id}")
    password = here.directory / "sudo-password"
    if not password.exists():
        write(password, secrets.token_urlsafe(12) + "\n")


def make_key(path: Path, comment: str) -> None:
    """An ed25519 key without passphrase; ssh-keygen writes it 0600."""
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)])


def host_key(here: SandboxInstance, name: str) -> Path:
    """A host's private key, made at first use."""
    path = here.directory / "host-keys" / name
    if not path.exists():
        make_key(path, name)
    return path


def public_key(path: Path) -> str:
    """The public half of a key, without its comment; empty if the key does not exist."""
    try:
        return " ".join(path.with_suffix(".pub").read_text().split()[:2])
    except FileNotFoundError:
        return ""


def write(path: Path, text: str, mode: int = 0o600) -> None:
    """Replace a file in one step; others can read it only if `mode` allows it."""
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "w") as file:
        file.write(text)
    part.replace(path)


def clear(here: SandboxInstance) -> None:
    """Remove our files, and the directory if nothing else is in it."""
    for name in OURS:
        path = here.directory / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    if here.directory.is_dir() and not any(here.directory.iterdir()):
        here.directory.rmdir()
