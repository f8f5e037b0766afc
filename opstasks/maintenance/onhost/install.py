"""Runs on the host: a copy of the program that stays, for a timer or for the next boot."""

import shutil
from pathlib import Path
from typing import Any

from opstasks.maintenance.onhost.account import Site
from opstasks.maintenance.onhost.item import script_dir
from opstasks.maintenance.onhost.units import SYSTEMCTL
from opstasks.onhost.commands import call, must
from opstasks.onhost.json_files import write_json

PYTHON = "/usr/bin/python3"
BOOT_UNIT = "opstasks-boot.service"
UNIT_DIR = "/etc/systemd/system"
# What makes an installed copy run; the copy can install another one of itself.
INSTALLED_END = """

import sys
from pathlib import Path

if __name__ == "__main__":
    main(Path(sys.argv[1]).read_text(), Path(__file__).read_text().removesuffix(INSTALLED_END))
"""


def install(site: Site, id: str, script: str, request: dict[str, Any]) -> list[str]:
    """Put a copy of this program where only root reads it; returns the command line to run it."""
    folder = script_dir(site, id)
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.parent.chmod(0o700)
    folder.mkdir(mode=0o700, exist_ok=True)
    run = folder / "run.py"
    new = folder / "run.py.new"
    new.write_text(script.rstrip() + INSTALLED_END)
    new.chmod(0o700)
    new.replace(run)
    write_json(folder / "request.json", request, 0o600)
    return [PYTHON, "-I", str(run), str(folder / "request.json")]


def arm_boot(site: Site, script: str) -> None:
    """Have the next boot end the pause: a unit that stays, unlike a timer, over a reboot."""
    line = install(site, "boot", script, {"op": "boot", "site": site})
    text = (
        "[Unit]\n"
        "Description=opstasks: end the pause that a reboot needed\n"
        f"After=docker.service {site['unit']}.service\n\n"
        "[Service]\nType=oneshot\n"
        f"ExecStart={' '.join(line)}\n\n"
        "[Install]\nWantedBy=multi-user.target\n"
    )
    path = Path(UNIT_DIR, BOOT_UNIT)
    if not path.exists() or path.read_text() != text:
        new = path.with_suffix(".new")
        new.write_text(text)
        new.chmod(0o644)
        new.replace(path)
    must("cannot arrange for the boot", SYSTEMCTL, "enable", "--quiet", BOOT_UNIT, timeout=60)


def forget_boot(site: Site) -> None:
    """There is nothing more to do after a boot."""
    call(SYSTEMCTL, "disable", "--quiet", BOOT_UNIT, timeout=60)
    Path(UNIT_DIR, BOOT_UNIT).unlink(missing_ok=True)
    shutil.rmtree(script_dir(site, "boot"), ignore_errors=True)
