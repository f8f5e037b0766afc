"""Runs on the host: the environment of the running service."""

import re
import shutil
import subprocess
from pathlib import Path

_GROUP = re.compile(r"[a-z_][a-z0-9_-]*")


def service_environment(unit: str) -> dict[str, str] | None:
    """The variables of the service's process; None if they cannot be read or it is stopped."""
    return _environment(*_service_process(unit))


def _service_process(unit: str) -> tuple[int, str]:
    """The service's process id (0 when it is stopped) and its group."""
    done = subprocess.run(
        ["systemctl", "show", "--property=MainPID,Group", "--", unit],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        close_fds=False,
        check=False,
    )
    found = dict(line.split("=", 1) for line in done.stdout.split("\n") if "=" in line)
    pid = found.get("MainPID", "")
    return int(pid) if pid.isascii() and pid.isdigit() else 0, found.get("Group", "")


def _environment(pid: int, group: str) -> dict[str, str] | None:
    if not pid:
        return None
    place = Path(f"/proc/{pid}/environ")
    try:
        data = place.read_bytes()
    except OSError:
        # The kernel also requires the same group, and ours differs.
        if not _GROUP.fullmatch(group) or not shutil.which("sg"):
            return None
        done = subprocess.run(
            ["sg", group, "-c", f"cat {place}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            close_fds=False,
            check=False,
        )
        data = done.stdout
    pairs = (item.partition("=") for item in data.decode("utf-8", "surrogateescape").split("\0"))
    return {key: value for key, _, value in pairs if key} or None
