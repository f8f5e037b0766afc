"""Runs on the host, as the service account: record who did the partner's steps of removals."""

import time
from dataclasses import asdict, replace
from typing import Any

from opstasks.onhost.protocol import Answer, HostFailure, HostRefusal, Request, error_text
from opstasks.outputs.onhost.records import Attestation, read_records, write_record


def main(request: Request) -> Answer:
    """Attest the removals with these `ids`; those attested before stay unchanged.

    Raises HostRefusal, before any is attested, when one of them cannot be read.
    """
    attested = Attestation(
        by=request["by"],
        recorded_by=request["recorded_by"],
        at=time.time(),
        note=request["note"],
    )
    chosen = [record for record in read_records(request["records"]) if record.id in request["ids"]]
    for record in chosen:
        if not record.is_readable:
            raise HostRefusal(record.unreadable_text())
    changed: list[dict[str, Any]] = []
    for record in chosen:
        if record.attested is None:
            new = replace(record, attested=attested)
            try:
                write_record(request["records"], new)
            except OSError as error:
                part = f"attested: {', '.join(r['id'] for r in changed)}; " if changed else ""
                text = f"{part}{record.id} cannot be attested: {error_text(error)}"
                raise HostFailure(text) from error
            changed.append(asdict(new))
    return {"records": changed}
