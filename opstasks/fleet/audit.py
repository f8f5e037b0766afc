"""Who did what, when: one structured line before and one after every change.

On the host in its journal (identifier ``opstasks``), and on the operator's machine in
``$XDG_STATE_HOME/opstasks/audit.jsonl``. It never contains a secret: commands contain none, and
a task passes only what it would show on a screen.
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

IDENTIFIER = "opstasks"


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
    """The time in the form of an audit line."""
    return datetime.now(UTC).isoformat(timespec="seconds")


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
        args=dict(args),
    )


def end(begun: AuditEntry, outcome: str, detail: str = "") -> AuditEntry:
    """The line for the end of the change, now."""
    return msgspec.structs.replace(begun, phase="end", time=now(), outcome=outcome, detail=detail)


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
    return json.dumps({k: v for k, v in msgspec.structs.asdict(entry).items() if v}, sort_keys=True)


def journal_text(entry: AuditEntry) -> str:
    """Shell text that writes the entry to the host's journal; never fails the change itself."""
    words = shlex.quote(line(entry))
    return (
        f"if command -v systemd-cat >/dev/null; then printf '%s\\n' {words}"
        f" | systemd-cat -t {IDENTIFIER} -p info || true; fi"
    )


def local_path() -> Path:
    """The operator's own audit file."""
    base = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(base).expanduser() / "opstasks" / "audit.jsonl"


def write_local(entry: AuditEntry) -> None:
    """Append the entry to the operator's own file; a full disk does not stop the change."""
    path = local_path()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(fd, "a") as file:
            file.write(line(entry) + "\n")
    except OSError:
        return
