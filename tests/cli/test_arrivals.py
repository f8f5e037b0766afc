"""The real `inv`: -H @failed over several runs, -H @FILE, and what is recorded."""

import json
import re

import pytest

FLEET = """
groups: {prod: {hosts: [tpp, emis]}}
hosts:
  tpp: {address: 127.0.0.1, port: 1}
  emis: {address: 127.0.0.1, port: 1}
  test: {address: 127.0.0.1, port: 1}
"""


@pytest.fixture
def fleet(tmp_path):
    (tmp_path / "hosts.yaml").write_text(FLEET)
    return tmp_path / "hosts.yaml"


@pytest.fixture
def inv(program):
    """Run `inv`; nothing listens at any host's address."""
    return program


@pytest.fixture
def records(tmp_path):
    """The records of runs, by task."""

    def read():
        files = (tmp_path / "state").rglob("last/*/*.json")
        return {path.stem: json.loads(path.read_text()) for path in files}

    return read


def test_the_hosts_that_failed_are_selected_and_the_run_is_named(inv):
    inv("-H", "prod", "status")
    again = inv("-H", "@failed", "status")
    assert again.returncode == 3
    assert again.stderr.startswith("@failed: 2 of 2 hosts in the last run of `status`, ")
    assert again.stderr.splitlines()[0].endswith(" ago: tpp, emis")
    fewer = inv("-H", "@failed,!tpp", "--json", "status")
    assert list(json.loads(fewer.stdout)["hosts"]) == ["emis"]
    # The last run counts, whatever its hosts.
    assert "1 of 1 host in the last run" in inv("-H", "@failed", "status").stderr


def test_each_task_has_its_own_last_run(inv):
    inv("-H", "prod", "status")
    done = inv("-H", "@failed", "doctor")
    assert (done.returncode, done.stdout) == (2, "")
    assert "error  @failed: there is no earlier run of `doctor` from here" in done.stderr
    assert [line[:5] for line in done.stderr.splitlines()] == ["error", "next:"]


def test_an_alias_counts_as_the_same_task(inv, records):
    inv("-H", "tpp", "deploy", "--yes")
    assert list(records()) == ["deploy"]
    assert "1 of 1 host" in inv("-H", "@failed", "deploy", "--yes").stderr


def test_a_run_is_named_with_its_program_and_not_its_arguments(inv, records):
    inv("-H", "tpp", "run", "--", "mysql", "--password=sesame")
    assert "sesame" not in json.dumps(records())
    said = inv("-H", "@failed", "run", "--", "uptime").stderr
    assert "in the last run of `run -- mysql`, " in said


@pytest.mark.parametrize(
    "words",
    [
        "-H prod --dry deploy",  # nothing was to be changed
        "-H tppp deploy",  # no host was asked
        "-H prod deploy --watch -1",
        "-H prod manage --plan",
    ],
)
def test_plans_dry_runs_and_wrong_usage_leave_the_record(inv, records, words):
    for task in ("deploy", "manage"):
        inv("-H", "test", task, "--yes")
    before = records()
    assert inv(*words.split()).returncode in (2, 3)
    assert records() == before


def test_a_task_that_changes_hosts_is_recorded_too(inv, records):
    inv("-H", "prod", "service.restart", "--yes")
    assert records()["service.restart"]["outcomes"] == {"tpp": "unreachable", "emis": "unreachable"}


def test_a_host_that_is_no_longer_described_is_left_out(inv, fleet):
    inv("-H", "prod", "status")
    fleet.write_text(FLEET.replace("  emis:", "  other:").replace(", emis", ""))
    done = inv("-H", "@failed", "status")
    assert "@failed: no longer in hosts.yaml: emis" in done.stderr
    assert "1 of 2 hosts" in done.stderr


def test_failed_is_refused_when_no_host_failed(inv, tmp_path):
    inv("-H", "prod", "status")
    (path,) = (tmp_path / "state").rglob("last/*/*.json")
    path.write_text(path.read_text().replace("unreachable", "ok"))
    done = inv("-H", "@failed", "status")
    assert done.returncode == 2
    assert "@failed: no host failed in the last run of `status`" in done.stderr
    path.write_text("garbage")
    done = inv("-H", "@failed", "status")
    assert (done.returncode, done.stderr.count("\n")) == (2, 2)


def test_a_record_that_cannot_be_written_does_not_fail_the_run(inv, tmp_path):
    (tmp_path / "state").write_text("not a folder")
    done = inv("-H", "prod", "status")
    assert done.returncode == 3
    assert "this run is not recorded for -H @failed: not a directory" in done.stderr


def test_hosts_from_a_file_and_from_standard_input(inv, tmp_path):
    (tmp_path / "list").write_text("tpp # first\ntest\n")
    done = inv("-H", f"@{tmp_path}/list", "--json", "status")
    assert list(json.loads(done.stdout)["hosts"]) == ["tpp", "test"]
    done = inv("-H", "@-", "--json", "status", stdin=None, input="emis\n")
    assert list(json.loads(done.stdout)["hosts"]) == ["emis"]


def test_each_error_is_shown_once(inv):
    for task in ("status", "jobs.ls", "jobs.stats", "host.stats", "logs", "history", "doctor"):
        done = inv("-H", "prod", task)
        assert done.returncode == 3
        named = re.findall(r"error  cannot connect .*\(([\w, ]+)\)", done.stderr)
        assert sorted(", ".join(named).split(", ")) == ["emis", "tpp"], task
        assert done.stderr.count("error  ") == len(named), task
    for line in ("config.set MAX_WORKERS=1", "pause", "jobs.kill abc", "run -- true"):
        done = inv("-H", "prod", "--yes", *line.split())
        assert len(re.findall(r"error  cannot connect .*\btpp\b", done.stderr)) == 1, line
