"""The record of the last run: any garbage is one refusal, and concurrent runs are safe."""

import os
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.core.errors import Refused
from opstasks.core.result import OUTCOMES
from opstasks.fleet.last_run import LastRun, path_of, read, write


@pytest.fixture
def path(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return path_of("status", tmp_path / "hosts.yaml")


def made(task="status", **outcomes):
    return LastRun(task=task, ended_at=1.0, outcomes=outcomes)


def test_only_the_person_can_read_the_record(path):
    write(path, made(tpp="ok"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in list(path.parents)[:3]} == {0o700}
    assert [item.name for item in path.parent.iterdir()] == ["status.json"]


@given(outcomes=st.dictionaries(st.text(max_size=20), st.sampled_from(OUTCOMES), max_size=9))
def test_what_was_written_is_read(outcomes, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "opstasks" / "last" / "here" / "status.json"
    write(
        path, made(**{}) if not outcomes else LastRun(task="status", ended_at=2, outcomes=outcomes)
    )
    run = read(path, "status")
    assert run.outcomes == outcomes
    assert run.failed == [host for host, what in outcomes.items() if what not in ("ok", "changed")]


GARBAGE = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=200).map(str.encode),
    st.sampled_from(
        [
            b"",
            b"null",
            b"[]",
            b"{}",
            b'{"task": "status"}',
            b'{"task": "status", "ended_at": -1, "outcomes": {}}',
            b'{"task": "status", "ended_at": "now", "outcomes": {}}',
            b'{"task": "status", "ended_at": 1, "outcomes": []}',
            b'{"task": "status", "ended_at": 1, "outcomes": {"a": 1}}',
            b'{"task": "deploy", "ended_at": 1, "outcomes": {}}',
            b'{"task": "status", "ended_at": 1, "outcomes": {}, "more": 1}',
            b'{"task": "status", "ended_at": 1e999, "outcomes": {}}',
            b"[" * 100_000,
            b"x" * (5 << 20),
        ]
    ),
)


@given(garbage=GARBAGE)
def test_garbage_is_refused_in_one_line(garbage, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "garbage.json"
    path.write_bytes(garbage)
    with pytest.raises(Refused) as caught:
        read(path, "status")
    assert "\n" not in str(caught.value)


def test_a_truncated_record_is_refused(path):
    write(path, made(tpp="failed"))
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(Refused, match="@failed"):
            read(path, "status")


def link(path):
    target = path.with_name("other.json")
    write(target, made(tpp="failed"))
    path.symlink_to(target)


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, link])
def test_what_is_not_a_file_is_refused_and_does_not_block(path, make):
    path.parent.mkdir(parents=True)
    make(path)
    with pytest.raises(Refused, match="cannot use the record"):
        read(path, "status")


def test_a_record_of_someone_else_is_refused(path, monkeypatch):
    write(path, made(tpp="failed"))
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(Refused, match="belongs to someone else"):
        read(path, "status")


def test_a_missing_record_is_refused_with_the_task(path):
    with pytest.raises(Refused, match="no earlier run of `status`"):
        read(path, "status")


def test_tasks_and_inventories_have_their_own_records(path, tmp_path):
    others = [
        path_of("deploy", tmp_path / "hosts.yaml"),
        path_of("status", tmp_path / "other.yaml"),
        path_of("status", None),
    ]
    assert len({path, *others}) == 4
    assert path == path_of("status", tmp_path / "x" / ".." / "hosts.yaml")


def test_a_task_name_stays_one_part_of_the_path(path):
    assert path_of("../../x", None).parent.parent == path.parent.parent


def test_runs_at_the_same_time_leave_one_whole_record(path):
    runs = [made(**{f"h{n}": "failed" for n in range(size)}) for size in (1, 50, 500, 5000)]
    write(path, runs[0])
    threads = [threading.Thread(target=write, args=(path, run)) for run in runs * 5]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert read(path, "status") in runs
    assert read(path, "status") in runs
    assert len(list(path.parent.iterdir())) == 1
