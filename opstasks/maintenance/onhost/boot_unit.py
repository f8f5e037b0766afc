"""Runs on the host: our unit that runs once at the next boot."""

from pathlib import Path

from opstasks.maintenance.onhost.install import remove_script
from opstasks.maintenance.onhost.records import BOOT_ID
from opstasks.maintenance.onhost.site import Site
from opstasks.maintenance.onhost.units import SYSTEMCTL
from opstasks.onhost.commands import call, required

BOOT_UNIT = "opstasks-boot.service"
UNIT_DIR = "/etc/systemd/system"
# It may wait for the lock and for job-runner's command; a boot must not wait for it forever.
LIMIT_S = 1800


def add_boot_unit(site: Site, command: list[str]) -> None:
    """Make the next boot run a command; unlike a timer, the unit survives a reboot."""
    text = (
        "[Unit]\n"
        "Description=opstasks: end the pause of a reboot\n"
        f"After=docker.service {site.unit}.service\n\n"
        f"[Service]\nType=oneshot\nTimeoutStartSec={LIMIT_S}\n"
        f"ExecStart={' '.join(command)}\n\n"
        "[Install]\nWantedBy=multi-user.target\n"
    )
    path = Path(UNIT_DIR, BOOT_UNIT)
    if not path.exists() or path.read_text() != text:
        new = path.with_suffix(".new")
        new.write_text(text)
        new.chmod(0o644)
        new.replace(path)
    required("cannot enable the boot unit", SYSTEMCTL, "enable", "--quiet", BOOT_UNIT, timeout=60)


def remove_boot_unit(site: Site) -> None:
    """Remove the unit: the next boot has nothing to do."""
    call(SYSTEMCTL, "disable", "--quiet", BOOT_UNIT, timeout=60)
    Path(UNIT_DIR, BOOT_UNIT).unlink(missing_ok=True)
    remove_script(site, BOOT_ID)
