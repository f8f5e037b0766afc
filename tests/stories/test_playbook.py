"""The playbook's sections, typed into a real terminal."""

import re
import time

import pytest
import yaml

from tests.images.images_help import SANDBOX_PROXY, SANDBOX_REGISTRY, image_id, push_image
from tests.look import until
from tests.maintenance.maintenance_help import Look as Maintenance
from tests.sync import level3 as level3_help
from tests.sync.level3 import SOURCE, TARGET

pytestmark = pytest.mark.story
HOME = "/home/opensafely"
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def plain(shown):
    """What a terminal shows, without colours and movements of the cursor."""
    return ESCAPES.sub("", shown)


def test_updating_the_infrastructure(terminal, managed, observer):
    """sudo just manage"""
    here = observer("sandbox-1")
    here.check_output(f"chmod 0777 {HOME}/config/03_backend.env")
    terminal.type("inv -H sandbox-1 manage")
    assert "0777" in terminal.see("Make 1 change on sandbox-1? [y/N]")
    terminal.child.sendline("n")
    assert terminal.done()[1] == 2
    assert here.file(f"{HOME}/config/03_backend.env").mode == 0o777
    terminal.type("inv -H sandbox-1 manage")
    terminal.answer("[y/N]", "y")
    assert terminal.done()[1] == 0
    assert here.file(f"{HOME}/config/03_backend.env").mode == 0o640


def test_the_opensafely_user(terminal, managed):
    """sudo su - opensafely"""
    terminal.type("inv -H sandbox-1 shell")
    terminal.see("$ ")
    terminal.type("echo I am $(id -un) on $(hostname) in $PWD with $BACKEND")
    terminal.see(f"I am opensafely on sandbox-1 in {HOME} with test")
    terminal.type("stty size")
    terminal.see("50 200")
    terminal.type("exit 7")
    assert terminal.done()[1] == 0


def test_starting_and_stopping_the_service(terminal, managed, observer):
    """just jobrunner/stop; just jobrunner/start"""
    terminal.type("inv -H sandbox-1 service.stop")
    terminal.answer("Stop job-runner on sandbox-1? [y/N]", "y")
    shown, code = terminal.done()
    assert (code, "Undo: inv -H sandbox-1 service.start" in plain(shown)) == (0, True)
    assert not observer("sandbox-1").service("jobrunner").is_running
    terminal.type("inv -H sandbox-1 service.start")
    shown, code = terminal.done()
    assert (code, "service up" in plain(shown)) == (0, True)
    assert observer("sandbox-1").service("jobrunner").is_running


def test_viewing_logs(terminal, managed):
    """just jobrunner/logs 20: no pager, and Ctrl-C ends following"""
    terminal.type("inv -H sandbox-1 logs --lines 5")
    shown, code = terminal.done()
    assert code == 0
    assert "sandbox-1: last 5 lines, newest last, times in UTC" in shown
    terminal.type("inv -H sandbox logs --lines 1 --follow")
    terminal.see("sandbox-1")
    terminal.child.sendintr()
    assert terminal.done()[1] == 130
    look = ["pgrep", "-f", "journalctl.*--follow"]
    until(lambda: managed.exec_("sandbox-1", look).returncode == 1, "journalctl still follows", 20)


def test_deploying_job_runner(terminal, managed, look):
    """just jobrunner/deploy"""
    here = look("sandbox-1")
    here.back_to_the_old_release()
    managed.publish("v2.73.0", ["sandbox-1"])
    try:
        terminal.type("inv -H sandbox-1 deploy")
        shown = plain(terminal.see("Deploy to sandbox-1? [y/N]"))
        assert "sandbox-1: v2.71.0 -> v2.73.0   5 commits, 2 migrations" in shown
        assert "database 1 -> 3  job: + level4_excluded_files, + requires_db" in shown
        assert "Undo: inv -H sandbox-1 deploy.rollback" in shown
        terminal.child.sendline("y")
        terminal.see("DONE")
        terminal.see("v2.73.0, service up")
        assert terminal.done()[1] == 0
        assert (here.code, here.version, here.serving) == ("v2.73.0", 3, True)
        terminal.type("inv -H sandbox-1 deploy.rollback")
        shown = plain(terminal.see("Go back on sandbox-1? [y/N]"))
        assert "v2.73.0 -> v2.71.0   takes back 5 commits, 2 migrations undone" in shown
        terminal.child.sendline("y")
        assert terminal.done()[1] == 0
        assert (here.code, here.version, here.serving) == ("v2.71.0", 1, True)
    finally:
        managed.publish("v2.71.0", ["sandbox-1"])


