"""deploy on real hosts, with the real job-runner, real jobs and real migrations."""

import json
import time
from pathlib import Path

import pytest

from opstasks.fleet.heartbeat import HEARTBEAT_S
from opstasks.sandbox.delay_proxy import DelayProxy
from tests.deploy.deploy_help import good, running_job
from tests.look import CODE, DB, HOME, LIB, STATE

pytestmark = pytest.mark.sandbox
HOSTS = ("sandbox-1", "sandbox-2")
ROOT = Path(__file__).resolve().parents[2]


# -- the main job ----------------------------------------------------------------------------


def test_two_hosts_are_deployed_while_a_job_runs(managed, look, inv, at_old_release):
    jobs = {name: running_job(managed, name, look) for name in HOSTS}
    before = {name: look(name).jobs() for name in HOSTS}
    boxes = {name: look(name).containers for name in HOSTS}
    good(inv("-H", "sandbox", "deploy", "--watch", "4", "--yes"))
    for name in HOSTS:
        host = look(name)
        assert (host.code, host.lib, host.version) == ("v2.73.0", "v2.73.0", 3)
        assert host.serving
        assert host.containers == boxes[name]
        assert host.lock_is_free
        # The rows are unchanged; the migration only added columns.
        after = host.jobs()
        for job, row in before[name].items():
            assert {key: after[job][key] for key in row if "updated" not in key} == {
                key: value for key, value in row.items() if "updated" not in key
            }
        (record,) = host.records
        assert (record["from_name"], record["to_name"]) == ("v2.71.0", "v2.73.0")
        assert record["outcome"] == "deployed"
        assert "@" in record["who"]
        assert host.sh(f"sqlite3 {record['snapshot']} 'pragma user_version'") == "1"
    deadline = time.monotonic() + 180
    for name, job in jobs.items():
        while look(name).jobs()[job]["state"] == "running":
            assert time.monotonic() < deadline, "the job does not finish"
            time.sleep(2)
        assert look(name).jobs()[job]["state"] == "succeeded"

    # Again: nothing to do, and nothing restarted.
    pids = [look(name).main_pid for name in HOSTS]
    done = good(inv("-H", "sandbox", "deploy", "--yes"))
    assert "nothing to do on sandbox-1, sandbox-2: at v2.73.0 already" in done.stdout
    assert [look(name).main_pid for name in HOSTS] == pids
    assert len(look("sandbox-1").records) == 1

    good(inv("-H", "sandbox-1", "deploy", "--restart", "--watch", "3", "--yes"))
    assert look("sandbox-1").main_pid != pids[0]
    assert look("sandbox-2").main_pid == pids[1]


def test_a_deploy_and_nothing_to_do_take_few_round_trips(
    managed, look, inv, at_old_release, sandbox_dir, tmp_path
):
    """At most 8 for a full deploy and 2 for nothing to do, after the connection."""
    import yaml

    inventory = yaml.safe_load((sandbox_dir / "hosts.yaml").read_text())
    host = inventory["hosts"]["sandbox-1"]
    with DelayProxy((host["address"], 22)) as proxy:
        host.update(address="127.0.0.1", port=proxy.port, groups=None)
        host.pop("groups")
        path = tmp_path / "hosts.yaml"
        path.write_text(yaml.safe_dump({"hosts": {"sandbox-1": host}}))

        def trips(*argv):
            """Without the heartbeats of a run that takes long on a busy machine."""
            proxy.reset()
            began = time.monotonic()
            good(inv(*argv, inventory=path))
            return proxy.round_trips() - int((time.monotonic() - began) / HEARTBEAT_S)

        connecting = trips("-H", "sandbox-1", "run", "--user", "ops", "--", "true") - 1
        full = trips("-H", "sandbox-1", "deploy", "--yes") - connecting
        # On a busy machine, one answer may come in two pieces: the least of three counts.
        nothing = min(trips("-H", "sandbox-1", "deploy", "--yes") for _ in range(3)) - connecting
    print(f"round trips: connecting {connecting}, full deploy {full}, nothing to do {nothing}")
    assert full <= 8
    assert nothing <= 2


