"""The other tools' own environment, `.bench/`: pinned, from PyPI, never in our dependencies."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PLACE = ROOT / ".bench"
BIN = PLACE / "rivals" / "bin"
INV = Path(sys.executable).with_name("inv")
# ansible-core 2.19 is the newest for Python 3.11.
PINS = {
    "asyncssh": "2.24.1",
    "parallel-ssh": "2.16.0.post1",
    "fabric": "3.2.3",
    "pyinfra": "3.10.0",
    "ansible-core": "2.19.14",
    "ClusterShell": "1.10.1",
}


def install() -> dict[str, str]:
    """Install what is missing; returns why a package could not be installed."""
    if not (BIN / "python").exists():
        venv.create(BIN.parent, with_pip=True, clear=True)
    missing = [name for name in PINS if not is_installed(name)]
    if not missing or not pip(missing):
        return {}
    return {name: problem for name in missing if (problem := pip([name]))}


def is_installed(name: str) -> bool:
    """Whether the pinned version is there."""
    wanted = f"{name.replace('-', '_')}-{PINS[name]}.dist-info".lower()
    found = BIN.parent.glob("lib/python*/site-packages/*.dist-info")
    return wanted in {path.name.lower() for path in found}


def pip(names: list[str]) -> str:
    """Install packages; returns the last line of a failure."""
    options = ["install", "--quiet", "--disable-pip-version-check"]
    line = [str(BIN / "pip"), *options, *(f"{name}=={PINS[name]}" for name in names)]
    done = subprocess.run(line, check=False, capture_output=True, text=True)
    return (done.stderr.strip().splitlines() or ["pip failed"])[-1] if done.returncode else ""
