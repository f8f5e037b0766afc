"""Around a change: the lock, and a line in the audit before and after it."""

import json

import pytest

from opstasks.core.command import cmd
from opstasks.core.errors import CommandFailed, Lost, Refused, Unreachable
from opstasks.fleet import audit
from opstasks.fleet.change import change
from opstasks.fleet.lock import Owner
from tests.fake_host import Reply


@pytest.fixture(autouse=True)
def audit_file(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return audit.local_path()


def entries(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_a_change_is_recorded_before_and_after(fake_host, audit_file):
    host = fake_host()
    host.expect_lock("deploy")
    with change(host.service, "deploy", {"ref": "main"}) as run_id:
        (begun,) = entries(audit_file)
        assert (begun["phase"], begun["args"], begun["run_id"]) == (
            "start",
            {"ref": "main"},
            run_id,
        )
    ended = entries(audit_file)[-1]
    assert (ended["phase"], ended["outcome"], ended["run_id"]) == ("end", "changed", run_id)


def test_a_host_that_is_being_changed_is_refused_without_a_record(fake_host, audit_file):
    host = fake_host()
    host.expect_lock("deploy", held_by=Owner("ada@laptop", "manage", "", "1"))
    said = "someone is changing it: ada@laptop, manage"
    with pytest.raises(Refused, match=said) as error, change(host.service, "deploy"):
        pass
    assert error.value.hint == "wait, or see who: inv -H tpp lock.show"
    assert entries(audit_file) == []


def test_a_failure_is_recorded_with_its_message(fake_host, audit_file):
    host = fake_host()
    host.expect_lock("deploy")
    host.expect(cmd("false"), Reply(1))
    with pytest.raises(CommandFailed), change(host.service, "deploy"):
        host.service.run(cmd("false"))
    ended = entries(audit_file)[-1]
    assert (ended["outcome"], ended["detail"]) == ("failed", "false failed with exit code 1")


def test_a_lost_connection_is_recorded_as_unknown(fake_host, audit_file):
    host = fake_host()
    host.expect_lock("deploy")
    host.expect(cmd("true"), Unreachable("connection lost"))
    said = "connection lost during a change"
    with pytest.raises(Lost, match=said), change(host.service, "deploy"):
        host.service.run(cmd("true"))
    assert entries(audit_file)[-1]["outcome"] == "unknown"
