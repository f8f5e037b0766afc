"""status, logs, run and history show the real state of the host."""

import json
import os
import signal
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.look import until
from tests.round_trips import least

pytestmark = pytest.mark.sandbox
# The service may be writing: wait for the database's lock.
SQLITE = ("sqlite3", "-cmd", ".timeout 20000")


def good(done):
    assert done.returncode == 0, done.stdout + done.stderr
    return done


# -- status ----------------------------------------------------------------------------------


def status(inv, hosts="sandbox-1", code=0):
    done = inv("-H", hosts, "--json", "status")
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)["hosts"]


def test_status_shows_running_and_pending_jobs(inv, jobrunner_unit, managed):
    (job,) = managed.submit("sandbox-1", "long", "operate")
    query = f"select status_code from job where id = '{job}'"
    database = "/home/opensafely/jobrunner/workdir/db.sqlite"
    deadline = time.monotonic() + 60
    while managed.must("sandbox-1", [*SQLITE, database, query]).strip() != "executing":
        assert time.monotonic() < deadline
        time.sleep(0.5)
    value = status(inv)["sandbox-1"]["value"]
    assert (value["ok"], value["service"]["state"]) == (True, "up")
    assert value["running"] >= 1
    assert value["release"].startswith("v2.")
    df = "df --output=pcent /home/opensafely /srv/high_privacy /var/lib/docker / | tr -d ' %'"
    used = managed.must("sandbox-1", ["sh", "-c", df]).split()[1:]
    assert abs(value["disk_percent"] - max(map(int, used))) <= 1
    assert value["concerns"] == []
    managed.must("sandbox-1", ["docker", "rm", "--force", f"os-job-{job}"])


def test_status_flags_a_stopped_service_and_a_forgotten_pause(inv, jobrunner_unit, managed):
    database = "/home/opensafely/jobrunner/workdir/db.sqlite"
    old = int(time.time()) - 2 * 86400
    managed.must("sandbox-1", ["systemctl", "stop", "jobrunner"])
    flag = f"insert or replace into flags values ('paused', 'true', {old})"
    managed.must("sandbox-1", [*SQLITE, database, flag])
    try:
        found = status(inv, code=1)["sandbox-1"]
    finally:
        managed.must("sandbox-1", [*SQLITE, database, "delete from flags"])
    value = found["value"]
    assert (found["outcome"], value["service"]["state"]) == ("failed", "stopped")
    kinds = {concern["kind"]: concern["text"] for concern in value["concerns"]}
    assert "stopped" in kinds["note"], "a stop is intended"
    assert "forgotten?" in kinds["forgotten"]
    assert value["is_paused"]
    assert status(inv)["sandbox-1"]["outcome"] == "ok", "without the pause, the stop alone is 0"


DYING = """[Service]
RestartSec=2
ExecStart=
ExecStart=/usr/bin/python3 -c "raise RuntimeError('token=hunter2 is wrong')"
"""
DROP_IN = "/etc/systemd/system/jobrunner.service.d/dying.conf"


def test_a_service_that_dies_again_and_again_is_named_with_its_reason(inv, jobrunner_unit, managed):
    folder = str(Path(DROP_IN).parent)
    managed.must("sandbox-1", ["mkdir", "-p", folder])
    managed.must("sandbox-1", ["sh", "-c", f"cat >{DROP_IN} <<'END'\n{DYING}END"])
    managed.must("sandbox-1", ["systemctl", "daemon-reload"])
    try:
        managed.must("sandbox-1", ["systemctl", "restart", "jobrunner"])
        dies = ["sh", "-c", "test $(systemctl show jobrunner -P NRestarts) -ge 2"]
        until(lambda: managed.exec_("sandbox-1", dies).returncode == 0, "it died twice")
        value = status(inv, code=1)["sandbox-1"]["value"]
        shown = inv("-H", "sandbox-1", "status").stdout
    finally:
        managed.must("sandbox-1", ["rm", DROP_IN])
        managed.must("sandbox-1", ["systemctl", "daemon-reload"])
        managed.must("sandbox-1", ["systemctl", "restart", "jobrunner"])
    assert value["service"]["state"] == "crash loop"
    assert value["service"]["reason"].startswith("RuntimeError: ")
    assert (value["concerns"][0]["kind"], value["concerns"][0]["look"]) == (
        "down",
        "inv -H sandbox-1 logs",
    )
    assert "CRASH LOOP" in shown
    assert "hunter2" not in shown + json.dumps(value)


