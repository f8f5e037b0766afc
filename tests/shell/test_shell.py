"""`shell`: the record of a login shell."""

import json
import subprocess

import pytest

from opstasks.core.errors import Refused, Unreachable
from opstasks.core.result import Result
from opstasks.fleet import audit
from opstasks.shell.shell import CAN_START, recorded


@pytest.fixture(autouse=True)
def audit_file(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return audit.local_path()


def ends(path):
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    return [(entry["phase"], entry.get("outcome", "")) for entry in entries]


def test_a_shell_is_recorded_before_and_after(fake_host, audit_file):
    with recorded(fake_host(), "opensafely"):
        assert ends(audit_file) == [("start", "")]
    assert ends(audit_file) == [("start", ""), ("end", "ok")]


def test_a_lost_shell_is_recorded_with_its_outcome(fake_host, audit_file):
    with pytest.raises(Unreachable), recorded(fake_host(), "opensafely"):
        raise Unreachable("dropped at your request")
    assert ends(audit_file)[-1] == ("end", "unreachable")


def test_an_account_without_a_login_shell_is_refused_before_a_terminal(
    fake_host, audit_file, monkeypatch
):
    host = fake_host()
    answer = Result("", 1, "/usr/sbin/nologin", "")
    monkeypatch.setattr(host, "take_lock", lambda text: answer)
    said = "no login shell that can start: /usr/sbin/nologin"
    with pytest.raises(Refused, match=said) as caught, recorded(host, "www-data"):
        raise AssertionError
    assert caught.value.hint == "inv -H tpp run --user www-data -- COMMAND"
    assert ends(audit_file)[-1] == ("end", "refused")


@pytest.mark.parametrize(
    ("path", "can_start"),
    [
        ("/bin/bash", True),
        ("/bin/sh", True),
        ("/usr/sbin/nologin", False),
        ("/bin/false", False),
        ("/no/such/shell", False),
        ("", False),
    ],
)
def test_only_a_shell_that_exists_and_serves_people_can_start(path, can_start):
    done = subprocess.run(["bash", "-c", CAN_START], env={"SHELL": path}, capture_output=True)
    assert (done.returncode == 0, done.stdout.decode()) == (can_start, path)
