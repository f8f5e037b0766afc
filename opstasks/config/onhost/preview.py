"""Runs on the host, as the service account: try a change of the local file, without writing."""

from opstasks.config.onhost.proposal import proposal
from opstasks.onhost.protocol import Answer, Request


def main(request: Request) -> Answer:
    """Whether the change would change the file; raises HostRefusal when it must not be made."""
    local, new = proposal(request)
    return {"changed": new != local.text}
