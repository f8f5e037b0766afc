"""Runs on the host, as the service account: check a change of the local file, without writing."""

from opstasks.config.onhost.proposal import proposal
from opstasks.onhost.protocol import Answer, Request


def main(request: Request) -> Answer:
    """Whether the file would change; raises HostRefusal when the change must not be made."""
    local, new = proposal(request)
    return {"changed": new != local.text}
