"""Kept connections: OpenSSH's own masters (ssh(1), -M), in a folder that only we may enter.

For each connection, named after everything that makes it, the folder has a lock file with the name
of the newest master. Each master has a socket of its own, so a process that began on one never
continues on another, and beside it a description (JSON) and ssh's log.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import random
import re
import secrets
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from opstasks.core.errors import OpsError, Refused, Unreachable
from opstasks.fleet.inventory import HostSpec
from opstasks.fleet.ssh import CONNECT_TRIES
from opstasks.fleet.ssh_arguments import SSHArguments, arguments, not_installed
from opstasks.fleet.ssh_errors import login_error, was_turned_away

# ssh appends 17 bytes to a socket's path while it makes it; the system's limit is 104 (macOS).
PATH_LIMIT_BYTES = 104 - 17 - len("/0123456789abcdef0123.01234567")
# How long a login may take beyond the connection itself.
LOGIN_S = 40.0
_PLAIN = re.compile(r"/[A-Za-z0-9_./+@-]*")


def folder() -> Path:
    """The private folder, made when it is missing; raises Refused for someone else's."""
    chosen = os.environ.get("XDG_RUNTIME_DIR", "")
    if _PLAIN.fullmatch(chosen) and len(chosen) < PATH_LIMIT_BYTES - len("/opstasks"):
        with contextlib.suppress(FileNotFoundError, PermissionError):
            return _private(Path(chosen) / "opstasks")
    return _private(Path(f"/tmp/opstasks-{os.geteuid()}"))  # noqa: S108 - checked below


def _private(path: Path) -> Path:
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
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
            hint="remove it if it is yours, or set XDG_RUNTIME_DIR; else remove keep_connection",
        )
    return path


@dataclass
class Master:
    """One kept connection; `name` is of everything that makes it, `user` the login account."""

    socket: Path
    name: str
    host: str = ""
    user: str = ""
    opened_at: float = 0.0
    is_new: bool = False
    is_own: bool = False  # of the person, not ours to end

    @property
    def log(self) -> Path:
        """What ssh says about this connection."""
        return Path(f"{self.socket}.log")

    @property
    def description(self) -> Path:
        """The file that describes it; its time of change is that of the last use."""
        return Path(f"{self.socket}.json")

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
        """Seconds since the other side last answered, by the clock on the wall."""
        try:
            return abs(time.time() - self.description.stat().st_mtime)
        except OSError:
            return float("inf")

    def note_use(self) -> None:
        """Record that the other side answered."""
        with contextlib.suppress(OSError):
            os.utime(self.description)

    def exit(self) -> bool:
        """End the connection, with everything that uses it; whether it was open."""
        was_open = self.accepts()
        if was_open:
            with contextlib.suppress(subprocess.TimeoutExpired):
                subprocess.run(
                    ["ssh", "-F", "none", "-S", str(self.socket), "-O", "exit", "--", "opstasks"],
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    timeout=10,
                    check=False,
                )
        self.forget()
        return was_open

    def forget(self) -> None:
        """Remove its files."""
        for path in (self.socket, self.log, self.description):
            path.unlink(missing_ok=True)


def open_master(spec: HostSpec, gateway: HostSpec | None) -> Master:
    """The connection that is kept for a host, made when there is none; raises OpsError."""
    where = folder()
    found = arguments(spec, gateway, where)
    newest = _newest(where, found)
    if newest:
        return newest
    with _locked(where / f"{found.name}.lock", spec.name):
        return _newest(where, found) or _start(where, found, spec)


def retire(master: Master) -> None:
    """Use this master for nothing new; others that use it are not disturbed, and it expires."""
    if not master.is_own:
        path = master.socket.parent / f"{master.name}.lock"
        with _locked(path, master.host):
            if path.read_text() == master.socket.name:
                path.write_text("")


