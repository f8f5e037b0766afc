"""Runs on the host, as the service account: some values, secrets included, for our own use.

This is the only program that lets a secret leave the host: `db.progress` logs in to the database
from the operator's machine.
"""

from opstasks.config.onhost.files import read_file, service_values
from opstasks.onhost.protocol import Answer, Request


def main(request: Request) -> Answer:
    """The service's values of the keys that are set: ``{"KEY": {"value": text}}``."""
    found = service_values(read_file(path).text for path in request["files"])
    return {"values": {key: {"value": found[key]} for key in request["keys"] if key in found}}
