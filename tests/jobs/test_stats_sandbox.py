"""jobs.stats and host.stats compared with docker and the kernel, on two hosts."""

import json
import time

import pytest

from tests.jobs import jobs_help as jobs

pytestmark = pytest.mark.sandbox
ONE, TWO = HOSTS = ("sandbox-1", "sandbox-2")
BUSY = "import time\nwhile True: pass"


@pytest.fixture(scope="module")
def running(managed):
    for host in HOSTS:
        jobs.clear(managed, host)
    found = {host: jobs.started(managed, host, "longer", "stats") for host in HOSTS}
    yield found
    for host in HOSTS:
        jobs.clear(managed, host)


def test_every_running_job_of_both_hosts_is_in_one_table(inv, managed, running):
    done = inv("-H", "sandbox", "jobs.stats")
    assert done.returncode == 0, done.stderr
    for host, job in running.items():
        (line,) = [line for line in done.stdout.splitlines() if job in line]
        assert line.startswith(host)
        assert "stats / longer" in line
        assert "256 MiB" in line


def test_jobs_stats_matches_dockers_figures(inv, managed, running):
    """The job uses all the cpu it may: half a core."""
    job = running[ONE]
    jobs.sh(managed, ONE, f"docker exec -d os-job-{job} python3 -c '{BUSY}'")
    time.sleep(1)
    form = "{{.CPUPerc}} {{.MemUsage}} {{.PIDs}}"
    theirs = jobs.sh(
        managed, ONE, f"docker stats --no-stream --format '{form}' os-job-{job}"
    ).split()
    (found,) = json.loads(inv("-H", ONE, "jobs.stats", "--json").stdout)["hosts"][ONE]["value"]
    assert found["id"] == job
    assert 0.05 < found["cpu_cores"] < 0.65, "half a core at most, less when others want it"
    assert found["cpu_limit_cores"] == 0.5
    assert found["memory_limit_bytes"] == 256 * 1024 * 1024
    assert theirs[1].endswith("MiB")
    assert abs(found["memory_bytes"] / 1024 / 1024 - float(theirs[1][:-3])) < 4
    assert found["pids"] == int(theirs[-1])
    jobs.sh(managed, ONE, "pkill -f '[w]hile True: pass' || true")


def test_thirty_containers_are_measured_as_fast_as_one(managed, running, spec, connect):
    from opstasks.core.command import cmd
    from opstasks.jobs.stats import read_stats

    image = "ghcr.io/opensafely-core/busybox"
    jobs.sh(
        managed,
        TWO,
        f"for i in $(seq 29); do docker run -d --name os-job-many$i {image} sleep 600 & "
        "if [ $((i % 5)) = 0 ]; then wait; fi; done >/dev/null; wait",
    )
    host = connect(spec(TWO))
    host.service.output(cmd("true"))
    began = time.monotonic()
    found = read_stats(host)
    elapsed = time.monotonic() - began
    jobs.sh(managed, TWO, "docker ps -aq --filter name=^os-job-many | xargs docker rm -f")
    print(f"30 containers: {elapsed:.2f} s, two measurements each")
    assert len(found) == 30
    assert elapsed < 30, "one after the other it would be a minute"


def test_host_stats_match_the_kernel_and_docker(inv, managed, running):
    done = inv("-H", "sandbox", "host.stats", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["hosts"]
    for host in HOSTS:
        value = found[host]["value"]
        total = jobs.sh(managed, host, "awk '/MemTotal/ {print $2}' /proc/meminfo")
        assert value["memory_bytes"] == int(total) * 1024
        assert value["cpus"] == int(jobs.sh(managed, host, "nproc"))
        size = jobs.sh(managed, host, "df --block-size=1 --output=size /srv/high_privacy | tail -1")
        by_place = {place: disk for disk in value["disks"] for place in disk["places"]}
        assert by_place["/srv/high_privacy"]["size_bytes"] == int(size)
        assert "/var/lib/docker" in by_place
        images = jobs.sh(managed, host, "docker images -q | sort -u | wc -l")
        assert {d["kind"]: d["count"] for d in value["docker"]}["Images"] == int(images)
        used = jobs.sh(managed, host, "df --output=pcent /srv/high_privacy | tail -1")
        there = by_place["/srv/high_privacy"]["used_percent"]
        assert abs(there - int(used.strip(" %"))) <= 1, "other programs write to the disk"
        assert len(value["processes"]) == 5
    table = inv("-H", "sandbox", "host.stats", "--top", "2").stdout
    assert "RECLAIMABLE" in table
    assert "dockerd" in inv("-H", ONE, "host.stats", "--top", "40").stdout


def test_no_argument_of_a_process_is_shown(inv, managed, running):
    secret = "hunter2-in-argv"
    jobs.sh(managed, ONE, f"nohup bash -c 'while :; do :; done # {secret}' >/dev/null 2>&1 &")
    try:
        done = inv("-H", ONE, "host.stats", "--top", "300")
        assert "bash" in done.stdout
        assert secret not in done.stdout
    finally:
        jobs.sh(managed, ONE, "pkill -f '[h]unter2-in-argv' || true")


def test_watch_runs_until_ctrl_c(sandbox_dir, running):
    child = jobs.terminal(sandbox_dir, "-H", "sandbox", "jobs-stats", "--watch", "--every", "1s")
    for _ in range(2):
        child.expect(running[TWO][:6])
    child.sendintr()
    _, code = jobs.finished(child)
    assert code == 130
    child = jobs.terminal(sandbox_dir, "-H", ONE, "host.stats", "--watch", "--every", "1s")
    child.expect("LOAD")
    child.expect("LOAD")
    child.sendintr()
    _, code = jobs.finished(child)
    assert code == 130
