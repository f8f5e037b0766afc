"""A preparation that is killed, overtaken by a reboot, or repeated by somebody else."""

import json
import time

import pytest
import yaml

from opstasks.sandbox.delay_proxy import DelayProxy
from tests.look import until
from tests.maintenance.maintenance_help import CODE, COMMAND, HOST, good, prepare, scheduled, value

pytestmark = [pytest.mark.sandbox, pytest.mark.hosts(1)]
ANN, BOB = ({"LOGNAME": name, "USER": name} for name in ("ann", "bob"))
NOTE = "cat /home/opensafely/opstasks/pause.json"
# A program of the client's.
STARTING = "^python3 -I -c .* maintenance[.]"


def running(host, managed):
    (job,) = managed.submit(HOST, "longer")
    until(lambda: host.jobs()[job] == ("running", "executing"), "the job runs")
    return job


def kill_at(host, step):
    """Kill the newest preparation with SIGKILL as soon as it is at a step; returns its id."""
    until(lambda: [r for r in host.records() if r["step"] == step], f"it is at {step}", every_s=0.1)
    until(lambda: host.paused, "it has paused the host", every_s=0.1)
    id = host.records()[-1]["id"]
    host.sh(f"systemctl kill --kill-who=all -s KILL opstasks-{id}.service")
    until(
        lambda: not host.sh(f"systemctl list-units --plain --no-legend opstasks-{id}.service"), ""
    )
    return id


@pytest.fixture
def slow_requeue(host, managed):
    """job-runner's own command takes long: a preparation can be killed while it runs."""
    managed.must(
        HOST,
        ["tee", COMMAND],
        stdin=("import sys, time\nif '--help' not in sys.argv: time.sleep(60)\n"),
    )


def test_a_prepared_host_keeps_owner_and_reason_of_its_pause(inv, host):
    first = value(prepare(inv, "--reason", "host patches", "--keep-paused", env=ANN))["value"]
    assert first["now"]["prepared"]
    note = host.sh(NOTE)
    second = value(prepare(inv, "--reason", "mine", env=BOB))
    assert second["outcome"] == "ok"
    assert "ann@" in second["value"]["note"]
    late = value(prepare(inv, "--reason", "mine", "--delay", "3s", env=BOB))["value"]
    until(lambda: host.record(late["id"])["outcome"], "it is over")
    assert host.record(late["id"])["outcome"] == "ready"
    assert "prepared already by ann@" in host.record(late["id"])["reason"]
    assert host.sh(NOTE) == note
    assert host.paused
    assert not host.serving
    assert host.lock_is_free


def test_a_pause_of_a_preparation_is_not_taken_over(inv, host):
    value(prepare(inv, "--reason", "host patches", env=ANN))
    note = host.sh(NOTE)
    refused = inv("-H", HOST, "pause", "--reason", "mine", "--for", "1h", env=ANN)
    assert refused.returncode == 2
    assert "host patches" in refused.stderr
    assert host.sh(NOTE) == note


@pytest.mark.parametrize("step", ["draining", "requeueing"])
@pytest.mark.parametrize("way", ["scheduled.cancel", "prepare-reboot"])
def test_after_a_kill_the_hint_and_a_new_preparation_help(
    inv, host, managed, client, slow_requeue, step, way
):
    job = running(host, managed)
    words = ["--drain", "1h"] if step == "draining" else []
    follower = client("prepare-reboot", "--yes", *words)
    id = kill_at(host, step)
    out, err = (text.decode() for text in follower.communicate(timeout=60))
    assert follower.returncode == 1, out + err
    assert f"inv -H {HOST} scheduled.cancel {id}" in err
    (row,) = scheduled(inv)
    assert row["state"] == "interrupted"
    shown = good(inv("-H", HOST, "scheduled")).stderr
    assert f"next: inv -H {HOST} scheduled.cancel {id.rpartition('-')[2]}" in shown
    assert host.paused, "nobody has restored it yet"
    host.sh(f"cd {CODE} && git -c safe.directory={CODE} checkout -q -- .")
    if way == "prepare-reboot":
        done = value(prepare(inv))["value"]
        assert (done["state"], done["now"]["prepared"]) == ("ready", True)
        assert host.record(done["id"])["was_active"], "the service ran before the first one"
        assert host.jobs()[job] == ("pending", "waiting_on_reboot")
    else:
        done = value(inv("-H", HOST, "--json", "scheduled.cancel", "--yes"))["value"]
        assert (done["now"]["service"], done["now"]["paused"]) == ("up", False)
        assert host.serving
        assert not host.paused
        assert host.jobs()[job][0] == "running"
    assert host.record(id)["outcome"] == "interrupted"
    assert id not in host.sh("ls /var/lib/opstasks/scripts")
    assert host.lock_is_free


def test_a_host_that_was_rebooted_meanwhile_is_not_called_ready(
    inv, host, managed, client, spec, sandbox_dir, tmp_path
):
    """The client loses the host at the end of the work, and finds it after its reboot."""
    real = spec(HOST)
    inventory = yaml.safe_load((sandbox_dir / "hosts.yaml").read_text())
    with DelayProxy((real.address, real.port or 22), 0) as proxy:
        inventory["hosts"][HOST].update(address="127.0.0.1", port=proxy.port)
        (tmp_path / "hosts.yaml").write_text(yaml.safe_dump(inventory))
        follower = client("prepare-reboot", "--yes", inventory=tmp_path / "hosts.yaml")
        until(lambda: host.records() and host.records()[-1]["steps"], "it began", every_s=0.05)
        until(lambda: not host.sh(f"pgrep -f '{STARTING}' || true"), "it is started", every_s=0.05)
        time.sleep(0.2)  # the client reads the answer
        proxy.freeze()
        until(lambda: host.records()[-1]["outcome"] == "ready", "it is ready")
        managed.reboot(HOST)
        until(lambda: host.serving and not host.paused, "it serves again")
        proxy.cut()
        proxy.thaw()
        out, err = (text.decode() for text in follower.communicate(timeout=120))
    assert "READY TO REBOOT" not in out.splitlines()[-1]
    assert follower.returncode == 1, out + err
    assert "has been rebooted since" in err and "now:   service up, not paused" in err
    assert "after-reboot" in err
    row = scheduled(inv)[0]
    assert (row["state"], "rebooted since" in row["reason"]) == ("ready", True)


