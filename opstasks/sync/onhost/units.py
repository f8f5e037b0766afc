"""Runs on the host as root: puts the sync's files in their places; starts and stops its units.

`main` gets a JSON request ``{files, enable, disable, again}`` and prints
``{ok, reason, changed}``. Everything is checked before anything is put in its place, and each
part may be repeated: it looks at what is already so.
"""

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from opstasks.onhost.commands import call, said

Asked = dict[str, Any]


class SetupError(Exception):
    """A part could not be done."""


def systemctl(*args: str) -> str:
    """Run systemctl, insisting on success."""
    done = call("systemctl", *args)
    if done.returncode:
        raise SetupError(f"systemctl {' '.join(args)}: " + " / ".join(said(done)[-4:]))
    return done.stdout.strip()


def show(unit: str, name: str) -> str:
    """One property of a unit."""
    return systemctl("show", unit, f"--property={name}", "--value")


def validate(files: dict[str, str]) -> None:
    """Compile scripts, and let systemd read units, before anything of the host is touched."""
    with tempfile.TemporaryDirectory(prefix="opstasks-") as folder:
        units = []
        for path, text in files.items():
            name = Path(path).name
            if not name.endswith((".service", ".timer")):
                compile(text, path, "exec")
                continue
            staged = Path(folder, name)
            staged.write_text(text)
            units.append(str(staged))
        if units and shutil.which("systemd-analyze"):
            done = call("systemd-analyze", "verify", "--man=no", *units)
            if done.returncode:
                raise SetupError("systemd does not accept the units: " + done.stderr.strip())


def differs(path: str, text: str) -> bool:
    """Whether a file is not exactly as wanted, of root and for root to write only."""
    try:
        info = Path(path).lstat()
        good = info.st_uid == 0 and info.st_mode & 0o7777 == 0o644
        return not good or Path(path).read_text() != text
    except (OSError, UnicodeDecodeError):
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


def place(asked: Asked) -> bool:
    """Bring files and units in line; whether anything had to be done."""
    wrong = {path: text for path, text in asked["files"].items() if differs(path, text)}
    if wrong:
        validate(asked["files"])
    changed = bool(wrong)
    for unit in asked["disable"]:
        changed |= take_down(unit)
    for path, text in wrong.items():
        put(path, text)
    if changed:
        systemctl("daemon-reload")
    for unit in asked["enable"]:
        changed |= bring_up(unit, again=bool(wrong) or asked["again"])
    return changed


def take_down(unit: str) -> bool:
    """Stop a unit and have it not start with the host; whether it was up or enabled."""
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
    """Have a unit started with the host and started now; `again` when its file is another one."""
    enabled = show(unit, "UnitFileState") == "enabled"
    up = show(unit, "ActiveState") == "active"
    if not enabled:
        systemctl("enable", "--quiet", unit)
    if again or not up:
        systemctl("restart", unit)
    return again or not up or not enabled


def main(request: str) -> None:
    """Do what is asked and say how far it went."""
    asked = json.loads(request)
    os.umask(0o022)
    answer: dict[str, Any] = {"ok": True, "reason": "", "changed": False}
    try:
        answer["changed"] = place(asked)
    except (SetupError, OSError, SyntaxError) as error:
        answer.update(ok=False, reason=str(error))
    print(json.dumps(answer))
