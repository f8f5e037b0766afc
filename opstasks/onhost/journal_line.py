"""Runs on the host: one line for the journal, with the account of the SSH login."""

import contextlib
import os
import pwd
import subprocess

from opstasks.onhost.commands import call

IDENTIFIER = "opstasks"


def login_account() -> str:
    """The account that logged in: sudo's caller, else our own account."""
    return os.environ.get("SUDO_USER") or pwd.getpwuid(os.getuid()).pw_name


def write_line(message: str, login: str) -> None:
    """Write one line as `opstasks.fleet.audit` does; never raises an error."""
    fields = {
        "MESSAGE": message,
        "SYSLOG_IDENTIFIER": IDENTIFIER,
        "PRIORITY": "6",
        "OPSTASKS_LOGIN": login,
    }
    # A line end in a value would start another field.
    lines = (f"{key}={value}".partition("\n")[0] for key, value in fields.items() if value)
    text = "".join(f"{line}\n" for line in lines)
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        call("logger", "--journald", input=text, timeout=20)
