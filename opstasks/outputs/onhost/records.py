"""The record of a removal: one JSON file on the host, one type on both sides."""

import json
import os
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

from opstasks.onhost import safe_files
from opstasks.onhost.folder_rights import cause_of_error
from opstasks.onhost.json_files import is_copy, write_json
from opstasks.onhost.limits import MAX_LINE, check
from opstasks.onhost.protocol import HostRefusal, error_text

# "removing": from before the first change until the end. A removal that was interrupted, or of
# which a part was done, keeps this state. "failed": nothing was removed, neither here nor at the
# source. "removed": the file was, on this host. "unreadable": this is never stored; it stands for a
# file that is no record that we can read, and only `id` and `error` are known.
State = Literal["removing", "removed", "failed", "unreadable"]
# The outcome of the copy at the sync's source; empty if there was none.
SourceFate = Literal["", "removed", "kept"]


@dataclass(frozen=True)
class Attestation:
    """Who did the partner's steps, and who recorded that; `at` is in seconds since the epoch."""

    by: str
    recorded_by: str
    at: float
    note: str = ""

    def __post_init__(self) -> None:
        _check_types(self)
        check(self)


@dataclass(frozen=True)
class RemovalRecord:
    """One removal of one file. Times are seconds since the epoch by the host's clock, 0 for never.

    `partner_path` is a copy that a person must remove elsewhere, `attested` says who did.
    `returned`: a file has the name again; this is not stored.
    Raises ValueError or TypeError for invalid values.
    """

    id: str
    workspace: str
    file: str
    state: State = "removing"
    size_bytes: int = 0
    sha256: str = ""
    who: str = ""
    reason: str = ""
    started_at: float = 0.0
    removed_at: float = 0.0
    error: str = ""
    source: SourceFate = ""
    source_sha256: str = ""
    partner_path: str = ""
    attested: Attestation | None = None
    returned: bool = False

    def __post_init__(self) -> None:
        _check_types(self)
        check(self)
        if self.state not in get_args(State) or self.source not in get_args(SourceFate):
            raise ValueError("unknown state")

    @property
    def is_open(self) -> bool:
        """Whether it was interrupted, or waits for the partner's steps; unknown counts as open."""
        waits_for_partner = bool(self.partner_path) and self.attested is None
        return self.state in ("removing", "unreadable") or (
            self.state == "removed" and waits_for_partner
        )

    @property
    def is_readable(self) -> bool:
        """Whether its file could be read."""
        return self.state != "unreadable"

    def unreadable_text(self) -> str:
        """Why its file cannot be read, for people."""
        return f"the record of {self.id} cannot be read: {self.error}"


def _check_types(value: Any) -> None:
    for field in fields(value):
        kind = (int, float) if field.type is float else field.type
        if isinstance(field.type, type) and not isinstance(getattr(value, field.name), kind):  # type: ignore[arg-type]
            raise TypeError(f"{field.name} has a wrong type")


def record_from(values: dict[str, Any]) -> RemovalRecord:
    """The record in a JSON object; raises ValueError or TypeError for an invalid one."""
    known = {field.name for field in fields(RemovalRecord)} - {"returned"}
    record = RemovalRecord(**{key: value for key, value in values.items() if key in known})
    if record.attested is None:
        return record
    return replace(record, attested=Attestation(**values["attested"]))


def write_record(folder: str, record: RemovalRecord) -> None:
    """Write a record completely or not at all; raises OSError when it cannot be written."""
    path = Path(folder, f"{record.id}.json")
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    values = asdict(record)
    del values["returned"]
    write_json(path, values, 0o640)


def read_records(folder: str) -> list[RemovalRecord]:
    """Every record, newest first; for a file that cannot be read, one that says why.

    A person's copy of a record is none.
    Raises HostRefusal when the folder itself cannot be read.
    """
    try:
        names = [name for name in os.listdir(folder) if name.endswith(".json")]  # noqa: PTH208
    except FileNotFoundError:
        return []
    except OSError as error:
        text = f"the records of removals cannot be read: {error_text(error)}"
        raise HostRefusal(text, cause=cause_of_error(folder, error)) from error
    found = [_read(Path(folder, name)) for name in sorted(names)]
    return sorted(filter(None, found), key=lambda record: record.started_at, reverse=True)


def _read(path: Path) -> RemovalRecord | None:
    try:
        values = json.loads(safe_files.read(str(path)))
        if is_copy(path, values):
            return None
        record = record_from(values)
        if record.id != path.stem or not record.is_readable:
            raise ValueError("it has the name of another record")
    except OSError as error:
        error.filename = None  # the record is named anyway
        return _unreadable(path, error_text(error))
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        return _unreadable(path, f"it is not a record of this version ({error})")
    return record


def _unreadable(path: Path, why: str) -> RemovalRecord:
    return RemovalRecord(path.stem[:MAX_LINE], "", "", state="unreadable", error=why[:MAX_LINE])
