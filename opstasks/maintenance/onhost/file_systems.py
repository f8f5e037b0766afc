"""Runs on the host: the file systems that must be mounted again after a reboot."""

from pathlib import Path

from opstasks.onhost.mounts import plain

# What a real file system is mounted from; a network file system has a colon in it instead.
_REAL = ("/dev/", "//")
# Mounts that come and go: each version of a snap is a mount of its own.
_PASSING = ("/run/", "/snap/", "/var/lib/docker/", "/etc/", "/proc/", "/sys/")


def lasting_mounts() -> list[str]:
    """Where file systems are mounted now, without those that come and go."""
    # A name that is not UTF-8 must be the same here, in fstab and after the boot.
    text = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="surrogateescape")
    rows = [line.split() for line in text.split("\n") if line]
    return sorted(
        {
            plain(row[1])
            for row in rows
            if (row[0].startswith(_REAL) or ":" in row[0]) and not row[1].startswith(_PASSING)
        }
    )


def boot_mounts(text: str) -> list[str]:
    """Where the text of an fstab mounts file systems at boot."""
    rows = [line.split() for line in text.splitlines() if not line.lstrip().startswith("#")]
    return sorted(
        plain(row[1])
        for row in rows
        if len(row) >= 4 and row[1].startswith("/") and "noauto" not in row[3].split(",")
    )
