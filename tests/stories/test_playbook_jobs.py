"""The playbook's "Debugging jobs", typed into a real terminal.

The same few jobs serve all stories: they are submitted together, before the first.
"""

from types import SimpleNamespace

import pytest

from tests import tds_server
from tests.jobs import jobs_help as jobs

pytestmark = [pytest.mark.story, pytest.mark.hosts(1)]
ONE = "sandbox-1"
INV = f"inv -H {ONE}"


@pytest.fixture(scope="module")
def at_work(managed):
    """The ids of jobs: one that is over, and three that run."""
    wanted = {"over": "fail", "extract": "extract", "stays": "longer", "doomed": "longer"}
    found = {name: managed.submit(ONE, action, name)[0] for name, action in wanted.items()}
    jobs.ended(managed, ONE, found["over"])
    for name in ("extract", "stays", "doomed"):
        box = f"os-job-{found[name]}"
        jobs.until(lambda box=box: box in jobs.containers(managed, ONE), f"{name} does not run")
    yield SimpleNamespace(**found)
    jobs.clear(managed, ONE)


def nothing_is_left(managed):
    """Neither a container of ours nor a docker client is left."""
    jobs.until(lambda: not jobs.containers(managed, ONE, "^opstasks-"), "a container is left", 20)
    left = "pgrep -fa '[d]ocker (run|logs|wait)|[s]trace' || [ $? = 1 ]"
    jobs.until(lambda: not jobs.sh(managed, ONE, left), "a program is left", 20)


def printed(managed, job):
    """A job's output so far, from docker."""
    return jobs.sh(managed, ONE, f"docker logs os-job-{job}")


# -- the database ----------------------------------------------------------------------------


def test_debugging_slow_queries(terminal, managed, at_work):
    """current-queries.sh v"""
    jobs.until(lambda: "INSERT" in printed(managed, at_work.extract), "no statement")
    shown, code = terminal.run(f"{INV} jobs.queries --sql")
    assert code == 0
    assert at_work.extract in shown
    assert "INSERT INTO [#tmp_" in shown
    assert at_work.stays not in shown
    shown, code = terminal.run(f"{INV} jobs.queries | cat")
    assert (code, at_work.extract in shown, "INSERT" in shown) == (0, True, False)
    assert "INSERT" not in terminal.run(f"{INV} jobs.queries --sql | cat")[0]


def test_assessing_query_progress_in_mssql(terminal, tds_database):
    """SELECT t.name, p.rows FROM tempdb.sys.tables t ...; SELECT COUNT(*) FROM ... (NOLOCK)"""
    shown, code = terminal.run(f"{INV} db.progress --temp-table '#tmp_1'")
    assert (code, "1,234,567" in shown, "estimate" in shown) == (0, True, True)
    assert tds_server.PASSWORD not in shown
    shown, code = terminal.run(f"{INV} db.progress --table DataExtract_ab")
    assert (code, "42" in shown) == (0, True)
    first, second = tds_database.must(ONE, ["cat", "/tmp/tds.log"]).splitlines()
    assert tds_server.ESTIMATE.fullmatch(first)
    assert tds_server.COUNT.fullmatch(second)


# -- reading ---------------------------------------------------------------------------------


def test_showing_running_jobs(terminal, managed, at_work):
    """just jobrunner/jobs-ls"""
    shown, code = terminal.run(f"{INV} jobs.ls")
    assert code == 0
    for name in ("stays", "doomed"):
        short = getattr(at_work, name)[:6]
        (line,) = [line for line in shown.splitlines() if short in line]
        assert line.split()[:6] == [ONE, short, name, "/", "longer", "executing"]
    assert at_work.over[:6] not in shown
    terminal.type(f"{INV} jobs.ls --watch")
    terminal.see(at_work.stays[:6])
    terminal.interrupt()
    shown, code = terminal.done()
    assert (code, "error" in shown) == (130, False)


def test_viewing_the_logs_of_a_completed_job(terminal, managed, at_work):
    """less /srv/high_privacy/logs/<YYYY-MM>/os-job-<job_id>/logs.txt"""
    kept = jobs.sh(managed, ONE, f"cat {jobs.LOGS}/*/os-job-{at_work.over}/logs.txt")
    shown, code = terminal.run(f"{INV} jobs.logs {at_work.over[:12]} --lines 0 --timestamps")
    assert code == 0
    assert kept.replace("\n", "\r\n") in shown
    shown, code = terminal.run(f"{INV} jobs.logs {at_work.over} | cat")
    assert "about to fail" in kept
    assert (code, "about to fail" in shown, " lines, " in shown) == (0, False, True)


def test_viewing_the_logs_of_a_running_job(terminal, managed, at_work):
    """watch-job-logs.sh"""
    terminal.type(f"{INV} jobs.follow")
    shown = terminal.see("Which number?")
    (line,) = [line for line in shown.splitlines() if at_work.stays in line]
    terminal.type(line.split()[0])
    terminal.see(f"os-job-{at_work.stays}")
    before = int(printed(managed, at_work.stays).split()[-3])
    terminal.see(f"second {before + 2} of 600")
    terminal.interrupt()
    shown, code = terminal.done()
    assert (code, "error" in shown) == (130, False)
    nothing_is_left(managed)
    assert jobs.row(managed, ONE, at_work.stays)["state"] == "running"


