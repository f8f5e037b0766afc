"""The output of plain commands of a host: a sane one for each kind, and nonsense of this form."""

import json

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


def _entries(dice):
    """Lines of JSON with nonsense in their values."""
    lines = []
    for _ in range(dice.randint(0, 3)):
        entry = dict(dice.choice((ENTRY, OWNER, DISK)))
        key = dice.choice(list(entry))
        entry[key] = hostile.text(dice) if dice.random() < 0.5 else hostile.value(dice)
        lines.append(json.dumps(entry))
    return dice.choice(("\n", "\r\n", "\x85", "")).join(lines)


def _properties(dice):
    """Lines of key=value with nonsense in their values."""
    found = dict(UNIT)
    for _ in range(dice.randint(1, 3)):
        key = dice.choice(list(found)) if dice.random() < 0.5 else hostile.text(dice)
        found[key] = hostile.text(dice)
    return "\n".join(f"{key}={value}" for key, value in found.items())


def _word(dice):
    if dice.random() < 0.5:
        return hostile.text(dice)
    return dice.choice(("123", "7%", "/srv", "python", "PID COMMAND"))


def _rows(dice):
    """Rows of words and numbers, as df, wc, ps and docker top print them."""
    rows = range(dice.randint(0, 4))
    return "\n".join(" ".join(_word(dice) for _ in range(dice.randint(1, 4))) for _ in rows)


def hostile_reply(dice):
    """What a hostile host prints for any plain command."""
    code = dice.choice((0, 0, 0, 0, 1, 2, 75, 124, 137, 255))
    out = dice.choice((_entries, _properties, _rows, hostile.raw))(dice)
    return Reply(code, out, "" if dice.random() < 0.5 else hostile.raw(dice))
