"""What was removed, and who did the partner's steps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

from opstasks.core.command import Command
from opstasks.core.errors import CommandFailed, Refused
from opstasks.fleet import audit
from opstasks.fleet import old_program as remote
from opstasks.fleet.change import change
from opstasks.fleet.host import Host
from opstasks.fleet.inventory import HostSpec


@dataclass(frozen=True)
class Attestation:
    """Who says that the partner's steps are done; `time` is ISO 8601 in UTC."""

    by: str
    recorded_by: str
    time: str
    note: str = ""


@dataclass(frozen=True)
class Record:
    """One removal; times are seconds since the epoch, by the host's clock.

    `state` is removing, removed or failed; `manual` is what a person must remove elsewhere.
    """

    id: str
    workspace: str
    file: str
    size: int = 0
    sha256: str = ""
    who: str = ""
    reason: str = ""
    time: float = 0.0
    removed: float = 0.0
    state: str = ""
    error: str = ""
    source: str = ""
    source_sha256: str = ""
    manual: str = ""
    attested: Attestation | None = None
    returned: bool = False

    @property
    def is_open(self) -> bool:
        """Whether it waits for somebody."""
        waits_for_steps = bool(self.manual) and self.attested is None
        return self.state == "removing" or (self.state == "removed" and waits_for_steps)


def read_command(spec: HostSpec) -> Command:
    """Print the records; read with `parse`."""
    return call(spec, "records")


def parse(answer: dict[str, Any]) -> tuple[Record, ...]:
    """The records in an answer, newest first."""
    known = {field.name for field in fields(Record)}
    found = []
    for values in answer["records"]:
        record = Record(**{key: value for key, value in values.items() if key in known})
        if values.get("attested"):
            words = {f.name: str(values["attested"].get(f.name, "")) for f in fields(Attestation)}
            record = Record(**{**record.__dict__, "attested": Attestation(**words)})
        found.append(record)
    return tuple(found)


def read(host: Host) -> tuple[Record, ...]:
    """Every removal of a host, newest first."""
    return parse(answer(host, read_command(host.spec)))


@dataclass(frozen=True)
class Attested:
    """Which removals were attested now."""

    changed: bool
    records: tuple[Record, ...]


def find(records: Iterable[Record], names: Iterable[str]) -> list[Record]:
    """The removals that ids, or the beginnings of ids, name; raises Refused for an unknown one."""
    records = list(records)
    found: dict[str, Record] = {}
    for name in names:
        matching = [r for r in records if r.id == name or r.id.startswith(f"{name}-")]
        if not matching:
            raise Refused(f"there is no removal {name!r}", hint="see them with `outputs.pending`")
        found.update({record.id: record for record in matching})
    return list(found.values())


def attest(host: Host, names: Iterable[str], by: str, note: str) -> Attested:
    """Record who did the partner's steps; attesting again changes nothing."""
    chosen = find(read(host), names)
    for record in chosen:
        if record.state != "removed":
            raise Refused(
                f"{record.id} is not removed yet ({record.state})",
                host=host.name,
                hint="run `outputs.rm` again first",
            )
    todo = [record for record in chosen if record.attested is None]
    if not todo:
        return Attested(False, tuple(chosen))
    words = {"by": by, "recorded_by": audit.who(), "time": audit.now(), "note": note}
    ids = [record.id for record in todo]
    args = {"ids": " ".join(ids), "by": by, **({"note": note} if note else {})}
    with change(host.service, "outputs.attest", args):
        answer(host, call(host.spec, "attest", ids=ids, attested=words).changing())
    return Attested(True, tuple(find(read(host), ids)))


# -- asking the host -------------------------------------------------------------------------


def call(spec: HostSpec, do: str, **asked: Any) -> Command:
    """A request to the host's side."""
    request = {
        "do": do,
        "root": f"{spec.medium_privacy}/workspaces",
        "records": f"{spec.state_dir}/outputs",
        "source": spec.level3_source,
        **asked,
    }
    return remote.call("opstasks.outputs.onhost.outputs", request)


def answer(host: Host, command: Command, *, hint: str = "nothing was removed") -> dict[str, Any]:
    """What the host's side answers; raises CommandFailed with its reason."""
    import json

    found: dict[str, Any] = json.loads(host.service.run(command).out)
    if "error" in found:
        root = f"{host.spec.medium_privacy}/workspaces"
        if found["error"].endswith(f"No such file or directory: '{root}'"):
            raise Refused(
                f"there is no folder {root}", host=host.name, hint=f"inv -H {host.name} manage"
            )
        raise CommandFailed(found["error"], returned=1, host=host.name, hint=hint)
    return found
