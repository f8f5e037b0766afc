"""Runs on the host as root: packages, units, checkouts, probes; changes nothing."""

import time
from pathlib import Path

from opstasks.onhost.commands import attempt

TIMEOUT_S = 60.0
UNIT_PROPERTIES = {"UnitFileState": "file_state", "ActiveState": "active_state"}


def output(*args: str) -> str:
    """A command's output; empty when it cannot run or its exit code is above 1."""
    done = attempt(*args, timeout_s=TIMEOUT_S)
    return done.stdout if done.returncode in (0, 1) else ""


def packages(names: list[str]) -> dict[str, bool]:
    """Which of these packages are installed."""
    if not names:
        return {}
    form = "${Package} ${db:Status-Status}\n"
    words = [line.split() for line in output("dpkg-query", "-W", "-f", form, *names).split("\n")]
    there = {word[0] for word in words if word[1:] == ["installed"]}
    return {name: name in there for name in names}


def upgradable() -> list[str]:
    """Packages that have a newer version in the host's present lists."""
    lines = output("apt-get", "--simulate", "--quiet", "upgrade").split("\n")
    words = [line.split() for line in lines]
    return [word[1] for word in words if word[:1] == ["Inst"] and len(word) > 1]


def lists_age_s(place: str = "/var/lib/apt/lists") -> int:
    """The age of the package lists; very old for a host without any."""
    try:
        return max(0, int(time.time() - Path(place).stat().st_mtime))
    except OSError:
        return int(time.time())


def units(names: list[str]) -> dict[str, dict[str, str]]:
    """Whether units are known, enabled and running; one call for all."""
    if not names:
        return {}
    shown = f"--property={','.join(UNIT_PROPERTIES)}"
    return units_of(names, output("systemctl", "show", shown, "--", *names))


def units_of(names: list[str], text: str) -> dict[str, dict[str, str]]:
    """The units in systemctl's output, a block for each; "" for missing values."""
    blocks = text.strip().split("\n\n")
    if len(blocks) != len(names):
        blocks = [""] * len(names)
    found = {}
    for name, block in zip(names, blocks, strict=True):
        values = dict(line.partition("=")[::2] for line in block.split("\n"))
        found[name] = {ours: values.get(key, "") for key, ours in UNIT_PROPERTIES.items()}
    return found


def holds(test: list[str]) -> bool:
    """Whether a probe's command succeeds."""
    return attempt(*test, timeout_s=TIMEOUT_S).returncode == 0


def is_checkout(name: str) -> bool:
    """Whether a git checkout exists at a path."""
    return Path(name, ".git").exists()