def test_ctrl_c_at_the_password_leaves_a_terminal_that_shows_what_is_typed(
    terminal, managed, sandbox_dir
):
    text = (sandbox_dir / "hosts.yaml").read_text()
    inventory = sandbox_dir / "asking.yaml"
    inventory.write_text(
        text.replace("user: ops", "user: dev").replace("sudo: nopasswd", "sudo: ask")
    )
    try:
        terminal.type("stty echo")
        terminal.done()
        terminal.type(f"inv --inventory {inventory} -H sandbox-1 status")
        terminal.see("sudo password for sandbox-1: ")
        terminal.child.sendintr()
        assert terminal.done()[1] == 130
        terminal.type("stty -a")
        assert " echo " in terminal.done()[0]
    finally:
        inventory.unlink()


def test_a_sudo_password_is_asked_for_once_and_not_shown(terminal, managed, sandbox_dir):
    """A developer's account needs its password for sudo."""
    text = (sandbox_dir / "hosts.yaml").read_text()
    asking = text.replace("user: ops", "user: dev").replace("sudo: nopasswd", "sudo: ask")
    inventory = sandbox_dir / "asking.yaml"
    inventory.write_text(asking)
    terminal.run("stty echo")
    try:
        terminal.type(f"inv --inventory {inventory} -H sandbox status")
        terminal.answer("sudo password for sandbox-", managed.sudo_password())
        terminal.answer("as well? [y/N] ", "y")
        shown, code = terminal.done()
        assert code == 0
        assert "sudo password" not in shown
        assert managed.sudo_password() not in shown
        assert plain(shown).count("  up ") >= 2
        terminal.type(f"inv --inventory {inventory} -H sandbox-1 status")
        terminal.answer("sudo password for sandbox-1: ", "wrong")
        shown, code = terminal.done()
        assert code == 2
        assert "sudo did not accept the password" in shown
    finally:
        inventory.unlink()


# -- configuration and images ----------------------------------------------------------------

LOCAL = f"{HOME}/config/04_local.env"
RUNNING = "tr '\\0' '\\n' </proc/$(systemctl show jobrunner -p MainPID --value)/environ"


def test_configuring_the_job_runner(terminal, managed, look):
    """vi /home/opensafely/config/04_local.env"""
    here = look("sandbox-1")
    before = here.sh(f"cat {LOCAL}")
    shown, code = terminal.run("inv -H sandbox-1 config.show MAX_WORKERS")
    assert (code, "03_backend.env" in shown) == (0, True)
    # A new override is undone by one command: no question.
    shown, code = terminal.run("inv -H sandbox-1 config.set MAX_WORKERS=2")
    assert (code, "inv -H sandbox-1 service.restart" in shown) == (0, True)
    assert "inv -H sandbox-1 config.unset MAX_WORKERS" in shown
    assert here.sh(f"grep -x MAX_WORKERS=2 {LOCAL}")
    assert "MAX_WORKERS=3" in here.sh(RUNNING), "not before the restart"
    shown, code = terminal.run("inv -H sandbox-1 config.check")
    assert (code, "the service runs with 3, the files say 2" in shown) == (1, True)
    terminal.type("inv -H sandbox-1 config.unset MAX_WORKERS")
    terminal.answer("Write 04_local.env on sandbox-1? [y/N]", "y")
    assert terminal.done()[1] == 0
    assert here.sh(f"cat {LOCAL}") == before
    assert terminal.run("inv -H sandbox-1 config.check --problems")[1] == 0


def test_a_secret_is_typed_unseen(terminal, managed, look):
    """vi /home/opensafely/config/02_secrets.env"""
    here = look("sandbox-1")
    before = here.sh(f"cat {LOCAL}")
    terminal.run("stty echo")
    terminal.type("inv -H sandbox-1 config.set JOB_SERVER_TOKEN=-")
    terminal.see("JOB_SERVER_TOKEN:")
    terminal.interrupt()
    shown, code = terminal.done()
    assert (code, "nothing was changed" in shown) == (130, True)
    terminal.type("inv -H sandbox-1 config.set JOB_SERVER_TOKEN=-")
    terminal.answer("JOB_SERVER_TOKEN:", "")
    shown, code = terminal.done()
    assert (code, "no value was given" in shown) == (2, True)
    terminal.type("inv -H sandbox-1 config.set JOB_SERVER_TOKEN=-")
    terminal.answer("JOB_SERVER_TOKEN:", "s3cret of ours")
    shown, code = terminal.done()
    assert (code, "s3cret" in shown) == (0, False)
    assert "s3cret of ours" in here.sh(f"cat {LOCAL}")
    terminal.type("inv -H sandbox-1 config.unset JOB_SERVER_TOKEN")
    terminal.answer("[y/N]", "y")
    assert terminal.done()[1] == 0
    assert here.sh(f"cat {LOCAL}") == before