def test_a_masked_service_is_not_stopped(inv, host):
    host.sh("mv /etc/systemd/system/jobrunner.service /root/; systemctl mask -q jobrunner")
    try:
        refused = inv("-H", HOST, "prepare-reboot", "--yes")
        assert refused.returncode == 2
        assert "is masked" in refused.stderr
        assert host.serving
        assert not host.paused
    finally:
        host.sh(
            "systemctl unmask -q jobrunner; mv /root/jobrunner.service /etc/systemd/system/;"
            # Unmasking also disables it.
            " systemctl enable -q jobrunner"
        )
        host.sh("systemctl daemon-reload")


def test_the_service_account_is_told_who_can_prepare_the_host(on_the_host, inv, host):
    """What needs root: no password is asked for that nobody has."""
    host.sh("useradd -m -G developers dora 2>/dev/null || usermod -aG developers dora")
    timed = ["prepare-reboot", "--delay", "4h", "--yes"]
    good(inv("-H", HOST, *timed))
    for words in (timed, ["pause", "--for", "1h"], ["scheduled.cancel", "--yes"]):
        refused = on_the_host(*words, user="opensafely")
        assert refused.returncode == 2, refused.stdout + refused.stderr
        assert "may not become root" in refused.stderr
        assert "opensafely has no password" in refused.stderr
        assert "dora" in refused.stderr
        assert "not a terminal" not in refused.stderr
    assert on_the_host("pause", "--reason", "mine", user="opensafely").returncode == 0
    assert host.paused
    assert on_the_host("unpause", user="opensafely").returncode == 0
    assert not host.paused
    good(inv("-H", HOST, "scheduled.cancel", "--yes"))
    good(inv("-H", HOST, "pause", "--for", "1h"))
    assert on_the_host("unpause", user="opensafely").returncode == 2, "it is somebody else's"
    assert on_the_host("unpause", "--yes", user="opensafely").returncode == 0
    assert not host.paused
    assert host.timers, "only root can remove the timer"
    (row, *_) = scheduled(inv)
    assert row["state"] == "obsolete"
    good(inv("-H", HOST, "scheduled.cancel", row["id"], "--yes"))
    assert host.timers == []
    assert on_the_host("service.stop", "--yes", user="opensafely").returncode == 0
    assert not host.serving
    assert host.lock_is_free


def test_an_interrupted_snapshot_leaves_no_part_behind(inv, host, managed):
    folder = "/home/opensafely/opstasks/reboots"
    host.sh(
        f"runuser -u opensafely -- mkdir -p {folder}; runuser -u opensafely -- touch"
        f" {folder}/20260101T000000-aaaaaa.new {folder}/20260101T000000-aaaaaa.new-journal"
    )
    value(prepare(inv))
    assert host.sh(f"ls {folder} | grep -v '[.]sqlite$' || true") == ""


def test_the_service_account_prepares_the_host_without_a_password(on_the_host, host, managed):
    """The playbook's recipe, on the host itself: stop the service, requeue the jobs."""
    job = running(host, managed)
    shown = on_the_host("prepare-reboot", "--dry", user="opensafely")
    assert job in good(shown).stdout
    assert host.serving
    done = on_the_host("prepare-reboot", "--reason", "patches", "--yes", user="opensafely")
    assert "READY TO REBOOT" in good(done).stdout
    assert "the boot starts the service" in done.stdout
    assert host.jobs()[job] == ("pending", "waiting_on_reboot")
    assert host.docker() == []
    assert not host.serving
    assert host.lock_is_free
    lines = host.sh("journalctl -t opstasks -o cat --no-pager | grep prepare-reboot | tail -n 2")
    ends = [json.loads(line) for line in lines.splitlines()]
    assert [(end["phase"], end.get("outcome")) for end in ends] == [
        ("start", None),
        ("end", "changed"),
    ]
    again = on_the_host("--json", "prepare-reboot", "--yes", user="opensafely")
    (value,) = json.loads(good(again).stdout)["hosts"].values()
    assert (value["value"]["changed"], value["value"]["now"]["prepared"]) == (False, True)
    managed.reboot(HOST)
    # Jobs of other tests may have the workers.
    until(lambda: host.jobs()[job][1] != "waiting_on_reboot", "the job may begin again")
    assert any(state == "running" for state, _ in host.jobs().values())
    assert host.serving
    assert not host.paused


def test_a_recipe_that_fails_starts_the_service_again(on_the_host, host, managed):
    job = running(host, managed)
    broken = "import sys\nif '--help' not in sys.argv: raise SystemExit('no docker today')\n"
    managed.must(HOST, ["tee", COMMAND], stdin=broken)
    done = on_the_host("prepare-reboot", "--yes", user="opensafely")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "no docker today" in done.stdout + done.stderr
    assert "now service up" in done.stderr
    assert host.serving
    assert host.jobs()[job] == ("running", "executing")
    assert host.lock_is_free
