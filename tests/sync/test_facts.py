"""The state of the Level 3 sync of a host, and invalid answers."""

import hashlib
import json
import os

import msgspec
import pytest

from opstasks.core.errors import InvalidResponse, ProgramFailed
from opstasks.core.result import Result
from opstasks.fleet.inventory import HostSpec
from opstasks.sync import facts, units
from opstasks.sync.facts import SyncRecord
from opstasks.sync.onhost import inspect as remote_inspect
from tests.sync.sync_help import FACTS, SPEC, facts_with


def state(**over):
    return facts.state_of(SPEC, facts_with(**over))


def test_a_sync_that_is_well_needs_no_attention():
    assert state().attention() == []
    assert state().is_well
    assert state().success_age_s == 9.0


@pytest.mark.parametrize(
    ("age_s", "words"),
    [
        (-1, ""),
        (-units.EVERY_S, ""),
        (-units.EVERY_S - 1, "has not run since the host's clock was set back"),
        (-400 * 86400, "has not run since the host's clock was set back"),
        (facts.LATE_S, ""),
        (facts.LATE_S + 1, "has not run for 15m"),
    ],
)
def test_a_sync_that_stopped_is_late_whatever_the_clock_says(age_s, words):
    """A last success in the future has no age."""
    at = 1_800_000_000.0
    found = {"now_at": at, "last_success_at": at - age_s}
    texts = state(**found).attention()
    assert (len(texts), words in "".join(texts)) == (bool(words), True)
    assert state(**found).is_late == bool(words)
    running = {"load_state": "loaded", "active_state": "activating"}
    assert state(**found, service=running).attention() == []


OFF = {"active_state": "inactive"}
CASES = [
    ({"timer": OFF}, "is off: run"),
    ({"timer": {**OFF, "unit_file_state": "enabled"}}, "next boot will start it"),
    (
        {"timer": {"active_state": "active", "unit_file_state": "disabled"}},
        "not start after a reboot",
    ),
    ({"files": dict.fromkeys(FACTS.files, "x")}, "differs from hosts.yaml"),
    ({"last": {"error": "/e is not mounted"}}, "not mounted"),
    ({"now_at": 11.0 + 16 * 60}, "has not run for 16m"),
    ({"by_hand": [77]}, "by hand (process 77)"),
    ({"service": {"active_state": "failed", "result": "exit-code"}}, "run failed (exit-code)"),
]


@pytest.mark.parametrize(("over", "words"), CASES)
def test_each_problem_is_reported(over, words):
    (text,) = state(**over).attention()
    assert words in text


def test_a_host_without_a_source_needs_no_sync():
    found = facts.state_of(HostSpec(name="emis"), facts_with(timer=OFF))
    assert found.attention() == []


def test_a_failed_or_stopping_sync_can_be_started_or_stopped():
    failed = state(last={"error": "/e is not mounted"})
    assert (failed.is_well, failed.has_failed, failed.is_off) == (False, True, False)
    assert state(timer=OFF).is_off
    assert not state(timer=OFF, service={"active_state": "activating"}).is_off


def told(**over):
    """A host's output, with some values replaced."""
    found = {**msgspec.to_builtins(FACTS), **over}
    return Result("x", 0, json.dumps({"ok": found}), "")


def test_an_answer_with_names_of_any_bytes_is_decoded():
    last = {**msgspec.to_builtins(FACTS.last), "items": ["W/\udcff"], "error": "\udcff"}
    found = facts.decode(SPEC, told(last=last))
    assert (found.last.items, found.last.error) == (("W/\udcff",), "\udcff")


@pytest.mark.parametrize(
    "over",
    [
        {"now_at": 1e15},
        {"last_success_at": "yesterday"},
        {"last_success_at": -1},
        {"by_hand": [None]},
        {"files": []},
        {"timer": None},
        {"timer": {"active_state": None}},
        {"last": {"copied": -1}},
        {"last": {"ended_at": 1e12}},
        {"last": {"items": [1]}},
        {"last": {"error": "x" * 100_000}},
    ],
)
def test_an_invalid_answer_names_the_host(over):
    with pytest.raises(InvalidResponse) as caught:
        facts.decode(SPEC, told(**over))
    assert caught.value.host == "tpp"


def test_a_program_that_fails_names_the_host():
    out = json.dumps({"failed": {"reason": "no systemctl", "traceback": "..."}})
    with pytest.raises(ProgramFailed, match="no systemctl") as caught:
        facts.decode(SPEC, Result("x", 0, out, ""))
    assert caught.value.host == "tpp"


# -- the host's side -------------------------------------------------------------------------


def test_the_program_answers_in_its_type(tmp_path):
    request = {
        "files": [str(tmp_path / "none"), str(tmp_path / "some")],
        "timer": "no-such.timer",
        "service": "no-such.service",
        "state_dir": str(tmp_path),
        "source": "/no/such/source",
    }
    (tmp_path / "some").write_text("x")
    found = msgspec.convert(remote_inspect.main(request), facts.SyncFacts)
    assert found.files == dict(
        zip(request["files"], ["", hashlib.sha256(b"x").hexdigest()], strict=True)
    )
    assert (found.last, found.last_success_at, found.by_hand) == (SyncRecord(), 0.0, ())


def test_missing_values_of_systemd_are_empty(monkeypatch):
    class Done:
        stdout = "ActiveState=active\nnonsense\nOther=a=b\n"

    monkeypatch.setattr(remote_inspect, "call", lambda *words: Done)
    empty = {"load_state": "", "unit_file_state": "", "result": ""}
    assert remote_inspect.unit("x.timer") == {**empty, "active_state": "active"}


def test_a_manual_loop_is_found_but_not_our_own_run(tmp_path):
    def process(pid, words, cgroup):
        folder = tmp_path / str(pid)
        folder.mkdir()
        (folder / "cmdline").write_bytes(b"\0".join(words) + b"\0")
        (folder / "cgroup").write_text(cgroup)

    service = units.SERVICE
    process(11, [b"rsync", b"-auP", b"/e/ws/", b"/srv/ws/"], "0::/user.slice")
    process(12, [b"/usr/bin/rsync", b"-a", b"/e/ws/", b"/x"], f"0::/system.slice/{service}")
    process(13, [b"rsync", b"-a", b"/other/", b"/x"], "0::/user.slice")
    process(14, [b"vim", b"/e/ws/"], "0::/user.slice")
    owner = os.geteuid()
    assert remote_inspect.by_hand("/e/ws", service, owner, str(tmp_path)) == [11]
    if owner == 0:  # only root can give a process of the test away
        os.chown(tmp_path / "11", 4711, -1)
        assert remote_inspect.by_hand("/e/ws", service, 4712, str(tmp_path)) == []
        assert remote_inspect.by_hand("/e/ws", service, 4711, str(tmp_path)) == [11]