def test_viewing_resource_usage(terminal, managed, at_work):
    """just jobrunner/jobs-stats; free -m; top"""
    shown, code = terminal.run(f"{INV} jobs.stats")
    assert code == 0
    (line,) = [line for line in shown.splitlines() if at_work.stays[:6] in line]
    assert "stays / longer" in line
    limit = f"docker inspect -f '{{{{.HostConfig.Memory}}}}' os-job-{at_work.stays}"
    assert f"{int(jobs.sh(managed, ONE, limit)) >> 20} MiB" in line
    terminal.type(f"{INV} jobs.stats --watch --every 1")
    terminal.see(at_work.stays[:6])
    terminal.see("\x1b[H")  # drawn a second time
    terminal.interrupt()
    assert terminal.done()[1] == 130
    shown, code = terminal.run(f"{INV} host.stats --top 40")
    assert (code, "dockerd" in shown) == (0, True)
    assert "/srv/high_privacy" in shown


# -- a look inside ---------------------------------------------------------------------------


def test_mounting_the_volume_of_a_running_job(terminal, managed, at_work):
    """mount-job-volume.sh"""
    terminal.type(f"{INV} jobs.mount {at_work.stays}")
    terminal.see("# ")
    (name,) = jobs.containers(managed, ONE, "^opstasks-")
    terminal.type("ls /workspace; tty")
    terminal.see("project.yaml")
    terminal.see("/dev/pts/")
    has_size(terminal, "50 200")
    terminal.child.setwinsize(24, 60)
    has_size(terminal, "24 60")
    terminal.type("echo a-note > /workspace/note; exit 7")
    assert terminal.done()[1] == 7
    nothing_is_left(managed)
    assert managed.exec_(ONE, ["docker", "inspect", name]).returncode == 1
    assert jobs.sh(managed, ONE, f"docker exec os-job-{at_work.stays} cat note") == "a-note"


def has_size(terminal, size):
    """Docker tells a terminal's size a moment after its start, or after a change."""

    def told():
        terminal.type("stty size")
        terminal.child.expect(r"\d+ \d+\r")
        return size in terminal.child.after

    jobs.until(told, f"the terminal is not {size}", 10)


def test_stracing_a_running_job(terminal, managed, at_work):
    """docker run --rm -it --privileged --pid=host ... tools; ps faux | less; strace -fyp <pid>"""
    terminal.type(f"{INV} jobs.strace {at_work.stays}")
    terminal.child.expect(r'write\(1.*"second \d+ of 600')
    assert jobs.tracers(managed, ONE, at_work.stays)
    terminal.interrupt()
    assert terminal.done()[1] == 130
    nothing_is_left(managed)
    assert not jobs.tracers(managed, ONE, at_work.stays)


# -- changing --------------------------------------------------------------------------------


def test_killing_a_job(terminal, managed, at_work):
    """python3 -m jobrunner.cli.kill_job --cleanup <job_id>"""
    terminal.type(f"{INV} jobs.kill {at_work.doomed[:12]}")
    terminal.see("Kill 1 job on sandbox-1? [y/N]")
    terminal.interrupt()
    shown, code = terminal.done()
    assert (code, "nothing was changed" in shown) == (130, True)
    assert jobs.row(managed, ONE, at_work.doomed)["state"] == "running"
    terminal.type(f"{INV} jobs.kill {at_work.doomed[:12]}")
    terminal.answer("[y/N]", "y")
    assert terminal.done()[1] == 0
    row = jobs.row(managed, ONE, at_work.doomed)
    assert (row["state"], row["status_code"]) == ("failed", "killed_by_admin")
    assert not {name for name in jobs.containers(managed, ONE) if at_work.doomed in name}
    assert f"os-job-{at_work.stays}" in jobs.containers(managed, ONE)
    shown, code = terminal.run(f"{INV} jobs.kill {at_work.doomed}")
    assert (code, "nothing to do" in shown) == (0, True)


def test_retrying_a_job_which_failed_with_internal_error(terminal, managed, internal_error_job):
    """just jobrunner/job-retry <job_id>"""
    jobs.allow_outputs(managed, ONE)
    jobs.sh(managed, ONE, jobs.RESTART)
    shown, code = terminal.run(f"{INV} jobs.ls --state failed")
    assert (code, "internal_error" in shown) == (0, True)
    terminal.type(f"{INV} jobs.retry {internal_error_job[:13]}")
    terminal.answer(f"Retry {internal_error_job} on {ONE}? [y/N]", "")
    assert terminal.done()[1] == 2
    assert jobs.row(managed, ONE, internal_error_job)["status_code"] == "internal_error"
    terminal.type(f"{INV} jobs.retry {internal_error_job[:13]}")
    terminal.answer("[y/N]", "y")
    assert terminal.done()[1] == 0
    # The job was stopped half-way, so this is its real outcome.
    assert jobs.row(managed, ONE, internal_error_job)["status_code"] == "nonzero_exit"
    jobs.gone(managed, ONE, internal_error_job)