def test_a_rollback_restores_the_database_and_loses_no_row(managed, look, inv, at_old_release):
    good(inv("-H", "sandbox-1", "deploy", "--yes"))
    job = running_job(managed, "sandbox-1", look)
    good(inv("-H", "sandbox-1", "deploy.rollback", "--yes"))
    host = look("sandbox-1")
    assert (host.code, host.lib, host.version, host.serving) == ("v2.71.0", "v2.71.0", 1, True)
    assert job in host.jobs()
    assert len(host.containers) == 1
    assert inv("-H", "sandbox-1", "deploy.rollback", "--yes").returncode == 2
    listed = good(inv("-H", "sandbox-1", "deploy.releases")).stdout
    newest, oldest = listed.splitlines()[1:]
    assert "v2.73.0  v2.71.0  rolled back" in newest
    assert "v2.71.0  v2.73.0  deployed" in oldest
    good(inv("-H", "sandbox-1", "deploy", "--yes"))
    assert look("sandbox-1").version == 3


KEPT = f"{STATE}/imports.json"
# What can be wrong with the file of earlier imports.
DAMAGES = (
    f"rm {KEPT}",
    f"truncate -s -9 {KEPT}",
    f"chown ops {KEPT}",
    f"chmod 666 {KEPT}",
    f"ln -sf /etc/shadow {KEPT}",
    f"rm {KEPT}; mkfifo {KEPT}",
    f"rm -f {KEPT}; mkdir -p {KEPT}/x",
)


def test_a_lost_or_hostile_file_of_imports_changes_nothing(managed, look, inv, at_old_release):
    host = look("sandbox-1")
    host.sh(f"rm -rf {KEPT}")

    def shown(*refs):
        done = good(inv("-H", "sandbox-1", "deploy.pending", *refs, "--json"))
        found = json.loads(done.stdout)["hosts"]["sandbox-1"]["value"]
        return {name: value for name, value in found.items() if name != "service_for_s"}

    stay = ("--ref", "v2.71.0", "--lib-ref", "v2.71.0")
    new, same = shown(), shown(*stay)
    assert max(json.loads(host.sh(f"cat {KEPT}"))["entries"][0]["migrations"]) == "3"
    assert host.sh(f"stat -c '%U %a' {KEPT}") == "opensafely 600"
    before = host.sh(f"stat -c '%i %y' {KEPT}")
    assert (shown(), shown(*stay)) == (new, same)
    assert host.sh(f"stat -c '%i %y' {KEPT}") == before
    shadow = host.sh("sha256sum /etc/shadow")
    for damage in DAMAGES:
        host.sh(damage)
        assert (shown(), shown(*stay)) == (new, same), damage
    assert host.sh("sha256sum /etc/shadow") == shadow


def test_nothing_to_do_needs_no_disk_space(managed, look, inv, at_old_release):
    host = look("sandbox-1")
    full = f"mount -t tmpfs -o size=4k,nr_inodes=1,uid=10000,gid=10000 tmpfs {STATE}"
    host.sh(f"mkdir -p {STATE}; {full}")
    try:
        done = inv("-H", "sandbox-1", "deploy", "--ref", "v2.71.0", "--lib-ref", "v2.71.0", "--yes")
        assert "nothing to do" in good(done).stdout
        assert host.sh(f"ls -A {STATE}") == ""
    finally:
        host.sh(f"umount {STATE}")


# -- broken releases -------------------------------------------------------------------------


