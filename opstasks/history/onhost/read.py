"""Runs on the host as root: the audit lines of the journal that may be trusted.

Every account can write any text to the journal, also with our identifier. But journald itself
records the account of the writer (`_UID`; a writer cannot set a field that begins with an
underscore). A line counts if root or the service account wrote it, or an operator's account about
its own login. An operator's account is one that sudo allows to run anything as root: any other
account could fill the record with lines about itself.

Only lines that came through journald's own protocol are read (`_TRANSPORT=journal`), which we use.
A line from syslog() or a program's standard error may be root's, with a text that another account
chose.
"""

import contextlib
import json
import pwd
import subprocess
from collections.abc import Iterator
from typing import Any

from opstasks.onhost.commands import attempt

# The SSH login, as the writer's shell knows it, and as the kernel knows it. The second is better,
# but journald misses it if the writer ends too soon.
LOGIN, KERNEL_LOGIN = "OPSTASKS_LOGIN", "_AUDIT_LOGINUID"
TIME = "__REALTIME_TIMESTAMP"
FIELDS = ("MESSAGE", "_UID", LOGIN, KERNEL_LOGIN, TIME)
# We never write so many lines, or such long ones.
MOST_BYTES = 8 << 20
MOST_LINE_BYTES = 256 << 10
SUDO_TIMEOUT_S = 20.0


def journalctl(*words: str) -> Iterator[bytes]:
    """The lines that journalctl prints, up to MOST_BYTES; longer lines are left out."""
    left = MOST_BYTES
    with subprocess.Popen(
        ["journalctl", "--no-pager", "--quiet", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        close_fds=False,
    ) as process:
        assert process.stdout
        # No line end in the limit: journald splits a longer line into pieces without a writer.
        while left > 0 and (line := process.stdout.readline(MOST_LINE_BYTES)):
            left -= len(line)
            yield line
        process.kill()


def newest(request: dict[str, Any], *match: str) -> Iterator[dict[str, str]]:
    """The newest lines with our identifier that match, the newest first; text fields only."""
    since = [f"--since=@{request['since_at']:.0f}"] if request["since_at"] else []
    words = [f"--identifier={request['identifier']}", "--output=json", "--all", "--reverse"]
    fields = f"--output-fields={','.join(FIELDS)}"
    for line in journalctl(*words, fields, f"--lines={request['lines']}", *since, *match):
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if not (isinstance(found, dict) and isinstance(found.get("_UID"), str)):
            continue  # a piece of a longer line
        # A field with several values, or with control characters, is a list.
        yield {key: found[key] for key in FIELDS if isinstance(found.get(key), str)}


def name_of(uid: str) -> str:
    """The account with an id; "" if there is none now."""
    try:
        return pwd.getpwuid(int(uid)).pw_name
    except (KeyError, ValueError, OverflowError):
        return ""


def entry(line: dict[str, str], by: str) -> dict[str, Any]:
    """A line for the answer: its text, who wrote it, the SSH login, and when it came."""
    login = name_of(line.get(KERNEL_LOGIN, "")) or line.get(LOGIN, "")
    at = int(line.get(TIME, "0")) / 1e6
    return {"text": line.get("MESSAGE", ""), "by": by, "login": login, "at": at}


def others(trusted: set[str]) -> list[str]:
    """The ids of all other accounts that have written anything to the journal."""
    found = {line.decode("ascii", "replace").strip() for line in journalctl("--field=_UID")}
    return sorted(uid for uid in found - trusted if uid.isdigit())


def main(request: dict[str, Any]) -> dict[str, Any]:
    """The newest `lines` since `since_at` (0: any time) with `identifier`, oldest first.

    The request also has `service_user`. The answer has `entries`, those of root first, then those
    of the service account, and `ignored`, the number of lines of other accounts that were left out
    (at most `lines`). Each account's lines are read separately, so no account can hide the lines
    of another one by writing many. Of two lines about the same run, root's comes first.
    """
    writers = {"0": "root"}
    with contextlib.suppress(KeyError):  # on a host that was never set up
        writers[str(pwd.getpwnam(request["service_user"]).pw_uid)] = request["service_user"]
    trusted: list[dict[str, Any]] = []
    for uid, name in writers.items():
        lines = newest(request, "_TRANSPORT=journal", f"_UID={uid}")
        trusted += [entry(line, name) for line in lines][::-1]
    uids = others(set(writers))
    written = {name: own(request, uid, name) for uid in uids for name in [name_of(uid)]}
    operators = {name: lines for name, lines in written.items() if lines and is_operator(name)}
    found = sorted((line for lines in operators.values() for line in lines), key=lambda x: x["at"])
    return {"entries": trusted + found, "ignored": ignored(request, uids, set(operators))}


def own(request: dict[str, Any], uid: str, name: str) -> list[dict[str, Any]]:
    """What an account wrote about its own login, oldest first."""
    lines = newest(request, f"_UID={uid}", f"{LOGIN}={name}") if name else ()
    return [entry(line, name) for line in lines][::-1]


def is_operator(name: str) -> bool:
    """Whether sudo allows an account to run anything as root."""
    words = ("sudo", "-n", "-l", "-U", name, "--", "/bin/sh")
    return attempt(*words, timeout_s=SUDO_TIMEOUT_S).returncode == 0


def ignored(request: dict[str, Any], uids: list[str], operators: set[str]) -> int:
    """How many lines of these accounts do not count, at most `lines`."""
    lines = newest(request, *(f"_UID={uid}" for uid in uids)) if uids else ()
    names = ((name_of(line.get("_UID", "")), line.get(LOGIN)) for line in lines)
    return sum(name not in operators or name != login for name, login in names)
