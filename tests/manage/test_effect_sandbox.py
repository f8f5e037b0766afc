"""Drift on a real host: every task that relies on it sees what is in effect."""

import contextlib
import json

import pytest

from tests.manage.drifts import CODE, CONFIG, DRIFTS, RELOAD, SAME_ORIGIN, SET, UNITS, rounds
from tests.manage.manage_sandbox_help import HOST, good, steps

pytestmark = [pytest.mark.sandbox, pytest.mark.hosts(1)]
DROP_IN = f"{UNITS}/jobrunner.service.d/zz.conf"
AS_ROOT = f"mkdir -p {UNITS}/jobrunner.service.d; printf '[Service]\\nUser=root\\n' >{DROP_IN}"
FORK = "/srv/fork"


def planned(inv):
    """Every difference that `manage` shows: its values in one text."""
    done = good(inv("-H", HOST, "--json", "manage", "--plan"))
    return [" | ".join(map(str, step.values())) for step in steps(done)]


def diagnosed(inv):
    """Every finding of `doctor`."""
    done = inv("-H", HOST, "--json", "doctor")
    assert "Traceback" not in done.stderr
    checks = json.loads(done.stdout)["hosts"][HOST]["value"]["checks"]
    return [" | ".join(map(str, check.values())) for check in checks if not check["good"]]


def pending_problems(inv):
    """The reasons against a deploy, as `deploy.pending` shows them."""
    plan = json.loads(inv("-H", HOST, "--json", "deploy.pending").stdout)["hosts"][HOST]["value"]
    return [problem["text"] for problem in plan["problems"]]


def names_it(texts, words):
    return any(all(word in text for word in words) for text in texts)


def test_a_clean_host_shows_nothing(managed, inv):
    assert planned(inv) == []
    assert diagnosed(inv) == []


@pytest.mark.parametrize("names", rounds(), ids=", ".join)
def test_manage_and_doctor_name_what_is_in_effect(sh, inv, names):
    with contextlib.ExitStack() as stack:
        for name in names:
            sh(DRIFTS[name].make)
            stack.callback(sh, DRIFTS[name].undo)
        shown, found = planned(inv), diagnosed(inv)
    for name in names:
        assert names_it(shown, DRIFTS[name].words), (name, shown)
        assert names_it(found, DRIFTS[name].words), (name, found)
    assert not any("tok3n" in text for text in (*shown, *found))


def test_after_all_that_the_host_is_clean_again(managed, inv):
    assert planned(inv) == []
    assert diagnosed(inv) == []


# -- nothing is started or deployed like that ----------------------------------------------------


@pytest.fixture
def as_root(sh):
    """A stopped service, with a drop-in that would start it as root."""
    sh(f"systemctl stop jobrunner; {AS_ROOT}; {RELOAD}")
    yield
    sh(f"rm -rf {UNITS}/jobrunner.service.d; {RELOAD}; systemctl start jobrunner")


def test_a_service_that_would_run_as_root_is_not_started(sh, inv, as_root):
    done = inv("-H", HOST, "manage", "--yes")
    assert done.returncode == 2
    assert f"jobrunner is not started: unit jobrunner: {DROP_IN} sets User" in done.stderr
    for verb in ("start", "restart"):
        done = inv("-H", HOST, f"service.{verb}", "--yes")
        assert done.returncode == 2
        assert f"jobrunner would run as root, not as opensafely: {DROP_IN}" in done.stderr
    done = inv("-H", HOST, "deploy", "--restart", "--yes")
    assert done.returncode == 2
    assert "the unit would run as root" in done.stderr
    assert sh("systemctl is-active jobrunner || true") == "inactive"
    sh(f"rm {DROP_IN}; {RELOAD}")
    good(inv("-H", HOST, "manage", "--yes"))
    assert sh("ps -o user= -p $(systemctl show -p MainPID --value jobrunner)") == "opensafely"


@pytest.mark.parametrize("line", ["ExecStartPre=-+/bin/true", "AmbientCapabilities=CAP_NET_ADMIN"])
def test_no_task_stops_or_starts_a_service_with_rights_of_root(sh, inv, as_root, line):
    sh(f"printf '[Service]\\n{line}\\n' >{DROP_IN}; {RELOAD}")
    words = ("service.start", "service.restart", "prepare-reboot", "deploy --restart")
    for task in words:
        done = inv("-H", HOST, *task.split(), "--yes")
        assert done.returncode == 2, done.stdout + done.stderr
        assert "jobrunner would run " in done.stderr
        assert DROP_IN in done.stderr
    assert sh("systemctl is-active jobrunner || true") == "inactive"


def test_a_drop_in_that_systemd_loads_later_is_found_before_the_start(sh, inv, as_root):
    sh(f"rm {DROP_IN}; {RELOAD}; {AS_ROOT}")
    assert sh("systemctl show -p User --value jobrunner") == "opensafely"
    done = inv("-H", HOST, "manage", "--yes")
    assert done.returncode == 2
    assert f"{DROP_IN} sets User" in done.stderr
    assert sh("systemctl is-active jobrunner || true") == "inactive"


def test_a_process_that_still_runs_as_root_is_found(sh, inv, as_root):
    sh(f"systemctl start jobrunner; rm {DROP_IN}; {RELOAD}")
    words = ("unit jobrunner.service", "its process runs as root")
    assert names_it(planned(inv), words)
    assert names_it(diagnosed(inv), words)
    sh("systemctl stop jobrunner")


def test_commits_of_a_fork_are_not_deployed_and_manage_sets_the_origin_back(sh, inv):
    head = sh(f"git -C {CODE} rev-parse HEAD")
    evil = "git -c user.name=x -c user.email=x@y commit -q --allow-empty -m evil"
    sh(f"git clone -q {CODE} {FORK}; cd {FORK}; git checkout -q -B main; {evil}")
    sh(f"chmod -R a+rX {FORK}; {SET} --file {CONFIG} remote.origin.url {FORK}")
    try:
        assert f"{CODE}: origin is {FORK}, not {SAME_ORIGIN}" in pending_problems(inv)
        done = inv("-H", HOST, "deploy", "--yes")
        assert done.returncode == 2
        assert f"origin is {FORK}, not {SAME_ORIGIN}" in done.stderr
        assert "manage --only code" in done.stderr
        assert sh(f"git -C {CODE} rev-parse HEAD") == head
        good(inv("-H", HOST, "manage", "--only", "code", "--yes"))
        assert sh(f"git config --file {CONFIG} remote.origin.url") == SAME_ORIGIN
        assert sh(f"stat -c %U {CONFIG}") == "opensafely"
        assert planned(inv) == []
        assert "origin" not in " ".join(pending_problems(inv))
    finally:
        sh(f"rm -rf {FORK}; {SET} --file {CONFIG} remote.origin.url {SAME_ORIGIN}")


def test_an_edit_that_git_was_told_to_ignore_stops_a_deploy(sh, inv):
    as_owner = f"runuser -u opensafely -- git -C {CODE} update-index"
    sh(f"{as_owner} --assume-unchanged README.md; {as_owner} --skip-worktree jobrunner/service.py")
    try:
        text = f"{CODE}: git ignores changes of README.md, jobrunner/service.py"
        assert text in pending_problems(inv)
    finally:
        sh(f"{as_owner} --no-assume-unchanged README.md")
        sh(f"{as_owner} --no-skip-worktree jobrunner/service.py")
