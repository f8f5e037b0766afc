"""Runs on the host, as the service account: every removal, newest first."""

from dataclasses import asdict, replace

from opstasks.onhost.folder_rights import refuse_closed
from opstasks.onhost.protocol import Answer, Request
from opstasks.outputs.onhost.facts import exists_at
from opstasks.outputs.onhost.records import RemovalRecord, read_records


def main(request: Request) -> Answer:
    """The records, each with whether the workspace has the file again.

    Raises HostRefusal when they cannot be read, or, if `to_write`, when no record can be written.
    """
    if request["to_write"]:
        refuse_closed(request["records"])

    def checked(record: RemovalRecord) -> RemovalRecord:
        if not record.is_readable:
            return record
        returned = exists_at(request["root"], record.workspace, record.file)
        return replace(record, returned=returned)

    return {"records": [asdict(checked(record)) for record in read_records(request["records"])]}
