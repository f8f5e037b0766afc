"""lock.break and history on a real host, with a client that died and a step that hangs."""

import json

import pytest

from tests.host_suite import leave_running
from tests.look import until

pytestmark = pytest.mark.sandbox


@pytest.fixture
def hung(managed, spec, connect):
    """A lock that is held by a step of a dead client."""
    from opstasks.fleet.change import change

    host = connect(spec("sandbox-1"))
    begun = change(host.service, "deploy", {"ref": "main"})
    begun.__enter__()
    leave_running(host.service, "( exec -a hanging-step sleep 600 )")
    begun_there = ["pgrep", "-f", "^hanging-step"]
    until(lambda: managed.exec_("sandbox-1", begun_there).returncode == 0, "it does not hang")
    host.close()
    yield managed
    del begun
    for pid in managed.exec_("sandbox-1", ["pgrep", "-f", "^hanging-step"]).stdout.split():
        managed.exec_("sandbox-1", ["kill", "-9", pid])


def good(done):
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def free(managed):
    lock = "/var/lib/opstasks/lock"
    return managed.exec_("sandbox-1", ["flock", "-n", lock, "true"]).returncode == 0


def test_a_hung_lock_is_broken_and_history_shows_the_reason(hung, inv, observer):
    here = ["-H", "sandbox-1"]
    assert not free(hung)
    assert inv(*here, "lock.break", "--yes").returncode == 2
    done = inv(*here, "lock.break", "--reason", "laptop died")
    assert done.returncode == 2
    assert "hanging-step" in done.stdout
    assert not free(hung)
    good(inv(*here, "--dry", "lock.break", "--reason", "laptop died"))
    assert not free(hung)
    done = good(inv(*here, "--json", "lock.break", "--reason", "laptop died", "--yes"))
    assert json.loads(done.stdout)["hosts"]["sandbox-1"]["outcome"] == "changed"
    assert free(hung)
    assert hung.exec_("sandbox-1", ["pgrep", "-f", "^hanging-step"]).returncode == 1
    assert observer("sandbox-1").check_output("stat -c %s /var/lib/opstasks/lock") == "0"
    # Again: nothing to do. And the next run gets the lock.
    done = good(inv(*here, "--json", "lock.break", "--reason", "laptop died", "--yes"))
    assert json.loads(done.stdout)["hosts"]["sandbox-1"]["outcome"] == "ok"
    good(inv(*here, "service.start", "--watch", "1"))

    found = json.loads(good(inv(*here, "--json", "history", "--task", "lock.break")).stdout)
    row = found["hosts"]["sandbox-1"]["value"][-1]
    assert (row["outcome"], row["args"]["reason"], row["source"]) == (
        "changed",
        "laptop died",
        "both",
    )
    assert "deploy" in row["args"]["holder"]


def test_a_holder_that_forks_all_the_time_is_stopped(managed, inv):
    lock = "/var/lib/opstasks/lock"
    script = f"exec 9<>{lock}; flock 9; n() {{ sleep 0.05; n & }}; n"
    words = ["setsid", "-f", "runuser", "-u", "opensafely", "--", "bash", "-c", script]
    managed.must("sandbox-1", ["bash", "-c", '"$@" >/dev/null 2>&1 </dev/null', "bash", *words])
    until(lambda: not free(managed), "it does not hold the lock")
    here = ["-H", "sandbox-1", "lock.break", "--reason", "it forks", "--kill", "--yes"]
    good(inv(*here))
    assert free(managed)
    good(inv("-H", "sandbox-1", "service.restart", "--watch", "1", "--yes"))


def test_another_client_sees_the_changes_and_can_filter_them(managed, inv, tmp_path):
    good(inv("-H", "sandbox-1", "service.restart", "--watch", "1", "--yes"))
    other = {"XDG_STATE_HOME": str(tmp_path)}

    def rows(*words, code=0):
        done = inv("-H", "sandbox", "--json", "history", *words, env=other)
        assert done.returncode == code, done.stderr
        hosts = json.loads(done.stdout)["hosts"]
        return [row for host in hosts.values() for row in host["value"]]

    newest = rows("--host", "sandbox-1", "--task", "service", "--since", "5m")[-1]
    assert (newest["task"], newest["source"]) == ("service.restart", "host")
    assert rows("--who", "nobody-of-this-name") == []
    assert {row["host"] for row in rows("--host", "sandbox-2")} <= {"sandbox-2"}
    assert inv("-H", "sandbox-1", "history", "--since", "soon").returncode == 2
    # Without -H on a machine that is not a host: only the operator's own record.
    done = good(inv("--json", "history", "--since", "5m"))
    assert "sandbox-1" in json.loads(done.stdout)["hosts"]


def test_changes_of_an_unreachable_host_are_in_the_local_record(managed, inv):
    good(inv("-H", "sandbox-2", "service.restart", "--watch", "1", "--yes"))
    managed.power_cut("sandbox-2")
    try:
        done = inv("-H", "sandbox-2", "--connect-timeout", "3", "history")
        assert done.returncode == 3
        assert "service.restart" in done.stdout
    finally:
        managed.power_on("sandbox-2")
        managed.must("sandbox-2", ["systemctl", "start", "jobrunner"])
