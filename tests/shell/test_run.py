"""`run`: the unchanged command, its record, and any exit code."""

import getpass
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from opstasks.core.command import cmd
from opstasks.core.errors import Interrupted, Lost, OpsError, Refused, TooMuchOutput, Unreachable
from opstasks.core.result import FleetResult, HostResult, Result
from opstasks.fleet import audit, framing
from opstasks.fleet.host import Host
from opstasks.fleet.inventory import HostSpec
from opstasks.fleet.local import LocalTransport
from opstasks.fleet.pipes import PipeProcess
from opstasks.shell import run as run_module
from opstasks.shell.run import MAX_RUN_BYTES, judge, make_command, run, stop
from tests.fake_host import Reply
from tests.look import until

ROOT = Path(__file__).resolve().parents[2]
NOW = "2026-11-24T10:00:00+00:00"


@pytest.fixture(autouse=True)
def fixed_audit(monkeypatch, tmp_path):
    """The operator's own file; every entry has the same id and time."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(audit, "new_run_id", lambda: "id")
    monkeypatch.setattr(audit, "now", lambda: NOW)
    return tmp_path / "state/opstasks/audit.jsonl"


def written(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["docker", "ps", "a b"], "docker ps 'a b'"),
        (["uptime"], "uptime"),
        (["docker ps | wc -l"], "bash -c 'docker ps | wc -l'"),
        (["$(id)"], "bash -c '$(id)'"),
    ],
)
def test_words_are_a_command_and_one_word_is_shell_text(words, line):
    command = make_command(words, 5)
    assert command.line() == line
    assert (command.timeout_s, command.max_bytes, command.mutates) == (5, MAX_RUN_BYTES, True)


@pytest.mark.parametrize(
    ("words", "timeout_s", "said"),
    [
        ([], 5, "no command"),
        ([""], 5, "no command"),
        ([" ", "a"], 5, "no command"),
        (["x"], 10**9, "--timeout: 1000000000 s is more than a year"),
    ],
)
def test_wrong_usage_is_refused(words, timeout_s, said):
    with pytest.raises(Refused, match=said):
        make_command(words, timeout_s)


@pytest.mark.parametrize(("code", "outcome"), [(0, "ok"), (7, "failed")])
def test_the_command_and_its_record_are_one_round_trip(fake_host, fixed_audit, code, outcome):
    host = fake_host()
    command = make_command(["uptime"], 5)
    host.expect(command, Reply(code, "up\n"), user="opensafely")
    result = run(host, "opensafely", command)
    assert (result.code, result.out) == (code, "up\n")
    begun, ended = written(fixed_audit)
    assert (begun["phase"], begun["args"]) == ("start", {"user": "opensafely", "program": "uptime"})
    assert (ended["phase"], ended["outcome"]) == ("end", outcome)


def test_a_lost_connection_is_recorded_as_unknown(fake_host, fixed_audit):
    host = fake_host()
    command = make_command(["uptime"], 5)
    host.expect(command, Unreachable("connection lost"))
    with pytest.raises(Lost) as error:
        run(host, "opensafely", command)
    assert "before you run it again" in error.value.hint
    assert written(fixed_audit)[-1]["outcome"] == "unknown"


def test_too_much_output_is_lost_and_the_host_can_be_used_again(fake_host):
    host = fake_host()
    command = make_command(["uptime"], 5)
    host.expect(command, TooMuchOutput("the host sent more than 256 MiB"))
    with pytest.raises(Lost, match="256 MiB"):
        run(host, "opensafely", command)
    host.expect(cmd("true"))
    assert host.service.test(cmd("true"))


def test_a_result_with_a_non_zero_exit_code_is_a_failure(fake_host):
    command = make_command(["uptime"], 5)
    results = [
        HostResult("a", "ok", Result("uptime", 0, "", "")),
        HostResult("b", "ok", Result("uptime", 3, "", "oops")),
        HostResult("c", "unreachable", error=Unreachable("no answer")),
    ]
    judged = judge(FleetResult(results), command)
    assert [item.outcome for item in judged] == ["ok", "failed", "unreachable"]
    error = judged.results[1].error
    assert (error.tail, error.command, error.hint) == ("", "", "")


# -- on this machine -------------------------------------------------------------------------


@pytest.fixture
def journal(tmp_path, monkeypatch):
    """Like the host's journal: `logger` writes each message to a file; returns its entries."""
    tools, lines = tmp_path / "bin", tmp_path / "journal"
    tools.mkdir()
    (tools / "logger").write_text(f"#!/bin/sh\ngrep ^MESSAGE= >>{lines}\n")
    (tools / "logger").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        monkeypatch.setattr(audit, "JOURNAL_SOCKET", str(tmp_path / "socket"))
        yield lambda: [
            json.loads(line.removeprefix("MESSAGE=")) for line in lines.read_text().splitlines()
        ]


@pytest.fixture
def local(tmp_path):
    spec = HostSpec(name="here", address="localhost", lock_dir=str(tmp_path), local=True)
    event = threading.Event()
    host = Host(spec, connect=lambda spec: LocalTransport(), stop=event)
    yield host, event
    host.close()


