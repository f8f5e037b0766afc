"""Runs on the host as root: install the sync's files, and start and stop its units.

Everything is checked before anything is installed. It may be repeated: it changes only what
differs.
"""

import os
import shutil
import tempfile
from pathlib import Path

from opstasks.onhost.backups import keep_replaced
from opstasks.onhost.commands import call, required, said
from opstasks.onhost.protocol import Answer, HostFailure, Request, error_text
from opstasks.onhost.safe_files import read

# A stop waits for a run that is copying.
SYSTEMCTL_TIMEOUT_S = 240.0


def systemctl(*args: str) -> str:
    """Run systemctl; raises HostFailure when it fails."""
    return required(
        f"systemctl {' '.join(args)} failed", "systemctl", *args, timeout=SYSTEMCTL_TIMEOUT_S
    )


def show(unit: str, name: str) -> str:
    """One property of a unit."""
    return systemctl("show", unit, f"--property={name}", "--value")


def validate(files: dict[str, str]) -> None:
    """Check scripts and units before anything is touched; raises HostFailure."""
    with tempfile.TemporaryDirectory(prefix="opstasks-") as folder:
        units = []
        for path, text in files.items():
            name = Path(path).name
            if not name.endswith((".service", ".timer")):
                check_script(path, text)
                continue
            staged = Path(folder, name)
            staged.write_text(text)
            units.append(str(staged))
        if units and shutil.which("systemd-analyze"):
            done = call("systemd-analyze", "verify", "--man=no", *units, timeout=60)
            if done.returncode:
                raise HostFailure("systemd does not accept the units", "\n".join(said(done)[-12:]))


def check_script(path: str, text: str) -> None:
    """Raise HostFailure for a script that does not compile."""
    try:
        compile(text, path, "exec")
    except (SyntaxError, ValueError) as error:
        raise HostFailure(f"{path} does not compile: {error}") from error


def differs(path: str, text: str) -> bool:
    """Whether a file differs in text, owner or mode."""
    try:
        info = Path(path).lstat()
        good = info.st_uid == 0 and info.st_mode & 0o7777 == 0o644
        return not good or read(path) != text.encode()
    except OSError:
        return True


def put(path: str, text: str) -> None:
    """Write a file beside its place and rename it there."""
    folder = Path(path).parent
    folder.mkdir(mode=0o755, exist_ok=True)
    handle, staged = tempfile.mkstemp(prefix=f".{Path(path).name}.", dir=folder)
    try:
        with os.fdopen(handle, "w") as stream:
            stream.write(text)
            stream.flush()
            os.fchmod(stream.fileno(), 0o644)
            os.fsync(stream.fileno())
        Path(staged).replace(path)
    finally:
        Path(staged).unlink(missing_ok=True)


def place(request: Request) -> bool:
    """Set up files and units; returns whether anything was changed."""
    wrong = {path: text for path, text in request["files"].items() if differs(path, text)}
    if wrong:
        validate(request["files"])
    for path in wrong:  # all of them first: one that cannot be kept stays, and so do the others
        keep_replaced(path, request["kept_in"])
    changed = bool(wrong)
    for unit in request["disable"]:
        changed |= take_down(unit)
    for path, text in wrong.items():
        put(path, text)
    if changed:
        systemctl("daemon-reload")
    for unit in request["enable"]:
        changed |= bring_up(unit, again=bool(wrong) or request["restart"])
    return changed


def take_down(unit: str) -> bool:
    """Stop and disable a unit; returns whether it was up or enabled."""
    if show(unit, "LoadState") != "loaded":
        return False
    up = show(unit, "ActiveState") not in ("inactive", "failed")
    enabled = show(unit, "UnitFileState") == "enabled"
    if up:
        systemctl("stop", unit)
    if enabled:
        systemctl("disable", "--quiet", unit)
    return up or enabled


def bring_up(unit: str, *, again: bool) -> bool:
    """Start a unit now and at every boot; `again` restarts a unit that is already up."""
    enabled = show(unit, "UnitFileState") == "enabled"
    up = show(unit, "ActiveState") == "active"
    if not enabled:
        systemctl("enable", "--quiet", unit)
    if again or not up:
        systemctl("restart", unit)
    return again or not up or not enabled


def main(request: Request) -> Answer:
    """Carry out the request; answers whether anything was changed."""
    os.umask(0o022)
    try:
        return {"changed": place(request)}
    except OSError as error:
        raise HostFailure(error_text(error)) from error