@pytest.mark.parametrize("release", ["broken-import", "broken-migration", "broken-crash"])
def test_after_a_broken_release_the_old_release_is_up(managed, look, inv, at_old_release, release):
    running_job(managed, "sandbox-1", look)
    before, boxes = look("sandbox-1").whole(), look("sandbox-1").containers
    done = inv("-H", "sandbox-1", "deploy", "--ref", release, "--watch", "15", "--yes")
    assert done.returncode == 1, done.stdout + done.stderr
    assert release in done.stderr
    assert len(done.stderr.splitlines()) <= 24
    if release == "broken-import":
        assert "cannot be imported with these dependencies" in done.stderr
    else:
        assert "[1/1] sandbox-1  BACK ON v2.71.0 after " in done.stderr
        assert "      next   inv -H sandbox-1 logs --since 5m" in done.stderr
    assert look("sandbox-1").whole() == before
    assert look("sandbox-1").containers == boxes
    assert look("sandbox-1").lock_is_free
    if release != "broken-import":
        record = look("sandbox-1").records[-1]
        assert record["outcome"] == "rolled back"
        assert record["reason"]
        aside = look("sandbox-1").sh(f"ls {STATE}/snapshots/*.failed.sqlite")
        assert record["id"] in aside


def test_the_fleet_stops_at_the_first_failure(managed, look, inv, at_old_release):
    before = look("sandbox-2").whole()
    done = inv("-H", "sandbox", "deploy", "--ref", "broken-crash", "--watch", "15", "--yes")
    assert done.returncode == 1
    assert "not started: sandbox-2" in done.stderr
    assert look("sandbox-2").whole() == before
    assert look("sandbox-2").records == []


# -- what forbids a deploy -------------------------------------------------------------------


def test_without_a_terminal_and_without_yes_nothing_changes(look, inv, at_old_release):
    before, pid = look("sandbox-1").whole(), look("sandbox-1").main_pid
    assert "nothing was deployed yet" in good(inv("-H", "sandbox-1", "deploy.releases")).stderr
    done = inv("-H", "sandbox-1", "deploy")
    assert done.returncode == 2
    assert "--yes" in done.stderr
    assert look("sandbox-1").whole() == before
    assert look("sandbox-1").main_pid == pid


AS_SERVICE = "runuser -u opensafely -- bash -c"
SUDOERS = "/etc/sudoers.d/opstasks-jobrunner"
PLENTY = f"head -c 4096 /dev/urandom | dd of={DB} bs=1 seek=4096 conv=notrunc status=none"


@pytest.mark.parametrize(
    ("damage", "repair", "word"),
    [
        (f"echo x >>{CODE}/jobrunner/run.py", f"git -C {CODE} checkout -q .", "1 unstaged"),
        (
            f"cd {CODE}; echo x >>jobrunner/run.py; git add -A",
            f"git -C {CODE} reset -q --hard",
            "1 staged",
        ),
        (f"touch {CODE}/notes.txt", f"rm {CODE}/notes.txt", "1 untracked"),
        (f"touch {LIB}/notes.txt", f"rm {LIB}/notes.txt", "1 untracked"),
        # In a folder that it may write to, the service could make a new one.
        (
            f"mv {DB} {DB}.away; chmod u-w $(dirname {DB})",
            f"chmod u+w $(dirname {DB}); mv {DB}.away {DB}",
            "there is no database",
        ),
        (f"cp {DB} {DB}.away; {PLENTY}", f"mv {DB}.away {DB}", "database"),
    ],
    ids=["unstaged", "staged", "untracked", "lib", "no-database", "damaged-database"],
)
def test_deploy_refuses_an_unfit_host_and_does_not_touch_it(
    look, inv, at_old_release, damage, repair, word
):
    refused(look("sandbox-1"), inv, f"{AS_SERVICE} '{damage}'", f"{AS_SERVICE} '{repair}'", word)


def test_deploy_refuses_an_account_that_may_not_stop_the_service(look, inv, at_old_release):
    away = f"mv {SUDOERS} /root/away", f"mv /root/away {SUDOERS}"
    refused(look("sandbox-1"), inv, *away, "may not start and stop")


def test_deploy_refuses_a_host_without_docker(look, inv, at_old_release):
    stop = "systemctl stop docker.socket docker", "systemctl start docker"
    refused(look("sandbox-1"), inv, *stop, "docker does not answer")


def test_deploy_refuses_a_full_disk(look, inv, at_old_release):
    small = f"mount -t tmpfs -o size=4m,uid=10000,gid=10000 tmpfs {HOME}/jobrunner/workdir"
    host = look("sandbox-1")
    host.sh("systemctl stop jobrunner")
    copy = f"cp -a {DB} /tmp/db; {small}; cp -a /tmp/db {DB}"
    refused(host, inv, copy, f"umount {HOME}/jobrunner/workdir", "MiB free")


