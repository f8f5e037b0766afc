"""A sandbox host with a Windows drive: a file system of its own on /e."""

import contextlib

import yaml

SOURCE = "/e/FILESFORL4/workspaces"
TARGET = "/srv/medium_privacy/workspaces"
LEVEL4 = "D:\\Level4Files\\workspaces"
HOME = "/home/opensafely/opstasks"


def inventory_with_source(sandbox_dir, path):
    """The sandbox's inventory; its first host has a Level 3 source and a Level 4 folder."""
    found = yaml.safe_load((sandbox_dir / "hosts.yaml").read_text())
    found["hosts"]["sandbox-1"].update(level3_source=SOURCE, level4_folder=LEVEL4)
    path.write_text(yaml.safe_dump(found))
    return path


def mount(here):
    """Mount the drive, empty except for the workspaces."""
    here.sh("mkdir -p /e; mountpoint -q /e || mount -t tmpfs -o mode=0755 tmpfs /e")
    here.sh(f"mkdir -p {SOURCE}; chmod 0777 {SOURCE}")


@contextlib.contextmanager
def drive(here):
    """Mount the drive; afterwards, remove it and everything that was copied."""
    clean(here)
    mount(here)
    try:
        yield
    finally:
        clean(here)


def clean(here):
    """Restore the host's earlier state."""
    units = "opstasks-level3-sync.timer opstasks-level3-sync.service"
    here.sh(f"systemctl disable --now {units} 2>/dev/null; true")
    here.sh("rm -rf /etc/systemd/system/opstasks-level3-sync.* /usr/local/lib/opstasks")
    here.sh("systemctl daemon-reload; systemctl reset-failed 'opstasks-level3-*' || true")
    here.sh("umount -l /e 2>/dev/null; true")
    here.sh(f"rm -rf {HOME}/level3-sync.* {HOME}/outputs")
    here.sh(f"rm -rf {TARGET}/l3-* /srv/medium_privacy/.opstasks-*")
