"""Work done as the service account, and the host's lock."""

import contextlib
import fcntl
import json
import os
import signal
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest

from opstasks.maintenance.onhost import account as accounts
from opstasks.maintenance.onhost import lock as locking
from opstasks.maintenance.onhost import read
from opstasks.maintenance.onhost.account import account, as_service
from opstasks.maintenance.onhost.lock import lock
from opstasks.maintenance.onhost.records import pause_path
from opstasks.onhost.commands import call
from opstasks.onhost.protocol import HostFailure, HostRefusal, answer_to
from tests.maintenance.onhost_help import (
    another_process,
    full_disk,
    locked,
    make_record,
    request_of,
)


@pytest.mark.parametrize("kind", [HostRefusal, HostFailure])
def test_results_and_failures_of_the_service_account_are_returned(site, kind):
    assert as_service(site, lambda: {"a": [1, "x"]}) == {"a": [1, "x"]}

    def fail():
        raise kind("no", "because")

    with pytest.raises(kind, match="no") as caught:
        as_service(site, fail)
    assert caught.value.detail == "because"


def test_the_client_gets_the_cause_of_a_failure_of_the_service_account(site):
    def refuse():
        raise HostRefusal("no", cause="closed")

    with pytest.raises(HostRefusal) as caught:
        as_service(site, refuse)
    assert caught.value.cause == "closed"
    answer = answer_to(lambda request: as_service(site, full_disk), {})
    assert answer["failed"]["cause"] == "full"


only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@only_root
def test_work_of_the_service_account_is_not_done_as_root(site):
    other = replace(site, service_user="nobody")
    assert as_service(other, os.geteuid) != 0
    assert call("id", "-u", **account(other)).stdout.strip() != "0"
    assert os.geteuid() == 0


def test_a_host_without_the_service_account_is_a_failure(site):
    with pytest.raises(HostFailure, match="there is no account nobody-of-ours"):
        account(replace(site, service_user="nobody-of-ours"))


@only_root
def test_records_of_a_host_without_the_service_account_are_read(site):
    answer = read.main(request_of(replace(site, service_user="nobody-of-ours"), with_flag=True))
    assert (answer["flag_at"], answer["flag_error"]) == (0.0, "the database does not exist")


@only_root
def test_root_does_not_follow_a_link_in_place_of_the_note(site):
    with tempfile.TemporaryDirectory() as name:  # the test's own folder is closed to others
        folder = Path(name)
        folder.chmod(0o755)
        other = replace(site, service_user="nobody", state_dir=name)
        secret = folder / "secret.json"
        secret.write_text('{"why": "se3cret"}')
        pause_path(name).symlink_to(secret)
        notes = []
        for mode in (0o644, 0o600):
            secret.chmod(mode)
            notes.append(read.main(request_of(other, with_flag=False))["note"])
    assert notes == [None, None]


@only_root
def test_a_process_of_the_service_account_that_is_killed_is_a_failure(site):
    with pytest.raises(HostFailure, match="ended early"):
        as_service(site, lambda: os._exit(9))
    with pytest.raises(HostFailure, match="ValueError"):
        as_service(site, lambda: int("odd"))


# -- the lock --------------------------------------------------------------------------------


def test_the_lock_keeps_others_out_and_names_its_holder(site):
    item = make_record(site)
    with lock(site, item, 0):
        words = json.loads(Path(site.lock_file).read_text())
        assert (words["who"], words["task"]) == ("a@b", "prepare-reboot")
        with (
            another_process(),
            pytest.raises(HostRefusal, match="a@b, prepare-reboot"),
            lock(site, item, 0),
        ):
            pass
    assert Path(site.lock_file).read_text() == ""
    with lock(site, item, 0):
        pass


def test_the_lock_is_waited_for(site):
    item = make_record(site)
    with locked(site):
        started = time.monotonic()
        with pytest.raises(HostRefusal, match="unknown"), lock(site, item, 0.3):
            pass
        assert time.monotonic() - started >= 0.3


def test_a_command_that_outlives_the_work_holds_the_lock(site):
    """The work may be killed while job-runner's own command still runs."""
    item = make_record(site)
    with contextlib.ExitStack() as stack:
        with lock(site, item, 0):
            stack.enter_context(another_process())
        with pytest.raises(HostRefusal, match="someone is changing"), lock(site, item, 0):
            pass
    with lock(site, item, 0):
        pass


def test_on_a_full_disk_the_lock_works_without_its_text(site, monkeypatch):
    monkeypatch.setattr(locking.os, "pwrite", full_disk)
    with (
        lock(site, make_record(site), 0),
        Path(site.lock_file).open() as other,
        pytest.raises(BlockingIOError),
    ):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with lock(site, make_record(site), 0):
        pass


@only_root
@pytest.mark.parametrize(
    ("work", "why"),
    [
        (lambda: time.sleep(60), "did not end in time"),
        (lambda: os.kill(os.getpid(), signal.SIGSTOP), "did not end in time"),
        (lambda: "x" * (2 << 20), "answered too much"),
    ],
)
def test_work_of_the_service_account_has_limits(site, monkeypatch, work, why):
    monkeypatch.setattr(accounts, "MAX_ANSWER_BYTES", 1 << 20)
    began = time.monotonic()
    with pytest.raises(HostFailure, match=why):
        as_service(site, work, limit_s=1.0)
    assert time.monotonic() - began < 20
