"""Actions on files of the tests' own account."""

import grp
import os
import pwd
import stat

import pytest

ME = pwd.getpwuid(os.geteuid()).pw_name
MINE = grp.getgrgid(os.getegid()).gr_name
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give files away")


def mode_of(path):
    return stat.S_IMODE(path.lstat().st_mode)


def file_action(path, content="new\n", **more):
    action = {"do": "file", "path": str(path), "owner": ME, "group": MINE, "mode": "0640"}
    rest = {"content": content, "backup": False, "check": [], "verify": [], "reload": ""}
    return action | rest | more
