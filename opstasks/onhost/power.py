"""Runs on the host: whether it is going down, which is why other things fail there."""

import subprocess
from pathlib import Path

# systemd writes it when a shutdown begins, and a person may write it for another reason.
NOLOGIN = Path("/run/nologin")
WORDS = "going down"
TIMEOUT_S = 5.0


def is_going_down() -> bool:
    """Whether a shutdown or a reboot has begun."""
    try:
        if WORDS in NOLOGIN.read_text(encoding="utf-8", errors="replace"):
            return True
    except OSError:
        pass  # as on a host that stays up
    try:
        done = subprocess.run(
            ("systemctl", "is-system-running"),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            close_fds=False,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.stdout.strip() == "stopping"


def with_shutdown(reason: str) -> str:
    """A reason for a failure; it also says that the host is going down, if it is."""
    return f"{reason} (the host is going down)" if is_going_down() else reason
