"""The record of a removal: one JSON file on the host, one type on both sides."""

import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

from opstasks.onhost.json_files import write_json
from opstasks.onhost.limits import check

# "removing": from before the first change until the end. A removal that was interrupted, or of
# which a part was done, keeps this state. "failed": nothing was removed, neither here nor at the
# source. "removed": the file was, on this host.
State = Literal["removing", "removed", "failed"]
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
        """Whether it was interrupted, or waits for the partner's steps."""
        waits_for_partner = bool(self.partner_path) and self.attested is None
        return self.state == "removing" or (self.state == "removed" and waits_for_partner)


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
    """Every record, newest first; an invalid one is left out."""
    found = []
    for path in Path(folder).glob("*.json"):
        try:
            found.append(record_from(json.loads(path.read_text())))
        except (OSError, ValueError, TypeError, AttributeError):
            continue
    return sorted(found, key=lambda record: record.started_at, reverse=True)
