"""An error of the operating system names the place, and what is full."""

import errno
import json
import os
import sqlite3
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from opstasks.core.errors import ProgramFailed
from opstasks.core.result import Result
from opstasks.fleet.program import CAUSES
from opstasks.locks.break_lock import STOP
from opstasks.onhost import disk_errors
from opstasks.onhost.commands import failure
from opstasks.onhost.protocol import answer_to

MOUNTS = (
    "/dev/sda1 / ext4 rw,relatime 0 0\n"
    "/dev/sdb1 /srv/high\\040privacy ext4 rw 0 0\n"
    "/dev/sdc1 /old ext4 ro 0 0\n"
    "server:/x /nfs nfs rw 0 0\n"
    "proc /proc proc rw 0 0\n"
    "tmpfs /tmp tmpfs rw 0 0\n"
)


@pytest.fixture
def disks(monkeypatch):
    """The free blocks and files of each mount; others have some."""

    def make(**free):
        def statvfs(place):
            assert place != "/nfs", "a dead server would never answer"
            blocks, files = free.get(place.strip("/").replace(" ", "_") or "root", (9, 9))
            return SimpleNamespace(f_blocks=100, f_bavail=blocks, f_files=100, f_favail=files)

        monkeypatch.setattr(disk_errors.os, "statvfs", statvfs)
        monkeypatch.setattr(Path, "read_text", lambda self, **options: MOUNTS)

    return make


def write_to_a_full_disk(request):
    with open("/dev/full", "w", buffering=1) as file:
        file.write("x\n")


def test_a_full_disk_is_named_although_the_error_has_no_path(disks):
    disks(**{"srv/high_privacy": (0, 9), "tmp": (9, 0), "old": (0, 0)})
    answer = answer_to(write_to_a_full_disk, {})["failed"]
    assert answer["reason"] == "no space left on device (full: /srv/high privacy, /tmp)"
    assert answer["cause"] == "full"
    assert "test_disk_errors.py" in answer["traceback"]


@pytest.mark.parametrize(
    "number, text, cause",
    [
        (errno.ENOSPC, "no space left on device: /x/y", "full"),
        (errno.EDQUOT, "disk quota exceeded: /x/y", "full"),
        (errno.EROFS, "read-only file system: /x/y", "read-only"),
        (errno.EACCES, "permission denied: /x/y", ""),
    ],
)
def test_an_error_has_its_path_and_the_client_its_hint(disks, number, text, cause):
    disks()

    def main(request):
        raise OSError(number, os.strerror(number), "/x/y")

    answer = answer_to(main, {})
    assert (answer["failed"]["reason"], answer["failed"]["cause"]) == (text, cause)
    with pytest.raises(ProgramFailed) as caught:
        STOP.decode(Result("x", 0, json.dumps(answer), ""), "tpp")
    hint = CAUSES.get(cause, "inv -H tpp doctor")
    assert (caught.value.hint, caught.value.command) == (hint, "locks.stop")
    assert str(caught.value).startswith(f"tpp: {text}")


def test_a_path_in_an_error_keeps_its_capital_letters():
    """The errors of `safe_files` have their path in the text."""
    for error in (OSError("/E/X is a link"), OSError(errno.ENOTDIR, "/E/X is a link")):
        assert disk_errors.explained(error) == "/E/X is a link"


def test_the_words_of_a_host_are_never_a_hint():
    answer = {"failed": {"reason": "x", "cause": "rm -rf /"}}
    with pytest.raises(ProgramFailed) as caught:
        STOP.decode(Result("x", 0, json.dumps(answer), ""), "tpp")
    assert caught.value.hint == "inv -H tpp doctor"


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (sqlite3.OperationalError("database or disk is full"), "full"),
        (sqlite3.OperationalError("database is locked"), ""),
        (None, ""),
    ],
)
def test_a_disk_that_fills_under_sqlite_has_the_same_cause(error, cause):
    assert disk_errors.cause_of(error) == cause


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("fatal: unable to write file x: No space left on device", "full"),
        ("error: unable to create file x: Read-only file system", "read-only"),
        ("fatal: not a tree", ""),
    ],
)
def test_a_program_that_says_why_it_could_not_write_has_that_cause(text, cause):
    done = subprocess.CompletedProcess(("git",), 128, "", text)
    assert failure("it failed", done).cause == cause
