"""A host's records, jobs and flag for tests of what runs there, without systemd or docker."""

import contextlib
import fcntl
import os
import subprocess
from dataclasses import asdict

import pytest

from opstasks.maintenance.onhost import records, store
from opstasks.onhost.json_files import write_json

OLD, NEW = "20260101T000000-aaaaaa", "20260102T000000-bbbbbb"


def add_job(database, id, state, code):
    with database:
        database.execute("INSERT INTO job VALUES (?, 'w', 'a', ?, ?, 5)", (id, state, code))


def set_flag(database, value, when):
    with database:
        database.execute("DELETE FROM flags")
        database.execute("INSERT INTO flags VALUES ('paused', ?, ?)", (value, when))


def make_record(site, id=OLD, **words):
    """A record on the disk, as old as it says; by default scheduled in this boot."""
    base = {"id": id, "host": "h", "who": "a@b", "step": records.SCHEDULED, "timed": True}
    base |= {"boot_id": store.boot_id(), "due_there": "then"}
    item = records.ScheduledItem(**{**base, **words})
    write_json(store.item_path(site.lock_dir, id), asdict(item), 0o644)
    os.utime(store.item_path(site.lock_dir, id), (item.scheduled_at,) * 2)
    return item


def read_record(site, id=OLD):
    return store.read_item(site.lock_dir, id)


def outcomes(site):
    return {item.id: item.outcome for item in store.read_items(site.lock_dir)}


def request_of(site, **words):
    return {"site": asdict(site), **words}


def full_disk(*_, **__):
    raise OSError(28, "No space left on device")


@contextlib.contextmanager
def another_process():
    """While inside, another process has open what we have open, as a command of ours would."""
    child = subprocess.Popen(["sleep", "60"], close_fds=False)
    try:
        yield
    finally:
        child.kill()
        child.wait()


@contextlib.contextmanager
def locked(site):
    """While inside, another process of ours holds the host's lock."""
    with open(site.lock_file, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        os.set_inheritable(file.fileno(), True)
        with another_process():
            yield


def never(what):
    """A function that must not be called."""
    return lambda *_, **__: pytest.fail(what)
