"""Runs on the host, as the service account: change keys in the local file."""

from opstasks.config.onhost.files import check_unchanged, replace_file
from opstasks.config.onhost.proposal import proposal
from opstasks.onhost.protocol import Answer, Request


def main(request: Request) -> Answer:
    """Make the change, if the file still has the `stamp` that it had when it was inspected."""
    local, new = proposal(request)
    if new == local.text:
        return {"changed": False}
    # The file was read before job-runner tried the new values, which may take a minute.
    check_unchanged(local, request["stamp"])
    replace_file(local, new)
    return {"changed": True}
