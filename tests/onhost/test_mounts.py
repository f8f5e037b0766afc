"""Where things are mounted."""

import pytest

from opstasks.onhost import mounts

MOUNTINFO = """\
1 0 8:1 / / rw - ext4 /dev/sda1 rw
2 1 8:2 / /srv rw - ext4 /dev/sda2 rw
3 1 0:50 / /e rw - cifs //host/e rw
4 1 0:51 / /mnt/with\\040blank rw - cifs //host/f rw
"""
POINTS = mounts.mount_points(MOUNTINFO)


@pytest.mark.parametrize(
    ("path", "mount"),
    [
        ("/e/FILES/workspaces", "/e"),
        ("/e", "/e"),
        ("/else", "/"),
        ("/srv/medium", "/srv"),
        ("/mnt/with blank/x", "/mnt/with blank"),
    ],
)
def test_the_mount_of_a_path(path, mount):
    assert mounts.mount_of(path, POINTS) == mount


def test_every_mount_of_this_machine_is_read():
    assert "/" in mounts.mounted()
