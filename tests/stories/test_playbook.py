"""The playbook's sections, typed into a real terminal."""

import pytest

pytestmark = pytest.mark.story
HOME = "/home/opensafely"


def test_updating_the_infrastructure(terminal, managed, observer):
    """sudo just manage"""
    here = observer("sandbox-1")
    here.check_output(f"chmod 0777 {HOME}/config/03_backend.env")
    terminal.type("inv -H sandbox-1 manage")
    assert "0777" in terminal.see("change(s) on sandbox-1? [y/N]")
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
    assert terminal.done()[1] == 7


def test_starting_and_stopping_the_service(terminal, managed, observer):
    """just jobrunner/stop; just jobrunner/start"""
    terminal.type("inv -H sandbox-1 service.stop")
    terminal.answer("Stop job-runner on sandbox-1? [y/N]", "y")
    assert terminal.done()[1] == 0
    assert not observer("sandbox-1").service("jobrunner").is_running
    terminal.type("inv -H sandbox-1 service.start")
    assert terminal.done()[1] == 0
    assert observer("sandbox-1").service("jobrunner").is_running


def test_viewing_logs(terminal, managed):
    """just jobrunner/logs 20: no pager, and Ctrl-C ends following"""
    terminal.type("inv -H sandbox-1 logs --lines 5")
    shown, code = terminal.done()
    assert code == 0
    assert shown.count(" sandbox-1 ") == 5
    terminal.type("inv -H sandbox logs --lines 1 --follow")
    terminal.see("sandbox-1")
    terminal.child.sendintr()
    assert terminal.done()[1] == 130
    left = managed.exec_("sandbox-1", ["pgrep", "-f", "journalctl.*--follow"])
    assert left.returncode == 1, "journalctl still follows"


def test_deploying_job_runner(terminal, managed, look):
    """just jobrunner/deploy"""
    here = look("sandbox-1")
    here.back_to_the_old_release()
    managed.publish("v2.73.0", ["sandbox-1"])
    try:
        terminal.type("inv -H sandbox-1 deploy")
        shown = terminal.see("Deploy to sandbox-1? [y/N]")
        assert "v2.71.0 -> v2.73.0" in shown
        assert "migration 3" in shown
        terminal.child.sendline("y")
        terminal.see("now at v2.73.0")
        assert terminal.done()[1] == 0
        assert (here.code, here.version, here.serving) == ("v2.73.0", 3, True)
        terminal.type("inv -H sandbox-1 deploy.rollback")
        terminal.answer("Go back on sandbox-1? [y/N]", "y")
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
        terminal.see("sudo password:")
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
    try:
        terminal.type(f"inv --inventory {inventory} -H sandbox status")
        terminal.answer("sudo password:", managed.sudo_password())
        shown, code = terminal.done()
        assert code == 0
        assert "sudo password:" not in shown
        assert managed.sudo_password() not in shown
        assert shown.count("running") >= 2
        terminal.type(f"inv --inventory {inventory} -H sandbox-1 status")
        terminal.answer("sudo password:", "wrong")
        shown, code = terminal.done()
        assert code == 2
        assert "sudo did not accept the password" in shown
    finally:
        inventory.unlink()
