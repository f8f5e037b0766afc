"""A host's answers for the tests of the Level 3 sync."""

import hashlib

import msgspec

from opstasks.fleet.inventory import HostSpec
from opstasks.sync import units
from opstasks.sync.facts import SyncFacts

SPEC = HostSpec(name="tpp", address="tpp", level3_source="/e/FILES FOR%L4/workspaces")
_WELL = {
    "files": {p: hashlib.sha256(t.encode()).hexdigest() for p, t in units.files(SPEC).items()},
    "timer": {"active_state": "active", "unit_file_state": "enabled"},
    "service": {"load_state": "loaded", "active_state": "inactive", "result": "success"},
    "last": {"started_at": 10.0, "ended_at": 11.0},
    "last_success_at": 11.0,
    "by_hand": [],
    "now_at": 20.0,
}


def facts_with(**over):
    """The answer of a host with a healthy sync, except for these values."""
    return msgspec.convert({**_WELL, **over}, SyncFacts)


FACTS = facts_with()
