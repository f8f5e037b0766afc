"""Who did what, when: one structured line before and one after every change.

On the host in its journal (identifier ``opstasks``), and on the operator's machine in
``$XDG_STATE_HOME/opstasks/audit.jsonl``. Secrets never get here: commands carry none, and a
task passes only what it would show on a screen.
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
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from opstasks.core.errors import OpsError

IDENTIFIER = "opstasks"


@dataclass(frozen=True)
class Entry:
    """One line of the audit: `phase` is "start" or "end", `time` ISO 8601 in UTC."""

    run_id: str
    host: str
    task: str
    phase: str
    who: str
    time: str
    args: dict[str, str] = field(default_factory=dict)
    outcome: str = ""
    detail: str = ""


def new_run_id() -> str:
    """A short name for one run, unique and sortable by time."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


def now() -> str:
    """The time as an audit line holds it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def who() -> str:
    """The operator: account and machine."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


def start(host: str, task: str, args: Mapping[str, str], run_id: str = "") -> Entry:
    """The line that says who begins what on a host, now."""
    return Entry(
        run_id=run_id or new_run_id(),
        host=host,
        task=task,
        phase="start",
        who=who(),
        time=now(),
        args=dict(args),
    )


def end(begun: Entry, outcome: str, detail: str = "") -> Entry:
    """The line that says how it ended, now."""
    return replace(begun, phase="end", time=now(), outcome=outcome, detail=detail)


@dataclass
class Ending:
    """How a change ends unless it fails; "ok" for one that found nothing to do."""

    outcome: str = "changed"
    detail: str = ""


@contextlib.contextmanager
def ending(begun: Entry, write: Callable[[Entry], None]) -> Iterator[Ending]:
    """Write how a change ended, whatever it comes to."""
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


def line(entry: Entry) -> str:
    """An entry as one line of JSON."""
    return json.dumps({k: v for k, v in asdict(entry).items() if v}, sort_keys=True)


def journal_text(entry: Entry) -> str:
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


def write_local(entry: Entry) -> None:
    """Append the entry to the operator's own file; a full disk is no reason to fail."""
    path = local_path()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(fd, "a") as file:
            file.write(line(entry) + "\n")
    except OSError:
        return
