"""Waiting for a lock."""

import fcntl
import os
import threading
import time

import pytest

from opstasks.onhost.flock import lock_within


@pytest.fixture
def files(tmp_path):
    """The same file, opened twice."""
    opened = [os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT, 0o600) for _ in range(2)]
    yield opened
    for fd in opened:
        os.close(fd)


def test_a_free_lock_is_taken_at_once(files):
    assert lock_within(files[0], 0, 0.01)


def test_a_lock_that_stays_held_is_not_taken_in_time(files):
    fcntl.flock(files[0], fcntl.LOCK_EX)
    started_at = time.monotonic()
    assert not lock_within(files[1], 0.2, 0.05)
    assert 0.2 <= time.monotonic() - started_at < 2


def test_a_lock_that_becomes_free_is_taken(files):
    fcntl.flock(files[0], fcntl.LOCK_EX)
    timer = threading.Timer(0.1, lambda: fcntl.flock(files[0], fcntl.LOCK_UN))
    timer.start()
    assert lock_within(files[1], 10, 0.02)
    timer.join()