def refused(host, inv, damage, repair, word):
    """Damage the host, check that a deploy is refused and touches nothing, repair the host."""
    host.sh(damage)
    pid = host.main_pid
    try:
        done = inv("-H", "sandbox-1", "deploy", "--yes")
        assert done.returncode == 2, done.stdout + done.stderr
        assert word in done.stderr
        assert "nothing was touched" in done.stderr
        assert host.main_pid == pid
        assert host.code == "v2.71.0"
        assert host.records == []
        assert host.lock_is_free
    finally:
        host.sh(repair)


def test_deploy_refuses_a_missing_and_a_hostile_ref(look, inv, at_old_release):
    done = inv("-H", "sandbox-1", "deploy", "--ref", "v9", "--yes")
    assert (done.returncode, "'v9'" in done.stderr) == (2, True)
    done = inv("-H", "sandbox-1", "deploy", "--ref", "$(touch /tmp/pwned)", "--yes")
    assert done.returncode == 2
    assert look("sandbox-1").sh("ls /tmp/pwned 2>&1 || true").endswith("No such file or directory")


def test_a_diverged_checkout_shows_what_it_would_lose(look, inv, at_old_release):
    host = look("sandbox-1")
    host.sh(f"runuser -u opensafely -- git -C {CODE} fetch -q --tags origin")
    host.sh(f"runuser -u opensafely -- git -C {CODE} checkout -q --detach diverged")
    done = inv("-H", "sandbox-1", "deploy", "--dry")
    first, second = done.stdout.splitlines()[:2]
    assert "diverged -> v2.73.0   LOSES 1 commit, 5 commits" in first
    assert second.startswith("  LOST: v2.73.0 does not have these commits")
    assert host.code == "diverged"


def test_a_deploy_starts_a_service_that_is_between_two_crashes(managed, look, inv, at_old_release):
    host = look("sandbox-1")
    host.sh("systemctl kill --signal=KILL jobrunner")
    deadline = time.monotonic() + 20
    while host.sh("systemctl is-active jobrunner || true") != "activating":
        assert time.monotonic() < deadline
        time.sleep(0.3)
    good(inv("-H", "sandbox-1", "deploy", "--watch", "4", "--yes"))
    assert host.serving


def test_a_rollback_is_possible_after_failed_attempts(managed, look, inv, at_old_release):
    host = look("sandbox-1")
    good(inv("-H", "sandbox-1", "deploy", "--watch", "2", "--yes"))
    good_snapshot = host.records[-1]["snapshot"]
    for number in range(6):
        record = {"id": f"bad{number}", "outcome": "rolled back", "started": time.time() + number}
        host.sh(f"echo '{json.dumps(record)}' >{STATE}/releases/bad{number}.json")
        host.sh(f"install -o opensafely /dev/null {STATE}/snapshots/bad{number}.sqlite")
    # An older release by its name: its code cannot read the newer database.
    done = inv("-H", "sandbox-1", "deploy", "--ref", "v2.71.0", "--lib-ref", "v2.71.0", "--yes")
    assert done.returncode == 1
    assert "`deploy.rollback` goes back with the database" in done.stderr
    done = inv("-H", "sandbox-1", "deploy", "--ref", "broken-crash", "--watch", "15", "--yes")
    assert done.returncode == 1
    assert host.sh(f"ls {good_snapshot}") == good_snapshot
    host.sh(f"rm {STATE}/releases/bad*.json; mv {good_snapshot} /tmp/away")
    pid = host.main_pid
    done = inv("-H", "sandbox-1", "deploy.rollback", "--yes")
    assert (done.returncode, host.main_pid) == (2, pid)
    assert "snapshot to go back to is damaged" in done.stderr
    host.sh(f"mv /tmp/away {good_snapshot}")
    good(inv("-H", "sandbox-1", "deploy.rollback", "--watch", "2", "--yes"))
    assert (host.code, host.version) == ("v2.71.0", 1)
