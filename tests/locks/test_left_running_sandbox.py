"""A step whose watcher is killed on a real host: nothing is undone beside what still runs."""

import json
import os
import threading

import pytest

from tests.deploy.deploy_help import good
from tests.look import until

pytestmark = [pytest.mark.sandbox, pytest.mark.hosts(1)]
HOST = "sandbox-1"
SLOW_STOP = "/etc/systemd/system/jobrunner.service.d/slow-stop.conf"
# The framed shell's `timeout` that limits a step, and the step itself.
TIMEOUT = "^timeout -k 5 .* deploy.steps$"
STEP = "^python3 -I -c .* deploy.steps$"
# A program that takes so many seconds after each `git checkout`, as on a slow disk.
GIT = "/usr/local/bin/git"
SLOW_GIT = (
    '#!/bin/sh\\n/usr/bin/git "$@" || exit\\ncase " $* " in *" checkout "*) exec sleep {};; esac\\n'
)
MIGRATING = "jobrunner.cli.migrate$"
# Python imports this module at its start: a migration takes some seconds, as with a large database.
CUSTOM = "/usr/local/lib/python3.11/dist-packages/usercustomize.py"
SLOW_MIGRATION = (
    "import sys, time\nif sys.orig_argv[-1:] == ['jobrunner.cli.migrate']:\n    time.sleep(6)"
)
STOPPING = "^/usr/bin/systemctl stop jobrunner"


@pytest.fixture
def host(managed, look):
    """At the old release, with a new one upstream; its service takes 6 s to stop."""
    found = look(HOST)
    found.back_to_the_old_release()
    managed.publish("v2.73.0")
    found.sh(
        f"mkdir -p {SLOW_STOP.rpartition('/')[0]};"
        f" printf '[Service]\\nExecStop=/bin/sleep 6\\n' >{SLOW_STOP}; systemctl daemon-reload"
    )
    yield found
    managed.publish("v2.71.0")
    found.sh(f"rm -f {GIT} {SLOW_STOP} {CUSTOM}; systemctl daemon-reload")


def processes(host, pattern):
    return host.sh(f"pgrep -f '{pattern}' || true").split()


def killing(host, pattern, begun):
    """Kill a process of a step as soon as something that it started runs."""
    script = (
        f"for i in $(seq 2000); do pgrep -f '{begun}' && break; sleep 0.02; done;"
        f" pkill -9 -f '{pattern}'"
    )
    thread = threading.Thread(target=host.sh, args=(script,))
    thread.start()
    return thread


def deploy_killing(inv, host, *words):
    thread = killing(host, *words)
    done = inv("-H", HOST, "deploy", "--watch", "1", "--yes")
    thread.join()
    return done


def slow_git(host, seconds):
    host.sh(f"printf '{SLOW_GIT.format(seconds)}' >{GIT}; chmod 755 {GIT}")


@pytest.mark.parametrize("killed", [TIMEOUT, STEP])
def test_a_step_that_lost_its_watcher_is_undone_only_after_it_has_ended(host, inv, killed):
    before = host.whole()
    done = deploy_killing(inv, host, killed, STOPPING)
    assert done.returncode == 1, done.stdout + done.stderr
    assert not processes(host, STEP)
    assert not processes(host, STOPPING)
    # It stays so: nothing stops the service afterwards.
    host.sh("sleep 4")
    assert host.whole() == before
    assert "wait until an earlier step has really ended" in done.stderr
    assert "BACK ON v2.71.0" in done.stderr
    assert "Traceback" not in done.stderr
    assert [record["outcome"] for record in host.records] == ["rolled back"]
    assert host.lock_is_free


def test_a_checkout_that_outlives_its_step_is_undone_only_after_it_has_ended(host, inv):
    before = host.whole()
    slow_git(host, 5)
    done = deploy_killing(inv, host, STEP, "^sleep 5$")
    assert done.returncode == 1, done.stdout + done.stderr
    assert host.whole() == before
    assert "wait until an earlier step has really ended" in done.stderr
    assert not processes(host, "^sleep 5$")
    assert host.lock_is_free


def test_a_migration_that_outlives_its_step_ends_before_the_restore(host, inv):
    before = host.whole()
    host.sh(f'cat >{CUSTOM} <<"END"\n{SLOW_MIGRATION}\nEND')
    done = deploy_killing(inv, host, STEP, MIGRATING)
    assert done.returncode == 1, done.stdout + done.stderr
    assert host.whole() == before
    assert "wait until an earlier step has really ended" in done.stderr
    assert "level4_excluded_files" not in host.sql("select sql from sqlite_schema")
    assert not processes(host, MIGRATING)


def test_what_outlives_its_step_and_its_client_keeps_others_out(host, inv, managed):
    slow_git(host, 20)
    shell = "^bash --norc -p -c echo ready"
    done = deploy_killing(inv, host, f"{STEP}|{TIMEOUT}|{shell}", "^sleep 20$")
    assert done.returncode == 4, done.stdout + done.stderr
    assert processes(host, "^sleep 20$"), "it has ended already: this test proves nothing"
    for words in (["deploy", "--unfinished", "back"], ["service.restart"]):
        refused = inv("-H", HOST, *words, "--yes")
        assert refused.returncode == 2, refused.stdout + refused.stderr
        assert "someone is changing it" in refused.stderr
    (held,) = json.loads(inv("-H", HOST, "--json", "lock.show").stdout)["hosts"].values()
    assert held["value"]["owner"]["task"] == "deploy"
    until(lambda: host.lock_is_free, "the lock is not free")
    host.sh(f"rm {GIT}")
    good(inv("-H", HOST, "deploy", "--unfinished", "back", "--yes"))
    assert (host.code, host.version, host.serving) == ("v2.71.0", 1, True)


def test_nothing_is_undone_beside_a_step_that_does_not_end(host, inv, tmp_path):
    """The time to wait is shortened for the client by a module that Python imports at its start."""
    slow_git(host, 600)
    (tmp_path / "sitecustomize.py").write_text(
        "from opstasks.fleet import leftover\nleftover.WAIT_S = 3\n"
    )
    paths = f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"
    thread = killing(host, STEP, "^sleep 600$")
    done = inv("-H", HOST, "deploy", "--watch", "1", "--yes", env={"PYTHONPATH": paths})
    thread.join()
    assert done.returncode == 4, done.stdout + done.stderr
    assert "sleep 600" in done.stderr
    assert "nothing was undone" in done.stderr
    assert "lock.break" in done.stderr
    assert not host.serving
    assert not host.lock_is_free
    hint = ["lock.break", "--reason", "its step hangs", "--yes"]
    good(inv("-H", HOST, *hint))
    host.sh(f"rm {GIT}")
    good(inv("-H", HOST, "deploy", "--unfinished", "back", "--yes"))
    assert (host.code, host.version, host.serving) == ("v2.71.0", 1, True)