def test_updating_a_docker_image(terminal, image_registry, update_words):
    """update-docker-image.sh ehrql:v1"""
    new = push_image(image_registry, "ehrql:v1", "for the story")
    old = image_id(image_registry, f"{SANDBOX_REGISTRY}/ehrql:v1")
    terminal.type(f"{update_words} images.update ehrql:v1")
    terminal.answer("Update images on sandbox-1? [y/N]", "n")
    assert terminal.done()[1] == 2
    assert image_id(image_registry, f"{SANDBOX_REGISTRY}/ehrql:v1") == old
    terminal.type(f"{update_words} images.update ehrql:v1")
    terminal.answer("[y/N]", "y")
    shown, code = terminal.done()
    assert (code, "pulled ehrql:v1" in shown) == (0, True)
    assert image_id(image_registry, f"{SANDBOX_REGISTRY}/ehrql:v1") == new
    shown, code = terminal.run(f"{update_words} images.ls")
    assert (code, f"{SANDBOX_REGISTRY}/ehrql:v1" in shown) == (0, True)


@pytest.fixture
def update_words(sandbox_dir, tmp_path):
    """`inv` with an inventory that names the registry's proxy."""
    path = tmp_path / "proxy.yaml"
    found = yaml.safe_load((sandbox_dir / "hosts.yaml").read_text())
    found["hosts"]["sandbox-1"]["registry_proxy"] = SANDBOX_PROXY
    path.write_text(yaml.safe_dump(found))
    return f"inv --inventory {path} -H sandbox-1"


# -- Level 3 and Level 4 files ---------------------------------------------------------------


@pytest.fixture
def level3(sandbox_dir, tmp_path, look):
    """`inv` with an inventory that knows the Windows drive, and the drive itself."""
    with level3_help.drive(look("sandbox-1")):
        path = level3_help.inventory_with_source(sandbox_dir, tmp_path / "drive.yaml")
        yield f"inv --inventory {path} -H sandbox-1"


def test_level_3_file_sync(terminal, level3, look):
    """while true; do rsync -auP /e/FILESFORL4/workspaces/ ...; sleep 120; done"""
    here = look("sandbox-1")
    here.sh(f"mkdir {SOURCE}/l3-story; echo one >{SOURCE}/l3-story/a.txt")
    shown, code = terminal.run(f"{level3} sync.start")
    assert (code, "l3-story/a.txt" in shown) == (0, True)
    assert here.sh(f"cat {TARGET}/l3-story/a.txt") == "one"
    assert here.sh("systemctl is-enabled opstasks-level3-sync.timer") == "enabled"
    here.sh(f"echo two >{SOURCE}/l3-story/b.txt")
    shown, code = terminal.run(f"{level3} sync.once")
    assert (code, "copied l3-story/b.txt" in shown) == (0, True)
    assert here.sh(f"stat -c '%U:%G %a' {TARGET}/l3-story/b.txt") == "opensafely:reviewers 640"
    shown, code = terminal.run(f"{level3} sync.status")
    assert (code, " on " in shown) == (0, True)
    terminal.type(f"{level3} sync.stop")
    terminal.answer("[y/N]", "y")
    assert terminal.done()[1] == 0
    assert here.sh("systemctl is-enabled opstasks-level3-sync.timer; true") == "disabled"
    assert here.sh(f"ls {TARGET}/l3-story") == "a.txt\nb.txt"


def test_removing_a_level_4_file(terminal, level3, look):
    """rm /srv/medium_privacy/workspaces/$WORKSPACE/table.csv; then on L4: SHIFT+DEL"""
    here = look("sandbox-1")
    file = "l3-story/out/the table.csv"
    for top in ("/srv/high_privacy/workspaces", TARGET, SOURCE):
        here.sh(f"mkdir -p {top}/l3-story/out; echo x >'{top}/{file}'")
        here.sh(f"chown -R opensafely {top}/l3-story")
    assert "'out/the table.csv'" in terminal.run(f"{level3} outputs.ls l3-story")[0]
    terminal.type(f"{level3} outputs.rm l3-story 'out/the table.csv' --reason mistake")
    terminal.answer("[remove/keep]", "remove")
    terminal.answer("Type the workspace's name to continue:", "l3-stroy")
    assert terminal.done()[1] == 2
    assert here.sh(f"cat '{TARGET}/{file}' '{SOURCE}/{file}'") == "x\nx"
    terminal.type(f"{level3} outputs.rm l3-story 'out/the table.csv' --reason mistake")
    terminal.answer("[remove/keep]", "remove")
    terminal.answer("to continue:", "l3-story")
    shown, code = terminal.done()
    assert (code, r"D:\Level4Files\workspaces\l3-story\out\the table.csv" in shown) == (0, True)
    left = here.sh(f"find {TARGET}/l3-story {SOURCE}/l3-story /srv/high_privacy -name 'the *'")
    assert left == f"/srv/high_privacy/workspaces/{file}"
    shown, code = terminal.run(f"{level3} outputs.pending")
    removal = re.search(r"outputs\.attest (\w+)", shown)[1]
    terminal.type(f"{level3} outputs.attest {removal} --by 'Alex Jones'")
    terminal.answer("Did Alex Jones delete it on the partner's side? [y/N]", "y")
    assert terminal.done()[1] == 0
    assert "no unfinished removals" in terminal.run(f"{level3} outputs.pending")[0]
    assert "Alex Jones" in here.sh(f"cat {HOME}/opstasks/outputs/*.json")
    here.sh("rm -r /srv/high_privacy/workspaces/l3-story")