def test_nothing_is_run_after_a_request_to_stop(local, tmp_path):
    host, event = local
    event.set()
    command = cmd("touch", tmp_path / "canary")
    with pytest.raises(Interrupted, match="the command was not run"):
        run(host, "", command)
    assert not (tmp_path / "canary").exists()
    event.clear()
    run(host, "", command)
    assert (tmp_path / "canary").exists()


@pytest.mark.parametrize(("code", "outcome"), [(0, "ok"), (7, "failed")])
def test_the_host_records_the_end_with_its_outcome(local, journal, fixed_audit, code, outcome):
    host, _ = local
    run(host, "", make_command(["bash", "-c", f"sleep 1.2; exit {code}"], 60))
    begun, ended = journal()
    mine = written(fixed_audit)
    assert begun == mine[0]
    assert ended.pop("time") in ("2026-11-24T10:00:01+00:00", "2026-11-24T10:00:02+00:00")
    assert ended == {"detail": "", **{k: v for k, v in mine[1].items() if k != "time"}}
    assert ended["outcome"] == outcome


def test_the_words_of_a_command_stay_data_in_the_record(local, journal, fixed_audit, tmp_path):
    host, _ = local
    hostile = f"$(touch {tmp_path}/canary)'\"\\n%s`id`\né"
    run(host, "", make_command([hostile, "x"], 60))
    begun, ended = journal()
    assert begun["args"]["program"] == ended["args"]["program"] == hostile
    assert (ended["outcome"], ended["detail"]) == ("failed", "exit code 127")
    assert not (tmp_path / "canary").exists()


def test_a_command_whose_client_is_gone_is_recorded_when_it_ends(journal, tmp_path):
    """Its output has no reader: each further byte would end the shell."""
    ready, go = tmp_path / "ready", tmp_path / "go"
    text = f"touch {ready}; until [ -e {go} ]; do sleep 0.1; done; exit 4"
    entry = audit.start("here", "run", {})
    command = make_command(["bash", "-c", text], 60)
    framed = framing.frame(command, "m", audit.begin_text(entry), audit.end_text(entry))
    with subprocess.Popen(
        ["sh", "-c", framing.start_line("", "token", sudo="ask")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as shell:
        shell.stdin.write(framing.start_frames("token") + framed)
        shell.stdin.flush()
        until(ready.exists, "the command did not start", 10)
        for stream in (shell.stdin, shell.stdout, shell.stderr):
            stream.close()
        go.touch()
        shell.wait(10)
    assert (journal()[1]["outcome"], journal()[1]["detail"]) == ("failed", "exit code 4")


@pytest.mark.parametrize("tool", ["exit 1", "sleep 0.1; echo noise; echo noise >&2; exit 1"])
def test_a_journal_that_refuses_does_not_change_the_result(local, journal, tmp_path, tool):
    host, _ = local
    for name in ("logger", "systemd-cat"):
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{tool}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    result = run(host, "", make_command(["echo", "x"], 60))
    assert (result.code, result.out, result.err) == (0, "x\n", "")


def test_stop_ends_the_running_command(local):
    host, _ = local
    host.login.open()
    ended = []

    def work():
        ended.append(run(host, "", make_command(["sleep", "65.5"], 60)).code)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    while thread.is_alive():
        stop(host, "")
        thread.join(0.2)
    assert ended[0] in (124, 143)


def test_nothing_of_the_command_goes_on_after_stop(local, tmp_path):
    host, _ = local
    begun, canary, ended = tmp_path / "begun", tmp_path / "canary", []
    text = f"touch {begun}; (sleep 66.5; touch {canary}); touch {canary}"

    def work():
        ended.append(run(host, "", make_command([text], 60)).code)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    until(begun.exists, "it did not start", 5)
    time.sleep(0.2)  # until it sleeps
    stop(host, "")
    thread.join(10)
    assert ended[0] in (124, 143)
    assert not canary.exists()


def test_ctrl_c_shows_what_had_arrived_also_when_it_would_be_folded(tmp_path):
    begun = tmp_path / "begun"
    words = [
        "run",
        "--user",
        getpass.getuser(),
        "--fold",
        "--",
        f"echo hello; touch {begun}; sleep 67",
    ]
    inv = subprocess.Popen(
        [str(Path(sys.executable).with_name("inv")), *words],
        cwd=ROOT,
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    until(begun.exists, "it did not start", 20)
    time.sleep(0.5)
    inv.send_signal(signal.SIGINT)
    out, err = inv.communicate(timeout=30)
    assert (inv.returncode, out) == (130, "hello\n"), err


def test_stop_prevents_the_start_of_a_shell_that_hangs(local, monkeypatch, tmp_path):
    host, _ = local
    monkeypatch.setattr(run_module, "START_LIMIT_S", 0.1)
    monkeypatch.setattr(
        LocalTransport,
        "start",
        lambda self, line: PipeProcess(["bash", "-c", f"sleep 1; exec <&-; {line}"]),
    )
    command, ended = make_command(["touch", str(tmp_path / "canary")], 60), []

    def work():
        with pytest.raises(OpsError) as error:
            run(host, "", command)
        ended.append(error.value.outcome)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    until(lambda: host.login.is_open, "it did not start", 5)
    stop(host, "")
    thread.join(10)
    assert ended == ["unreachable"]
    assert not (tmp_path / "canary").exists()


def test_stop_does_nothing_if_no_command_was_run(local):
    host, _ = local
    stop(host, "")
    assert not host.login.is_open
