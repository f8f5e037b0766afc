"""Runs on the host, as the service account: change keys in the local file."""

from opstasks.config.onhost.files import replace_file
from opstasks.config.onhost.proposal import proposal
from opstasks.onhost.protocol import Answer, HostRefusal, Request


def main(request: Request) -> Answer:
    """Make the change, if the file still has the `stamp` that it had when it was inspected."""
    local, new = proposal(request)
    if new == local.text:
        return {"changed": False}
    if local.stamp != request["stamp"]:
        raise HostRefusal(f"{local.path.name} has changed since it was inspected")
    replace_file(local.path, new)
    return {"changed": True}
