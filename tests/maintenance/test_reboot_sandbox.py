"""prepare-reboot, scheduled, after-reboot: real jobs, real reboots, observed from outside."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pexpect
import pytest
import yaml

from opstasks.sandbox.delay_proxy import DelayProxy
from tests.look import until
from tests.maintenance.maintenance_help import (
    COMMAND,
    HOST,
    good,
    moment,
    prepare,
    scheduled,
    small_disk,
    status,
    value,
)

pytestmark = [pytest.mark.sandbox, pytest.mark.hosts(1)]
ROOT = Path(__file__).resolve().parents[2]
OUTPUTS = "/srv/medium_privacy/workspaces"


def running(host, job):
    until(lambda: host.jobs()[job] == ("running", "executing"), "the job runs")


def waits_for_jobs(host):
    """Wait until a preparation waits for running jobs and its pause is noted."""
    until(
        lambda: [r for r in host.records() if r["step"] == "draining" and r["steps"][3:]], "drain"
    )


def over(host, id, timeout_s=60):
    until(lambda: host.record(id)["outcome"], "it is over", timeout_s)
    return host.record(id)


def told_after(inv, id, how):
    """Without a client: the checklist and `status` report it, and where to look."""
    checked = inv("-H", HOST, "after-reboot")
    assert checked.returncode == 1
    (line,) = [text for text in checked.stdout.splitlines() if id in text]
    assert how in line
    assert f"next: inv -H {HOST} jobs.ls --state failed --since 1d" in checked.stderr
    assert any(id in text for text in status(inv)["texts"])


# -- the whole way ---------------------------------------------------------------------------


def test_running_jobs_begin_again_after_a_reboot_and_no_job_is_lost(inv, host, managed):
    jobs = [*managed.submit(HOST, "extract"), *managed.submit(HOST, "long", "other")]
    for job in jobs:
        running(host, job)
    before = set(host.jobs())
    # Without an answer to the question, nothing is touched.
    refused = inv("-H", HOST, "prepare-reboot")
    assert refused.returncode == 2
    assert all(job in refused.stdout for job in jobs), "the jobs at stake are named"
    assert host.serving
    assert not host.paused

    done = value(prepare(inv, "--reason", "patches"))
    assert done["outcome"] == "changed"
    assert done["value"]["state"] == "ready"
    assert {job: host.jobs()[job] for job in jobs} == dict.fromkeys(
        jobs, ("pending", "waiting_on_reboot")
    )
    assert set(host.jobs()) == before
    assert host.docker() == []
    assert host.paused
    assert host.lock_is_free
    assert host.sh("systemctl is-active jobrunner || true") == "inactive"
    assert host.audit(done["value"]["id"]) == [("start", ""), ("end", "changed")]
    kept = host.record(done["value"]["id"])["snapshot"]
    assert host.sh(f"sqlite3 {kept} 'select count(*) from job'") == str(len(before))
    assert host.sh(f"stat -c '%U %a' {kept}") == "opensafely 600"

    assert value(prepare(inv))["outcome"] == "ok", "a second time there is nothing to do"
    early = inv("-H", HOST, "after-reboot", "--wait", "1s")
    assert early.returncode == 1
    assert "not rebooted" in early.stdout

    boot = managed.boot_id(HOST)
    done = value(prepare(inv, "--reboot"))["value"]
    assert done["state"] == "rebooted"
    assert managed.boot_id(HOST) != boot
    assert [line["what"] for line in done["checklist"]["lines"] if not line["good"]] == []
    assert not done["checklist"]["changed"], "the boot ended the pause, not the checklist"
    until(lambda: host.records()[-1].get("next_boot") == managed.boot_id(HOST), "the boot notes it")
    assert host.serving
    assert not host.paused
    for job in jobs:
        assert host.jobs()[job][0] == "running"
    until(lambda: {host.jobs()[job][0] for job in jobs} == {"succeeded"}, "all succeed", 180)
    assert set(host.jobs()) == before
    assert host.outputs("long.txt", "dataset.csv") == {
        f"{OUTPUTS}/other/output/long.txt": "90 seconds",
        "/srv/high_privacy/workspaces/other/output/long.txt": "90 seconds",
        "/srv/high_privacy/workspaces/test/output/dataset.csv": "patient_id,sex\n1,F\n2,M",
    }, host.told(jobs)
    assert host.sh("ls /etc/systemd/system/opstasks-* 2>/dev/null || true") == ""
    good(inv("-H", HOST, "after-reboot"))


# -- later -----------------------------------------------------------------------------------


def test_scheduled_work_is_done_once_without_its_client(
    inv, host, managed, client, spec, sandbox_dir, tmp_path
):
    (job,) = managed.submit(HOST, "longer")
    running(host, job)
    real = spec(HOST)
    inventory = yaml.safe_load((sandbox_dir / "hosts.yaml").read_text())
    # With such a delay, the client still waits for the answer when the host has scheduled the work.
    with DelayProxy((real.address, real.port or 22), 300) as proxy:
        inventory["hosts"][HOST].update(address="127.0.0.1", port=proxy.port)
        (tmp_path / "hosts.yaml").write_text(yaml.safe_dump(inventory))
        words = ("--delay", "30s", "--drain", "2s", "--reason", "night", "--yes")
        first = client("prepare-reboot", *words, inventory=tmp_path / "hosts.yaml")
        # Read on the host, because the client must be killed before it gets the answer.
        has_timer = "systemctl list-units --no-legend --plain 'opstasks-*.timer' | grep -q ."
        host.sh(f'timeout 60 bash -c "until {has_timer}; do sleep 0.05; done"')
        proxy.freeze()
        first.send_signal(signal.SIGKILL)
        assert first.wait() == -signal.SIGKILL
    (entry,) = scheduled(inv)
    assert (entry["state"], entry["why"]) == ("scheduled", "night")
    # The host rounds it up to a second.
    assert 0 < moment(entry["due_at"]) - time.time() < 31
    assert host.serving
    record = over(host, entry["id"])
    assert record["outcome"] == "ready"
    assert record["due_at"] - record["scheduled_at"] == pytest.approx(30, abs=1.1)
    assert record["finished_at"] >= record["due_at"]
    assert host.jobs()[job] == ("pending", "waiting_on_reboot")
    assert not host.serving
    assert host.audit(entry["id"]) == [("start", ""), ("end", "changed")], "once"
    assert host.timers == []
    # Another client has no own record: the host's record is shown.
    elsewhere = {"XDG_STATE_HOME": str(tmp_path / "elsewhere")}
    history = ("--json", "history", "--task", "prepare-reboot")
    told = value(inv("-H", HOST, *history, env=elsewhere))["value"]
    assert [e["outcome"] for e in told if e["run_id"] == entry["id"]] == ["changed"]
    assert scheduled(inv)[0]["state"] == "ready"
    assert host.sh("systemctl start opstasks-boot; systemctl is-failed opstasks-boot || true")
    assert host.paused, "the pause stays until the reboot"


def test_a_host_that_slept_at_its_time_refuses_and_keeps_running(inv, host, managed):
    pid = host.main_pid
    work = value(prepare(inv, "--delay", "15s", "--reboot"))["value"]
    # Half an hour is too long for a test; the host is really stopped, and its timer really late.
    script = f"/var/lib/opstasks/scripts/{work['id']}/run.py"
    host.sh(f"sed -i 's/LATE_S = 1800/LATE_S = 2/' {script}; grep -q 'LATE_S = 2.n' {script}")
    boot, container = managed.boot_id(HOST), managed.find(HOST).container
    subprocess.run(["docker", "pause", container], check=True, capture_output=True)
    try:
        time.sleep(max(0.0, moment(work["due_at"]) + 5 - time.time()))
    finally:
        subprocess.run(["docker", "unpause", container], check=True, capture_output=True)
    record = over(host, work["id"])
    assert record["outcome"] == "refused"
    assert "did the host sleep" in record["reason"]
    assert (host.main_pid, managed.boot_id(HOST)) == (pid, boot)
    assert not host.paused
    assert host.lock_is_free
    entry = scheduled(inv)[0]
    assert (entry["state"], "did the host sleep" in entry["reason"]) == ("refused", True)
    assert host.audit(work["id"]) == [("start", ""), ("end", "refused")]


def test_with_keep_paused_the_pause_survives_the_boot(inv, host, managed):
    (job,) = managed.submit(HOST, "long")
    running(host, job)
    assert value(prepare(inv, "--keep-paused"))["value"]["state"] == "ready"
    managed.reboot(HOST)
    until(lambda: host.serving, "the service is up")
    done = "journalctl -b -u opstasks-boot -o cat"
    until(lambda: "stays paused, as requested" in host.sh(done), "the boot looked at the pause")
    assert host.paused
    assert host.jobs()[job][0] == "pending"
    # What the service account wrote into its configuration never runs as root.
    trap = "/home/opensafely/config/04_local.env"
    host.sh(f"cp -p {trap} /tmp/local.env; echo 'X=$(id -un >>/tmp/who)' >>{trap}")
    inv("-H", HOST, "--dry", "after-reboot")
    assert host.paused, "a dry run ends no pause"
    host.sh(f"cp -p /tmp/local.env {trap}")
    assert set(host.sh("cat /tmp/who").split()) == {"opensafely"}
    checked = value(inv("-H", HOST, "--json", "after-reboot"))
    assert checked["outcome"] == "changed"
    assert not host.paused
    running(host, job)
    assert host.sh("ls /etc/systemd/system/opstasks-* 2>/dev/null || true") == ""


def test_one_of_several_scheduled_is_named_or_chosen_by_number(inv, host, sandbox_dir, tmp_path):
    first = value(prepare(inv, "--delay", "2h", "--reason", "patches"))["value"]
    good(inv("-H", HOST, "pause", "--for", "1h"))
    second = next(r["id"] for r in host.records() if r["id"] != first["id"])
    asked = inv("-H", HOST, "scheduled.cancel", "--yes")
    assert asked.returncode == 2
    for id in (first["id"], second):
        short = id.rpartition("-")[2]
        assert f"  | inv -H {HOST} scheduled.cancel {short}   # " in asked.stderr
    assert len(host.timers) == 2
    words = ["--inventory", str(sandbox_dir / "hosts.yaml"), "-H", HOST, "scheduled.cancel"]
    env = {**os.environ, "XDG_STATE_HOME": str(tmp_path)}
    program = str(Path(sys.executable).with_name("inv"))
    child = pexpect.spawn(program, words, env=env, encoding="utf-8", timeout=60)
    child.expect(r"2  [0-9a-f]{6}  preparation for a reboot")
    child.expect("Which number?")
    child.sendline("2")
    child.expect(r"\[y/N\]")
    child.sendline("y")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    assert host.record(first["id"])["outcome"] == "cancelled"
    assert host.record(second)["outcome"] == ""
    good(inv("-H", HOST, "unpause"))
    # The end of a pause that is already over is not among the choices.
    last = value(prepare(inv, "--delay", "3h"))["value"]
    done = value(inv("-H", HOST, "--json", "scheduled.cancel", "--yes"))["value"]
    assert done["item"]["id"] == last["id"]


def test_a_preparation_that_is_refused_cancels_nothing(inv, host):
    work = value(prepare(inv, "--delay", "1h"))["value"]
    host.sh("nohup flock /var/lib/opstasks/lock sleep 25 >/dev/null 2>&1 &")
    refused = prepare(inv, "--replace")
    assert refused.returncode == 2
    assert "someone is changing the host" in refused.stdout
    assert host.record(work["id"])["outcome"] == ""
    assert len(host.timers) == 1
    until(lambda: host.lock_is_free, "the other one has ended")
    done = value(prepare(inv, "--replace"))["value"]
    assert done["state"] == "ready"
    assert host.record(work["id"])["outcome"] == "cancelled"
    assert host.record(done["id"])["replaced"][0].startswith(work["id"])
    assert host.timers == []


def test_a_second_preparation_is_refused_or_replaces_the_first(inv, host):
    first = value(prepare(inv, "--delay", "1h"))["value"]
    again = prepare(inv, "--delay", "2h")
    assert again.returncode == 2
    assert "scheduled already" in again.stdout
    assert len(host.timers) == 1
    second = value(prepare(inv, "--delay", "35s", "--replace"))["value"]
    assert len(host.timers) == 1
    assert host.record(first["id"])["outcome"] == "cancelled"
    asked = inv("-H", HOST, "scheduled.cancel")
    assert asked.returncode == 2, "nobody is there to answer"
    assert len(host.timers) == 1
    cancel = ("-H", HOST, "--json", "scheduled.cancel", "--yes")
    assert value(inv(*cancel))["outcome"] == "changed"
    assert value(inv(*cancel))["outcome"] == "ok"
    told = value(inv("-H", HOST, "--json", "history", "--task", "scheduled.cancel"))["value"]
    assert told[-1]["outcome"] == "changed"
    dry = inv("-H", HOST, "scheduled.cancel", "nosuch", "--dry")
    assert dry.returncode == 2
    assert "has the id 'nosuch'" in dry.stderr
    assert host.timers == []
    time.sleep(max(0.0, moment(second["due_at"]) + 2 - time.time()))
    assert host.serving
    assert not host.paused
    assert host.record(second["id"])["outcome"] == "cancelled"
    assert host.audit(second["id"]) == []


def test_a_check_that_fails_at_its_time_leaves_the_service_running(inv, host):
    pid = host.main_pid
    work = value(prepare(inv, "--delay", "10s"))["value"]
    host.sh(f"mv {COMMAND} {COMMAND}.away")
    record = over(host, work["id"])
    host.sh(f"mv {COMMAND}.away {COMMAND}")
    assert record["outcome"] == "refused"
    assert host.main_pid == pid
    assert not host.paused
    entry = scheduled(inv)[0]
    assert entry["state"] == "refused"
    assert "prepare_for_reboot" in entry["reason"]
    assert host.audit(work["id"]) == [("start", ""), ("end", "refused")]


def test_a_folder_of_root_is_found_before_anything_is_touched(inv, host):
    pid, folder = host.main_pid, "/home/opensafely/opstasks/reboots"
    host.sh(f"mkdir -p {folder}; mv {folder} {folder}.away; mkdir {folder}")
    try:
        refused = prepare(inv)
    finally:
        host.sh(f"rmdir {folder}; mv {folder}.away {folder}")
    assert refused.returncode == 2
    assert f"cannot write to {folder}: it belongs to root" in refused.stdout
    assert (host.main_pid, host.paused) == (pid, False)


def test_a_preparation_that_fails_half_way_restores_the_service(inv, host, managed):
    (job,) = managed.submit(HOST, "longer")
    running(host, job)
    ids = set(host.jobs())
    broken = "import sys\nif '--help' not in sys.argv: raise SystemExit('no docker today')\n"
    managed.must(HOST, ["tee", COMMAND], stdin=broken)
    done = prepare(inv)
    assert done.returncode == 1
    assert "no docker today" in done.stdout
    assert host.serving
    assert not host.paused
    assert host.lock_is_free
    assert set(host.jobs()) == ids
    assert host.jobs()[job] == ("running", "executing")


@pytest.mark.parametrize("folder", ["/home/opensafely/opstasks", "/var/lib/opstasks/scheduled"])
def test_a_disk_that_becomes_full_leaves_the_service_running(inv, host, managed, folder):
    """The disk of the snapshot, or of the record itself (then the host cannot record it)."""
    (job,) = managed.submit(HOST, "longer")
    running(host, job)
    ids = set(host.jobs())
    host.sh(f"mkdir -p {folder}")
    with small_disk(host.sh, folder, "40m") as disk:
        if "opensafely" in folder:
            disk.fill()
            refused = prepare(inv)
            assert refused.returncode == 2
            assert "no room for a snapshot" in refused.stdout
            assert not host.paused
            disk.free()
        work = value(prepare(inv, "--delay", "3s", "--drain", "8s"))["value"]
        until(lambda: host.paused, "it waits for the job", every_s=0.1)
        disk.fill()
        unit = f"opstasks-{work['id']}.service"
        until(lambda: not host.sh(f"systemctl list-units --plain --no-legend {unit}"), "it ended")
        assert host.serving
        assert not host.paused
        assert host.lock_is_free
        assert set(host.jobs()) == ids
        assert host.jobs()[job] == ("running", "executing")
        assert host.audit(work["id"]) == [("start", ""), ("end", "failed")]
        disk.free()
        entry = scheduled(inv)[0]
        assert entry["state"] == ("failed" if "opensafely" in folder else "interrupted")
        if entry["state"] == "failed":
            assert "no space left" in entry["reason"].lower() or "full" in entry["reason"]
        else:
            good(inv("-H", HOST, "scheduled.cancel", work["id"], "--yes"))
        assert value(prepare(inv))["value"]["state"] == "ready"


def test_work_that_waits_for_jobs_can_be_cancelled_without_its_client(inv, host, managed, client):
    (job,) = managed.submit(HOST, "longer")
    running(host, job)
    started = host.sh(f"docker inspect -f '{{{{.State.StartedAt}}}}' os-job-{job}")
    first = client("prepare-reboot", "--drain", "1h", "--yes")
    waits_for_jobs(host)
    first.send_signal(signal.SIGKILL)
    (record,) = host.records()
    busy = inv("-H", HOST, "service.restart", "--yes")
    assert busy.returncode == 2, "the work itself holds the lock"
    assert host.paused
    good(inv("-H", HOST, "scheduled.cancel", record["id"], "--reason", "not today", "--yes"))
    assert host.record(record["id"])["outcome"] == "cancelled"
    assert host.serving
    assert not host.paused
    assert host.lock_is_free
    assert host.sh(f"docker inspect -f '{{{{.State.StartedAt}}}}' os-job-{job}") == started


def test_a_reboot_before_its_time_drops_the_work_and_is_reported(inv, host, managed):
    work = value(prepare(inv, "--at", "23:59"))["value"]
    assert host.sh(f"date -d @{int(moment(work['due_at']))} +%H:%M") == "23:59"
    managed.reboot(HOST)
    assert scheduled(inv)[0]["state"] == "dropped"
    checked = inv("-H", HOST, "after-reboot")
    assert checked.returncode == 1
    assert "scheduled.cancel" in checked.stderr
    assert any("rebooted before its time" in text for text in status(inv)["texts"])
    good(inv("-H", HOST, "scheduled.cancel", work["id"], "--yes"))
    good(inv("-H", HOST, "after-reboot"))
    assert host.serving


def test_a_power_cut_in_the_middle_leaves_no_pause_behind(inv, host, managed, client):
    (job,) = managed.submit(HOST, "longer")
    running(host, job)
    client("prepare-reboot", "--drain", "1h", "--yes")
    waits_for_jobs(host)
    managed.power_cut(HOST)
    managed.power_on(HOST)
    until(lambda: not host.paused, "the boot ends the pause")
    assert host.serving
    assert host.lock_is_free
    entry = scheduled(inv)[0]
    assert entry["state"] == "interrupted"
    assert "draining" in entry["reason"]
    told_after(inv, entry["id"], "was interrupted")


def test_a_reboot_by_others_during_the_wait_for_jobs_is_reported(inv, host, managed, client):
    (job,) = managed.submit(HOST, "longer")
    running(host, job)
    client("prepare-reboot", "--drain", "1h", "--yes")
    waits_for_jobs(host)
    managed.reboot(HOST)
    entry = scheduled(inv)[0]
    assert (entry["state"], "went down" in entry["reason"]) == ("failed", True)
    assert host.serving
    assert not host.paused
    told_after(inv, entry["id"], "failed: the host went down")


# -- refused ---------------------------------------------------------------------------------


def test_an_orphan_container_is_found_before_anything_is_stopped(inv, host, managed):
    (job,) = managed.submit(HOST, "longer")
    running(host, job)
    image = host.sh(f"docker inspect -f '{{{{.Image}}}}' os-job-{job}")
    host.sh(f"docker run -d --name os-job-stray --entrypoint sleep {image} 600")
    done = inv("-H", HOST, "prepare-reboot", "--yes")
    assert done.returncode == 2
    assert "os-job-stray" in done.stderr
    assert f"os-job-{job}" not in done.stderr
    assert host.jobs()[job] == ("running", "executing")
    assert host.serving
    assert not host.paused
    assert host.records() == []
    good(inv("-H", HOST, "run", "--", "docker rm --force os-job-stray"))
    assert value(prepare(inv))["value"]["state"] == "ready"


def test_invalid_and_far_times_are_refused(inv, host):
    for option in (
        "--delay=soon",
        "--delay=-4h",
        "--at=25:00",
        "--at=2026-02-30 10:00",
        "--at=2020-01-01 10:00",
        "--drain=0s",
    ):
        done = prepare(inv, option)
        assert done.returncode == 2, option
        assert "Traceback" not in done.stdout + done.stderr
    far = inv("-H", HOST, "prepare-reboot", "--delay", "8d")
    assert far.returncode == 2
    assert "7 days" in far.stderr
    assert host.timers == []
    assert host.serving


def test_an_account_without_root_is_refused_first(inv, host, sandbox_dir, tmp_path):
    text = (sandbox_dir / "hosts.yaml").read_text().replace("user: ops", "user: dev")
    inventory = tmp_path / "hosts.yaml"
    inventory.write_text(text.replace("sudo: nopasswd", "sudo: ask"))
    for options in ([], ["--delay", "1h"]):
        done = inv("-H", HOST, "prepare-reboot", "--yes", *options, inventory=inventory)
        assert done.returncode == 2
    assert host.serving
    assert host.timers == []


# -- on the host itself ----------------------------------------------------------------------


def test_work_is_scheduled_from_a_shell_on_the_host_itself(on_the_host, host, inv):
    done = on_the_host("prepare-reboot", "--delay", "4h", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    (record,) = host.records()
    assert 4 * 3600 - 120 < record["due_at"] - time.time() <= 4 * 3600 + 1
    assert len(host.timers) == 1
    assert scheduled(inv)[0]["id"] == record["id"], "others see it"
    assert on_the_host("scheduled.cancel", "--yes").returncode == 0
    assert host.timers == []