def kept() -> list[Master]:
    """Every kept connection that is open; removes what others left behind."""
    found = []
    for path in sorted(folder().glob("*.json")):
        with contextlib.suppress(OSError, ValueError, TypeError):
            master = Master(socket=path.with_suffix(""), **json.loads(path.read_text()))
            if master.accepts():
                found.append(master)
            else:
                master.forget()
    return found


def _newest(where: Path, found: SSHArguments) -> Master | None:
    with contextlib.suppress(OSError, ValueError, TypeError):
        name = (where / f"{found.name}.lock").read_text()
        if name:
            text = (where / f"{name}.json").read_text()
            master = Master(socket=where / name, **json.loads(text))
            return master if master.accepts() else None
    return None


@contextlib.contextmanager
def _locked(path: Path, host: str) -> Iterator[None]:
    """Only one process at a time starts a master: the loser's would stay, unused."""
    deadline = time.monotonic() + LOGIN_S * 2
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Unreachable(
                        "another opstasks is still connecting", host=host, hint="try again"
                    ) from None
                time.sleep(0.02)
        yield


def _start(where: Path, found: SSHArguments, spec: HostSpec) -> Master:
    """Log in, and leave the connection in the background."""
    for old in where.glob(f"{found.name}.*.json"):
        stale = Master(socket=old.with_suffix(""), name=found.name)
        if not stale.accepts():
            stale.forget()
    for attempt in range(CONNECT_TRIES):
        token = secrets.token_hex(4)
        master = Master(where / f"{found.name}.{token}", found.name, spec.name, found.user)
        try:
            _log_in(master, found, spec)
        except OpsError as error:
            said = master.log.read_text("utf-8", "replace") if master.log.exists() else ""
            master.forget()
            if attempt + 1 < CONNECT_TRIES and was_turned_away(said):
                time.sleep(random.uniform(0.2, 0.6) * 2**attempt)  # noqa: S311
                continue
            raise error
        _describe(master)
        (where / f"{found.name}.lock").write_text(master.socket.name)
        return master
    raise AssertionError("unreachable")


def _log_in(master: Master, found: SSHArguments, spec: HostSpec) -> None:
    own = ["-M", "-N", "-f", "-S", str(master.socket), "-E", str(master.log)]
    own += ["-o", f"ControlPersist={spec.keep_connection_s}s"]
    code = _ssh([*own, *found.words, "--", found.address], master.log, spec)
    if not code and master.accepts():
        return
    said = master.log.read_text("utf-8", "replace")
    if "UNKNOWN port" in said:
        # ssh hides what a proxy says when it makes a master; so ask once more without one.
        _ssh(["-T", *found.words, "--", found.address, "true"], master.log, spec)
        said = master.log.read_text("utf-8", "replace")
    raise login_error(said, spec)


def _ssh(words: list[str], log: Path, spec: HostSpec) -> int:
    """Run ssh until it ends or is in the background; its exit code. Raises OpsError."""
    # ssh runs a gateway's command with this shell; ours is quoted for sh.
    env = {**os.environ, "SHELL": "/bin/sh"} if spec.gateway else None
    limit_s = spec.connect_timeout_s * 2 + LOGIN_S
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    # A file, not a pipe: some versions keep it open in the background.
    with os.fdopen(os.open(log, flags, 0o600), "ab") as err:
        no = subprocess.DEVNULL
        try:
            popen = subprocess.Popen(
                ["ssh", *words], stdin=no, stdout=no, stderr=err, env=env, start_new_session=True
            )
        except FileNotFoundError as error:
            raise not_installed(spec.name) from error
    try:
        return popen.wait(timeout=limit_s)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(popen.pid, signal.SIGKILL)
        popen.wait()
    raise Unreachable(
        f"no login within {limit_s:g} s", host=spec.name, hint="is the host overloaded?"
    )


def _describe(master: Master) -> None:
    master.opened_at, master.is_new = time.time(), True
    known = {"name": master.name, "host": master.host, "user": master.user}
    text = json.dumps({**known, "opened_at": master.opened_at})
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    with os.fdopen(os.open(master.description, flags, 0o600), "w") as file:
        file.write(text)
