"""Actions on files of the tests' own account."""

import grp
import os
import pwd
import stat
from pathlib import Path

import pytest

from opstasks.manage.onhost import file_facts

ME = pwd.getpwuid(os.geteuid()).pw_name
MINE = grp.getgrgid(os.getegid()).gr_name
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give files away")


def mode_of(path):
    return stat.S_IMODE(path.lstat().st_mode)


def kept_in(path):
    """The folder for the old contents of files: beside the test's own folder."""
    return f"{path.parent}-kept"


def kept(path):
    """The old contents of a file that is not kept beside it, the oldest first."""
    place = Path(kept_in(path) + str(path))
    return [copy.read_text() for copy in sorted(place.parent.glob(f"{place.name}.bak-*"))]


def file_action(path, content="new\n", **more):
    """Write a file; its present state is the one that was shown."""
    action = {"do": "file", "path": str(path), "owner": ME, "group": MINE, "mode": "0640"}
    action |= {"replaces": file_facts.state(str(path)), "kept_in": kept_in(path)}
    rest = {"content": content, "backup": False, "check": [], "verify": [], "reload": ""}
    return action | rest | more