# -- start up and shutdown -------------------------------------------------------------------


def test_pausing_new_jobs(terminal, managed, host):
    """just jobrunner/pause; just jobrunner/unpause"""
    shown, code = terminal.run("inv -H sandbox-1 pause --reason 'database upgrade'")
    assert (code, "database upgrade" in shown) == (0, True)
    assert host.paused
    (job,) = managed.submit("sandbox-1", "quick", "pausing")
    until(lambda: host.jobs()[job] == ("pending", "paused"), "the job waits")
    shown, code = terminal.run("inv -H sandbox-1 status")
    assert (code, "database upgrade" in shown) == (0, True)
    assert terminal.run("inv -H sandbox-1 unpause")[1] == 0
    assert not host.paused
    until(lambda: host.jobs()[job][0] != "pending", "the job begins")


def test_planned_maintenance(terminal, host):
    """sleep $((4*3600)); just jobrunner/stop && just jobrunner/prepare-for-reboot"""
    terminal.type("inv -H sandbox-1 prepare-reboot --delay 4h --reason 'host patches'")
    asked = terminal.see("[y/N]")
    assert "Prepare sandbox-1 for a reboot at" in plain(asked)
    terminal.type("")
    assert terminal.done()[1] == 2
    assert host.timers == []
    terminal.type("inv -H sandbox-1 prepare-reboot --delay 4h --reason 'host patches'")
    terminal.answer("[y/N]", "y")
    assert terminal.done()[1] == 0
    (timer,) = host.timers
    (record,) = host.records()
    assert record["id"] in timer
    # Whole seconds, rounded up: never earlier than requested.
    assert 4 * 3600 - 120 < record["due_at"] - time.time() <= 4 * 3600 + 1
    shown, code = terminal.run("inv -H sandbox-1 scheduled")
    short_id = record["id"].rpartition("-")[2]
    (line,) = [line for line in shown.splitlines() if short_id in line]
    assert (code, "scheduled" in line, "host patches" in line) == (0, True, True)
    terminal.type("inv -H sandbox-1 scheduled.cancel --reason 'not today'")
    terminal.answer("Cancel this on sandbox-1? [y/N]", "y")
    assert terminal.done()[1] == 0
    assert host.timers == []
    assert host.record(record["id"])["outcome"] == "cancelled"
    assert (host.serving, host.paused) == (True, False)


def test_preparing_for_reboot_and_after_the_restart(terminal, managed, host):
    """just jobrunner/stop; just jobrunner/prepare-for-reboot; and then the host restarts"""
    (job,) = managed.submit("sandbox-1", "longer", "rebooting")
    until(lambda: host.jobs()[job] == ("running", "executing"), "the job runs")
    terminal.type("inv -H sandbox-1 prepare-reboot")
    assert job[:6] in terminal.see("Prepare sandbox-1 for a reboot now? [y/N]")
    terminal.type("no")
    assert terminal.done()[1] == 2
    assert (host.serving, host.jobs()[job][0]) == (True, "running")
    terminal.type("inv -H sandbox-1 prepare-reboot")
    terminal.answer("[y/N]", "y")
    shown, code = terminal.done()
    assert (code, "READY TO REBOOT" in shown) == (0, True)
    assert host.jobs()[job] == ("pending", "waiting_on_reboot")
    assert host.docker() == []
    assert (host.serving, host.paused, host.lock_is_free) == (False, True, True)
    shown, code = terminal.run("inv -H sandbox-1 after-reboot --wait 1s")
    assert (code, "not rebooted" in shown) == (1, True)
    managed.reboot("sandbox-1")
    shown, code = terminal.run("inv -H sandbox-1 after-reboot")
    assert (code, "FAIL" in shown) == (0, False)
    assert (host.serving, host.paused) == (True, False)
    until(lambda: host.jobs()[job][0] == "running", "the job runs again")


@pytest.fixture
def host(managed):
    """The host under maintenance, as root sees it."""
    seen = Maintenance(managed)
    yield seen
    seen.reset()
