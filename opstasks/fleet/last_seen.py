"""What was last seen on the hosts, for the Tab key: ids of jobs, refs, images, keys.

One small file for each inventory under ``$XDG_STATE_HOME/opstasks/seen/``. It has names only, never
a value or the content of a file. Hosts say these names, so only plain ones are kept: no space, no
quote, no character that means something to a shell or a terminal.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Container, Iterable
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from opstasks.fleet import private_files
from opstasks.fleet.state_folder import inventory_key, state_folder

MOST_VALUES = 500  # of one kind, of all hosts together
MOST_AT_ONCE = 100  # of one kind and host, from one run
MOST_BYTES = 2 << 20
_REF = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,99}")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
# The values that are kept of each kind; any other value is dropped.
KINDS = {
    "images": re.compile(r"[a-z0-9][a-z0-9._-]{0,79}(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,79})?"),
    "jobs": re.compile(r"[a-z0-9]{4,64}"),
    "keys": re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}"),
    "lib_refs": _REF,
    "people": re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,79}"),
    "refs": _REF,
    "removals": _ID,
    "scheduled": _ID,
    "users": re.compile(r"[a-z_][a-z0-9_.-]{0,31}"),
    "workspaces": re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}"),
}
# A note is shown beside its value and never becomes part of a command.
_NOTE = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ,._/:+-]{0,79}")


class SeenValue(NamedTuple):
    """One value, the host that said it, and a few words about it, or ""."""

    value: str
    host: str = ""
    note: str = ""


_Entries = Annotated[list[SeenValue], Meta(max_length=MOST_VALUES)]


def path_of(inventory: Path | None) -> Path:
    """The file of an inventory on this machine."""
    return state_folder() / "seen" / f"{inventory_key(inventory)}.json"


def read(path: Path) -> dict[str, list[SeenValue]]:
    """The values of each kind, newest first; nothing from a file that is not usable."""
    try:
        found = msgspec.json.decode(
            private_files.read_own(path, MOST_BYTES), type=dict[str, _Entries]
        )
    except (OSError, ValueError):
        return {}
    return {kind: _plain(kind, entries) for kind, entries in found.items() if kind in KINDS}


def values(path: Path, kind: str, hosts: Container[str] | None) -> list[SeenValue]:
    """The values of one kind, each once, newest first; `hosts`: only those that these said."""
    found: dict[str, SeenValue] = {}
    for entry in read(path).get(kind, []):
        if hosts is None or entry.host in hosts:
            found.setdefault(entry.value, entry)
    return list(found.values())


class Sightings:
    """What one run sees; written once, at its end."""

    def __init__(self) -> None:
        self._found: dict[str, list[SeenValue]] = {}

    def add(self, kind: str, host: str, entries: Iterable[str | tuple[str, str]]) -> None:
        """Note values of a host, newest first, each alone or with a note."""
        notes: dict[str, str] = {}
        for entry in entries:
            value, note = entry if isinstance(entry, tuple) else (entry, "")
            notes.setdefault(value, note)
        seen = [SeenValue(value, host, note) for value, note in notes.items()]
        new = _plain(kind, seen)[:MOST_AT_ONCE]
        self._found[kind] = _newest([*new, *self._found.get(kind, [])])

    def write(self, inventory: Path | None) -> None:
        """Put the new values before those of earlier runs; if that fails, the earlier ones stay."""
        if not any(self._found.values()):
            return
        path = path_of(inventory)
        kept = read(path)
        for kind, entries in self._found.items():
            kept[kind] = _newest([*entries, *kept.get(kind, [])])
        with contextlib.suppress(OSError):
            private_files.replace(path, msgspec.json.encode(kept))


def _newest(entries: Iterable[SeenValue]) -> list[SeenValue]:
    """The first entry for each value and host, as many as are kept."""
    found: dict[tuple[str, str], SeenValue] = {}
    for entry in entries:
        found.setdefault((entry.value, entry.host), entry)
    return list(found.values())[:MOST_VALUES]


def _plain(kind: str, entries: Iterable[SeenValue]) -> list[SeenValue]:
    """The entries with a valid value; a note that is not plain is dropped."""
    return [
        entry if _NOTE.fullmatch(entry.note) else SeenValue(entry.value, entry.host)
        for entry in entries
        if KINDS[kind].fullmatch(entry.value)
    ]