def test_status_shows_a_host_that_is_down_and_one_that_is_up(inv, jobrunner_unit, managed):
    managed.power_cut("sandbox-2")
    try:
        done = inv("-H", "sandbox", "--connect-timeout", "3", "status")
        assert done.returncode == 3
        rows = {line.split()[0]: line for line in done.stdout.splitlines() if line.strip()}
        assert " up " in rows["sandbox-1"]
        assert rows["sandbox-2"].split() == ["sandbox-2", "no", "answer"]
        assert "(sandbox-2)" in done.stderr
        assert "Traceback" not in done.stderr
    finally:
        managed.power_on("sandbox-2")
        managed.must("sandbox-2", ["systemctl", "start", "jobrunner"])


def test_status_is_one_round_trip_after_the_shell_is_up(spec, connect, managed):
    from opstasks.sandbox.delay_proxy import DelayProxy
    from opstasks.status.inspect import inspect

    found = spec("sandbox-1")
    with DelayProxy((found.address, 22), 100) as proxy:
        host = connect(spec("sandbox-1", address="127.0.0.1", port=proxy.port))
        assert inspect(host).service.state == "up"
        assert least(proxy, lambda: inspect(host)) == 1


# -- logs and run ----------------------------------------------------------------------------


def test_logs_shows_the_services_lines_merged_by_time(inv, jobrunner_unit, managed):
    done = good(inv("-H", "sandbox", "logs", "--lines", "20"))
    lines = done.stdout.splitlines()
    assert {line.split()[1] for line in lines} == {"sandbox-1", "sandbox-2"}
    times = [line.split()[0] for line in lines]
    assert times == sorted(times)
    raw = good(inv("-H", "sandbox", "logs", "--lines", "20", "--raw")).stdout.splitlines()
    assert {line.split(" | ")[0] for line in raw} == {"sandbox-1", "sandbox-2"}
    times = [line.split(" | ")[1][:26] for line in raw]
    assert times == sorted(times)


def test_logs_shows_the_newest_lines_since_a_time(inv, jobrunner_unit, managed):
    words = ["-H", "sandbox-1", "logs", "--raw", "--since", "1h"]
    every = good(inv(*words, "--lines", "0")).stdout.splitlines()
    newest = good(inv(*words, "--lines", "2")).stdout.splitlines()
    assert len(newest) == 2 < len(every)
    assert every[-1] in newest
    last = datetime.fromisoformat(every[-1].split()[0]) + timedelta(seconds=2)
    later = good(inv(*words[:-1], last.isoformat(), "--lines", "5")).stdout.splitlines()
    assert not set(later) & set(every)


def test_logs_of_a_job_mention_it_and_of_an_unknown_job_are_empty(inv, jobrunner_unit, managed):
    (job,) = managed.submit("sandbox-1", "quick", "operate")
    deadline = time.monotonic() + 60
    while job not in inv("-H", "sandbox-1", "logs", "--job", job).stdout:
        assert time.monotonic() < deadline
        time.sleep(1)
    lines = good(inv("-H", "sandbox-1", "logs", "--job", job)).stdout.splitlines()
    assert all(job in line for line in lines)
    assert good(inv("-H", "sandbox-1", "logs", "--job", "nosuchjob")).stdout == ""


def test_run_keeps_words_separate_and_shows_every_hosts_output(inv, managed):
    done = good(inv("-H", "sandbox", "run", "--", "printf", "%s|", "a b", "$HOME", "'"))
    assert done.stdout.splitlines() == [f"sandbox-{n} | a b|$HOME|'|" for n in (1, 2)]
    done = good(inv("-H", "sandbox-1", "run", "--", 'cd && pwd; echo "$USER" | tr a-z A-Z'))
    assert done.stdout.splitlines()[0] == "/home/opensafely"


def test_run_that_fails_on_one_host_shows_both(inv, managed):
    done = inv("-H", "sandbox", "run", "--", 'test "$(hostname)" = sandbox-2 || exit 3; echo yes')
    assert done.returncode == 1
    assert done.stdout == "sandbox-2 | yes\n"
    assert done.stderr == (
        "error  bash failed with exit code 3 (sandbox-1)\n"
        "2 hosts: 1 ok, 1 failed (exit 3): sandbox-1\n"
    )
    found = json.loads(good(inv("-H", "sandbox", "--json", "history")).stdout)["hosts"]
    last = {name: found[name]["value"][-1] for name in found}
    assert (last["sandbox-1"]["outcome"], last["sandbox-1"]["detail"]) == ("failed", "exit code 3")
    assert last["sandbox-2"]["outcome"] == "ok"


