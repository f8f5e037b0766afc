"""How a host stands, in one round trip."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from opstasks.errors import OpsError
from opstasks.host import Host
from opstasks.manage.describe import Description
from opstasks.primitives import remote

Facts = dict[str, dict[str, Any]]


def sha256(text: str) -> str:
    """The hash by which contents are compared."""
    return hashlib.sha256(text.encode()).hexdigest()


def request(wanted: Description) -> dict[str, Any]:
    """What to ask the host about; of secret files only owner and mode, never the content."""
    paths = [(entry.path, "", False) for entry in wanted.directories]
    paths += [
        (file.path, sha256(wanted.contents[file.path]), not (file.secret or file.once))
        for file in wanted.files
    ]
    paths += [(entry.path, "", False) for entry in wanted.creations]
    return {
        "groups": [entry.name for entry in wanted.groups],
        "users": [entry.name for entry in wanted.users],
        "paths": paths,
        "checkouts": [entry.path for entry in wanted.checkouts],
        "units": [entry.name for entry in wanted.units],
    }


def gather(host: Host, wanted: Description) -> Facts:
    """Ask the host as root; raises Unreachable, Refused without sudo, OpsError."""
    result = host.root.run(remote.call(__package__, "remote_facts.py", request(wanted)))
    try:
        facts: Facts = json.loads(result.out)
    except ValueError:
        raise OpsError(
            "the host's answer makes no sense", host=host.name, tail=result.tail()
        ) from None
    return facts
