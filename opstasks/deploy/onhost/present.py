"""Runs on the host, as the service account: whether a deploy could work with what is there now.

The request is an `opstasks.deploy.present.PresentRequest`, the answer a `PresentFacts`. It changes
nothing.
"""

from opstasks.deploy.onhost.checkout_facts import present_facts
from opstasks.onhost.checkout_source import foreign
from opstasks.onhost.database_rights import not_writable
from opstasks.onhost.protocol import Answer, Request


def main(request: Request) -> Answer:
    """The facts."""
    paths = {name: request[f"{name}_dir"] for name in ("code", "lib")}
    return {
        "checkouts": {
            name: {**present_facts(path), "foreign": foreign(path, request["home"])}
            for name, path in paths.items()
        },
        "not_writable": not_writable(request["database"]),
    }