def test_ctrl_c_stops_the_command_of_run_on_every_host(managed, sandbox_dir, tmp_path):
    argv = [str(Path(sys.executable).with_name("inv")), "-H", "sandbox", "run", "--", "sleep 71.5"]
    env = {
        **os.environ,
        "OPSTASKS_HOSTS": str(sandbox_dir / "hosts.yaml"),
        "XDG_STATE_HOME": str(tmp_path),
    }
    client = subprocess.Popen(argv, env=env, stderr=subprocess.PIPE, text=True)
    running = ["pgrep", "-f", "^sleep 71.5"]
    wait(lambda: all(managed.exec_(f"sandbox-{n}", running).returncode == 0 for n in (1, 2)))
    client.send_signal(signal.SIGINT)
    _, err = client.communicate(timeout=30)
    assert client.returncode == 130
    assert "the command was stopped" in err
    wait(lambda: all(managed.exec_(f"sandbox-{n}", running).returncode == 1 for n in (1, 2)))


def wait(condition, timeout_s=30):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.3)


def test_run_shows_no_escape_sequences(inv, managed):
    done = good(inv("-H", "sandbox-1", "run", "--", "printf '\\033[31mred\\007'"))
    assert done.stdout == "\\x1b[31mred\\x07\n"


# -- history ---------------------------------------------------------------------------------


def test_a_change_is_in_the_hosts_journal_and_in_history(inv, jobrunner_unit, observer):
    good(inv("-H", "sandbox-1", "service.restart", "--watch", "1", "--yes"))
    journal = observer("sandbox-1").check_output("journalctl -t opstasks -o cat -n 2")
    begun, ended = (json.loads(line) for line in journal.splitlines())
    assert (begun["task"], begun["phase"]) == ("service.restart", "start")
    assert (ended["outcome"], ended["run_id"]) == ("changed", begun["run_id"])
    rows = good(inv("-H", "sandbox-1", "history")).stdout.splitlines()
    assert "service.restart" in rows[-1]


def test_the_lock_is_shown_while_it_is_held(inv, spec, connect, managed):
    from opstasks.fleet.change import change

    host = connect(spec("sandbox-1"))
    with change(host.service, "deploy"):
        shown = good(inv("-H", "sandbox-1", "lock.show")).stdout
        assert "deploy" in shown
        assert status(inv)["sandbox-1"]["value"]["lock"]
    assert "no host is being changed" in good(inv("-H", "sandbox-1", "lock.show")).stderr


# -- shell -----------------------------------------------------------------------------------


def test_shell_answers_sudos_password_and_is_recorded(managed, sandbox_dir, tmp_path):
    """A developer's account needs its password for sudo; Ctrl-Z goes to the remote shell."""
    from tests.jobs import jobs_help

    asking = (sandbox_dir / "hosts.yaml").read_text().replace("user: ops", "user: dev")
    (tmp_path / "hosts.yaml").write_text(asking.replace("sudo: nopasswd", "sudo: ask"))
    child = jobs_help.terminal(tmp_path, "-H", "sandbox-1", "shell")
    child.expect("sudo password for sandbox-1: ")
    child.sendline(managed.sudo_password())
    child.expect(r"\$ ")
    child.sendline("echo $(id -un) at $PWD; shopt -q login_shell && echo log''in")
    child.expect("opensafely at /home/opensafely\r\n")
    child.expect("login")
    child.sendline("sleep 600")
    sleeps = ["pgrep", "-f", "^sleep 600"]
    until(lambda: managed.exec_("sandbox-1", sleeps).returncode == 0, "it does not sleep")
    child.send("\x1a")
    child.expect("Stopped")
    child.sendline("kill -9 %1; disown %1; exit 7")
    shown, code = jobs_help.finished(child)
    assert code == 0, shown
    assert "sudo password" not in shown
    journal = managed.must("sandbox-1", ["journalctl", "-t", "opstasks", "-o", "cat", "-n", "2"])
    entries = [json.loads(line) for line in journal.splitlines()]
    assert [(e["task"], e["phase"]) for e in entries] == [("shell", "start"), ("shell", "end")]
