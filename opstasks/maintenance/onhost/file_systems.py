"""Runs on the host: the file systems that must be mounted again after a reboot."""

from pathlib import Path

from opstasks.onhost.mounts import plain

# The source of a real file system begins so; that of a network file system has a colon.
_REAL = ("/dev/", "//")
# Temporary mounts: each version of a snap has its own mount.
_PASSING = ("/run/", "/snap/", "/var/lib/docker/", "/etc/", "/proc/", "/sys/")


def lasting_mounts() -> list[str]:
    """Where file systems are mounted now, without temporary ones."""
    # A name that is not UTF-8 must be the same here, in fstab and after the boot.
    text = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="surrogateescape")
    rows = (line.split() for line in text.split("\n") if line)
    return sorted(
        {
            plain(row[1])
            for row in rows
            if (row[0].startswith(_REAL) or ":" in row[0]) and not row[1].startswith(_PASSING)
        }
    )


def boot_mounts(text: str) -> list[str]:
    """Where an fstab mounts file systems at boot."""
    rows = (line.split() for line in text.split("\n") if not line.lstrip().startswith("#"))
    return sorted(
        plain(row[1])
        for row in rows
        if len(row) >= 4 and row[1].startswith("/") and "noauto" not in row[3].split(",")
    )
