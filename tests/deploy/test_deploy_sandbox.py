"""deploy on real hosts, with the real job-runner, real jobs and real migrations."""

import json
import time
from pathlib import Path

import pytest

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
    assert done.stdout.count("nothing to do") == 2
    assert [look(name).main_pid for name in HOSTS] == pids
    assert len(look("sandbox-1").records) == 1

    good(inv("-H", "sandbox-1", "deploy", "--restart", "--watch", "3", "--yes"))
    assert look("sandbox-1").main_pid != pids[0]
    assert look("sandbox-2").main_pid == pids[1]


def test_a_deploy_and_nothing_to_do_take_few_round_trips(
    managed, look, inv, at_old_release, sandbox_dir, tmp_path
):
