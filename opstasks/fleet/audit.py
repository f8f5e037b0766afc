"""Who did what, when: one structured line before and one after every change.

On the host in its journal (identifier ``opstasks``), and on the operator's machine in
``$XDG_STATE_HOME/opstasks/audit.jsonl``. `who` is what the client says about itself; the host adds
the account of the SSH login (``OPSTASKS_LOGIN``), and journald the account that wrote the line.

It never contains a secret: commands contain none, a task passes only what it would show on a
screen, and what people typed is masked.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import secrets
import shlex
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from opstasks.core.errors import OpsError
from opstasks.core.fields import Line, Text
from opstasks.fleet import private_files
from opstasks.fleet.state_folder import state_folder

IDENTIFIER = "opstasks"
JOURNAL_SOCKET = "/run/systemd/journal/socket"


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the audit: `phase` is "start" or "end", `time` ISO 8601 in UTC."""

    run_id: Line
    host: Line = ""
    task: Line
    phase: Literal["start", "end"]
    who: Line = ""
    time: Line
    args: dict[str, Text] = {}
    outcome: Line = ""
    detail: Text = ""


def new_run_id() -> str:
    """A short name for one run, unique and sortable by time."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


def now() -> str:
    """The time in the form of an audit line: runs of the same second stay in order."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def who() -> str:
    """The operator: account and machine."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


def start(host: str, task: str, args: Mapping[str, str], run_id: str = "") -> AuditEntry:
    """The line for the start of a change, now."""
    return AuditEntry(
        run_id=run_id or new_run_id(),
        host=host,
        task=task,
        phase="start",
        who=who(),
        time=now(),
        args={name: _shown(value) for name, value in args.items()},
    )


def end(begun: AuditEntry, outcome: str, detail: str = "") -> AuditEntry:
    """The line for the end of the change, now."""
    shown = _shown(detail)
    return msgspec.structs.replace(begun, phase="end", time=now(), outcome=outcome, detail=shown)


def _shown(text: str) -> str:
    """A text without secrets."""
    from opstasks.onhost.masking import masked  # only where something is recorded

    return masked(text)


@dataclass
class Ending:
    """The outcome of a change that does not fail; "ok" if there was nothing to do."""

    outcome: str = "changed"
    detail: str = ""


@contextlib.contextmanager
def ending(begun: AuditEntry, write: Callable[[AuditEntry], None]) -> Iterator[Ending]:
    """Write how a change ended, also when it fails or is interrupted."""
    ended = Ending()
    try:
        yield ended
    except OpsError as error:
        ended.outcome, ended.detail = error.outcome, error.message
        raise
    except BaseException as error:
        ended.outcome, ended.detail = "failed", type(error).__name__
        raise
    finally:
        write(end(begun, ended.outcome, ended.detail))


def line(entry: AuditEntry) -> str:
    """An entry as one line of JSON."""
    return json.dumps({k: v for k, v in msgspec.structs.asdict(entry).items() if v})


def journal_text(entry: AuditEntry) -> str:
    """Shell text that writes the entry to the host's journal; never fails the change itself."""
    return _to_journal(shlex.quote(line(entry)))


def begin_text(begun: AuditEntry) -> str:
    """Shell text that writes the start, for a change whose end `end_text` writes."""
    return f"S=$SECONDS; {journal_text(begun)}"


def end_text(begun: AuditEntry) -> str:
    """Shell text that writes the end of a single command, from its exit code in $r.

    The host writes it, so it is written even if the client is gone. The time is our start time plus
    the seconds since then, because the clocks may differ.
    """
    words = {"time": secrets.token_hex(8), "outcome": secrets.token_hex(8)}
    detail = secrets.token_hex(8)
    text = shlex.quote(line(msgspec.structs.replace(begun, phase="end", detail=detail, **words)))
    for name, word in (("T", words["time"]), ("O", words["outcome"]), ("D", detail)):
        text = text.replace(word, f"'\"${name}\"'")
    began = int(datetime.fromisoformat(begun.time).timestamp())
    return (
        'if [ $r = 0 ]; then O=ok D=; else O=failed D="exit code $r"; fi\n'
        f"TZ=UTC0 printf -v T '%(%Y-%m-%dT%H:%M:%S+00:00)T' $(({began} + SECONDS - S))\n"
        f"{_to_journal(text)}"
    )


def _to_journal(words: str) -> str:
    """Shell text that writes one line to the journal, with an identifier and the SSH login.

    sudo sets SUDO_USER; without sudo, the shell has the login's own account. `logger` is in every
    Debian, and its journal protocol has no limit of length. Without a journal, nothing is started.
    """
    fields = f"MESSAGE=%s\\nSYSLOG_IDENTIFIER={IDENTIFIER}\\nPRIORITY=6\\nOPSTASKS_LOGIN=%s\\n"
    return (
        f"{{ if [ -S {JOURNAL_SOCKET} ]; then"
        f" printf '{fields}' {words} \"${{SUDO_USER:-$(id -un)}}\" | logger --journald;"
        " fi >/dev/null 2>&1 || :; }"
    )


def local_path() -> Path:
    """The operator's own audit file."""
    return state_folder() / "audit.jsonl"


def write_local(entry: AuditEntry) -> None:
    """Append the entry to the operator's own file; a full disk does not stop the change."""
    with contextlib.suppress(OSError):
        handle = private_files.open_file(local_path(), os.O_WRONLY | os.O_APPEND)
        with os.fdopen(handle, "a") as file:
            file.write(line(entry) + "\n")
