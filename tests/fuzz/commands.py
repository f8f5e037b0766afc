"""The output of plain commands of a host: a sane one for each kind, and nonsense of this form."""

import json
from functools import cache

from hypothesis import strategies as st

from tests.fake_host import Reply
from tests.fuzz import hostile

ENTRY = {
    "run_id": "20270115T080000-abcdef",
    "host": "b",
    "task": "deploy",
    "phase": "end",
    "who": "alice@laptop",
    "time": "2027-01-15T08:00:00+00:00",
    "args": {"ref": "main"},
    "outcome": "changed",
}
OWNER = {"who": "alice@laptop", "task": "deploy", "since": ENTRY["time"], "run_id": ENTRY["run_id"]}
UNIT = {
    "LoadState": "loaded",
    "ActiveState": "active",
    "SubState": "running",
    "MainPID": "123",
    "NRestarts": "0",
    "UnitFileState": "enabled",
    "Result": "success",
    "StateChangeTimestamp": "Fri 2027-01-15 08:00:00 UTC",
}
DISK = {
    "Type": "Images",
    "TotalCount": "3",
    "Active": "1",
    "Size": "1.2GB",
    "Reclaimable": "0B (0%)",
}
# A word of the command line, and what the command prints on a sane host.
SANE = (
    ("systemctl show", "".join(f"{key}={value}\n" for key, value in UNIT.items())),
    ("--identifier=opstasks", json.dumps(ENTRY) + "\n"),
    ("journalctl", "2027-01-15T08:00:00.000000+0000 b jobrunner[1]: a line\n"),
    ("system df", json.dumps(DISK) + "\n"),
    ("df ", "Use% Mounted on\n 12% /\n  7% /srv\n"),
    ("describe", "v2.71.0\n"),
    ("lock", ""),
    ("docker top", "PID COMMAND\n123 python\n"),
    ("pgrep", "0\n"),
    ("is-system-running", "running\n"),
    ("is-active", "active\n"),
    ("id -u", "0\n"),
    ("boot_id", "8f4f3b1c-0000-4000-8000-000000000000\n"),
    ("wc ", "3 14\n"),
)


def sane(line):
    """What a sane host prints for a command line."""
    return next((text for word, text in SANE if word in line), "")


@st.composite
def _entries(draw):
    """Lines of JSON with nonsense in their values."""
    lines = []
    for _ in range(draw(st.integers(0, 3))):
        entry = dict(draw(st.sampled_from([ENTRY, OWNER, DISK])))
        key = draw(st.sampled_from(list(entry)))
        entry[key] = draw(hostile.texts() | hostile.values())
        lines.append(json.dumps(entry))
    return draw(st.sampled_from(["\n", "\r\n", "\x85", ""])).join(lines)


@st.composite
def _properties(draw):
    """Lines of key=value with nonsense in their values."""
    found = dict(UNIT)
    for _ in range(draw(st.integers(1, 3))):
        found[draw(st.sampled_from(list(found)) | hostile.texts())] = draw(hostile.texts())
    return "\n".join(f"{key}={value}" for key, value in found.items())


@st.composite
def _rows(draw):
    """Rows of words and numbers, as df, wc, ps and docker top print them."""
    words = hostile.texts() | st.sampled_from(["123", "7%", "/srv", "python", "PID COMMAND"])
    rows = draw(st.lists(st.lists(words, min_size=1, max_size=4).map(" ".join), max_size=4))
    return "\n".join(rows)


@cache
def replies():
    """What a hostile host prints for any plain command."""
    out = st.one_of(_entries(), _properties(), _rows(), hostile.raw())
    codes = st.sampled_from([0, 0, 0, 0, 1, 2, 75, 124, 137, 255])
    return st.builds(Reply, codes, out, st.just("") | hostile.raw())
