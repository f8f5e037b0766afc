"""Where an instance of the sandbox lives: one state directory, one instance."""

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
class State:
    """The files of one instance, and the label on its containers, networks and volumes."""

    directory: Path

    @property
    def instance(self) -> str:
        """A short name that no other state directory on this machine has."""
        return hashlib.sha256(str(self.directory).encode()).hexdigest()[:8]

    @property
    def label(self) -> str:
        """What every container, network and volume of this instance carries."""
        return f"{LABEL}={self.instance}"

    @property
    def identity(self) -> Path:
        """The private key that opens every host of this instance."""
        return self.directory / "id_ed25519"

    @property
    def job_server(self) -> Path:
        """What the stub job-server serves and records."""
        return self.directory / "job-server"

    def named(self, name: str) -> str:
        """The engine's name for a container, network or volume of ours."""
        return f"opstasks-{self.instance}-{name}"


def current() -> State:
    """The instance that the environment points at, else this checkout's own."""
    chosen = os.environ.get("OPSTASKS_SANDBOX_DIR")
    return State(Path(chosen or project_root() / ".sandbox").resolve())


def project_root() -> Path:
    """The checkout we are in; for an installed package, the working directory."""
    root = Path(__file__).resolve().parents[2]
    return root if (root / "pyproject.toml").exists() else Path.cwd()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Only one at a time; the lock goes with the process that holds it."""
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
    """One for all instances of this user: images and templates are shared."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "opstasks" / "sandbox.lock"


def prepare(state: State) -> None:
    """Make the directory, the SSH key and the sudo password, where absent."""
    state.directory.mkdir(parents=True, exist_ok=True)
    state.directory.chmod(0o700)
    for directory in (state.job_server, state.directory / "host-keys"):
        directory.mkdir(exist_ok=True)
    if not state.identity.exists():
        make_key(state.identity, f"opstasks-sandbox-{state.instance}")
    password = state.directory / "sudo-password"
    if not password.exists():
        write(password, secrets.token_urlsafe(12) + "\n")


def make_key(path: Path, comment: str) -> None:
    """An ed25519 key without passphrase; ssh-keygen writes it 0600."""
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)])


def host_key(state: State, name: str) -> Path:
    """A host's private key, made the first time it is asked for."""
    path = state.directory / "host-keys" / name
    if not path.exists():
        make_key(path, name)
    return path


def public_key(path: Path) -> str:
    """The public half of a key, without its comment; empty where there is none."""
    try:
        return " ".join(path.with_suffix(".pub").read_text().split()[:2])
    except FileNotFoundError:
        return ""


def write(path: Path, text: str, mode: int = 0o600) -> None:
    """Replace a file at once and whole, never readable by others in between."""
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "w") as file:
        file.write(text)
    part.replace(path)


def clear(state: State) -> None:
    """Remove what we wrote; the directory too when nothing of someone else's is in it."""
    for name in OURS:
        path = state.directory / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    if state.directory.is_dir() and not any(state.directory.iterdir()):
        state.directory.rmdir()
