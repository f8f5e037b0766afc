"""`shell`: the record of a login shell."""

import json

import pytest

from opstasks.core.errors import Unreachable
from opstasks.fleet import audit
from opstasks.shell.shell import recorded


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
