"""Our tasks read running, waiting, ended and failed jobs on two real hosts."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from opstasks.sandbox.delay_proxy import DelayProxy
from tests.jobs import jobs_help as jobs
from tests.jobs.jobs_help import HOSTILE
from tests.round_trips import least

pytestmark = pytest.mark.sandbox
ONE, TWO = HOSTS = ("sandbox-1", "sandbox-2")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def state(managed):
    """Running, waiting, succeeded and failed jobs on one host, a running job on the other."""
    for host in HOSTS:
        jobs.clear(managed, host)
    found = {
        "failed": managed.submit(ONE, "fail", "reading")[0],
        "succeeded": managed.submit(ONE, "quick", "reading")[0],
    }
    for job in found.values():
        jobs.ended(managed, ONE, job)
    found["running"] = jobs.started(managed, ONE, "longer", "reading")
    found["other"] = jobs.started(managed, TWO, "longer", "reading-2")
    jobs.sh(
        managed,
        ONE,
        "runuser -u opensafely -- bash -c '. ~opensafely/config/load-env;"
        " cd ~opensafely/jobrunner/code; python3 -m jobrunner.cli.flags set paused=true'",
    )
    found["pending"] = managed.submit(ONE, "quick", "waiting")[0]
    waits = lambda: jobs.row(managed, ONE, found["pending"])["status_code"] == "paused"  # noqa: E731
    jobs.until(waits, "the job does not wait")
    yield found
    for host in HOSTS:
        jobs.clear(managed, host)


def listed(done):
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(done.stdout)
    return {job["id"]: job for host in document["hosts"].values() for job in host["value"]}


def test_running_jobs_of_both_hosts_are_in_one_table(inv, state):
    done = inv("-H", "sandbox", "jobs.ls")
    assert done.returncode == 0
    lines = {line.split()[1]: line for line in done.stdout.splitlines() if "sandbox-" in line}
    assert set(lines) == {state["running"], state["other"], state["pending"]}
    assert "waiting" in lines[state["pending"]] or "paused" in lines[state["pending"]]
    assert "python:latest" in lines[state["running"]]
    assert "256 MiB" in lines[state["running"]]
    assert "0.5" in lines[state["running"]]


def test_every_state_can_be_selected(inv, state, managed):
    everything = listed(inv("-H", "sandbox", "jobs.ls", "--all", "--json"))
    assert set(everything) == set(state.values())
    for job in state.values():
        host = TWO if job == state["other"] else ONE
        seen = jobs.row(managed, host, job)
        keys = ("state", "status_code", "workspace", "action", "status_message")
        assert {key: everything[job][key] for key in keys} == {key: seen[key] for key in keys}
        assert everything[job]["disagreement"] == ""
    for name in ("pending", "failed", "succeeded"):
        assert set(listed(inv("-H", ONE, "jobs.ls", "--state", name, "--json"))) == {state[name]}
    assert set(listed(inv("-H", ONE, "jobs.ls", "--since", "1h", "--json"))) >= {state["failed"]}
    workspace = listed(inv("-H", "sandbox", "jobs.ls", "--all", "--workspace", "waiting", "--json"))
    assert set(workspace) == {state["pending"]}


def test_a_job_is_found_on_any_host(inv, state):
    done = inv("-H", "sandbox", "jobs.show", state["other"][3:12])
    assert done.returncode == 0, done.stderr
    assert TWO in done.stdout
    assert "reading-2" in done.stdout
    done = inv("-H", "sandbox", "jobs.show", "waiting-quick")
    assert state["pending"] in done.stdout


def test_the_history_of_a_job_is_drawn(inv, state):
    done = inv("-H", ONE, "jobs.show", state["failed"])
    places = [done.stdout.index(f"  {name}") for name in ("created", "preparing", "executing")]
    places.append(done.stdout.index("  completed  failed: Job exited with an error"))
    assert places == sorted(places)
    document = json.loads(inv("-H", ONE, "jobs.show", state["running"], "--json").stdout)
    found = document["hosts"][ONE]["value"]
    assert found["container"]["state"] == "running"
    assert 0 < found["container"]["memory_bytes"] <= 256 << 20
    assert found["volume"] == {"kind": "volume", "name": f"os-volume-{state['running']}"}
    assert "started" in [event["name"] for event in found["timeline"]]


def test_a_job_that_has_ended_has_its_exit_code_and_no_output_in_a_pipe(inv, state, sandbox_dir):
    done = inv("-H", ONE, "jobs.show", state["failed"])
    assert done.stdout.startswith("failed: nonzero_exit, exit code 1\n")
    assert "the cohort is empty" not in done.stdout
    document = json.loads(inv("-H", ONE, "jobs.show", state["failed"], "--json").stdout)
    assert document["hosts"][ONE]["value"]["exit_code"] == 1
    assert "the cohort is empty" not in json.dumps(document)
    shown, _ = jobs.finished(jobs.terminal(sandbox_dir, "-H", ONE, "jobs.show", state["failed"]))
    assert "the cohort is empty" in shown
    assert "job_definition_id" not in shown


def test_several_matches_are_listed_and_chosen_by_number(inv, state, sandbox_dir):
    done = inv("-H", "sandbox", "jobs.show", "longer")
    assert done.returncode == 2
    assert state["running"] in done.stderr
    assert state["other"] in done.stderr
    child = jobs.terminal(sandbox_dir, "-H", "sandbox", "jobs.show", "longer")
    child.expect(r"(\d+)  sandbox-2  " + state["other"])
    number = child.match[1]
    child.expect("Which number")
    child.sendline(number)
    shown, code = jobs.finished(child)
    assert code == 0
    assert "reading-2" in shown


def test_hostile_words_find_nothing_and_run_nothing(inv, state, managed):
    for host in HOSTS:
        jobs.sh(managed, host, "rm -f /tmp/canary")
    before = jobs.sh(
        managed, ONE, f"sqlite3 {jobs.PATIENT} -readonly {jobs.DB} 'select count(*) from job'"
    )
    for word in [w for w in HOSTILE if w != "\ud800" and not w.startswith("-")][::6]:
        for argv in (["jobs.show", word], ["jobs.kill", word, "--yes"], ["jobs.logs", word]):
            done = inv("-H", ONE, *argv)
            assert done.returncode == 2, (argv, done.stdout, done.stderr)
            assert "Traceback" not in done.stderr
        assert listed(inv("-H", ONE, "jobs.ls", "--all", "--workspace", word, "--json")) == {}
    assert (
        jobs.sh(
            managed, ONE, f"sqlite3 {jobs.PATIENT} -readonly {jobs.DB} 'select count(*) from job'"
        )
        == before
    )
    for host in HOSTS:
        assert jobs.sh(managed, host, "ls /tmp/canary 2>/dev/null || true") == ""


def test_500_hostile_words_reach_the_host_and_match_literally(state, spec, connect, managed):
    """Through the real session, shell, script and database, in batches."""
    from hypothesis import strategies as st

    from opstasks.core.errors import Refused
    from opstasks.jobs.find import check_word, find
    from opstasks.jobs.read import JobSelection, JobsRequest, read_jobs

    generated = st.text(min_size=1, max_size=40)
    words = list(HOSTILE)
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        words += [generated.example() for _ in range(60)]
    words += [f"{a}{b}" for a in HOSTILE for b in HOSTILE]
    good = []
    for word in words:
        try:
            good.append(check_word(word))
        except Refused:
            continue
    assert len(words) > 500
    host = connect(spec(ONE))
    slugs = [
        f"{r['workspace']}-{r['action']}-{r['id']}"
        for r in json.loads(
            jobs.sh(
                managed,
                ONE,
                f"sqlite3 {jobs.PATIENT} -readonly -json {jobs.DB} 'select * from job'",
            )
        )
    ]
    jobs.sh(managed, ONE, "rm -f /tmp/canary")
    found = find(host, good)
    for word in good:
        assert len(found[word]) == sum(word in slug for slug in slugs), word
    for word in good[::40]:
        request = JobsRequest(host.spec.database, JobSelection((), word), 5)
        assert read_jobs(host, request).jobs == ()
    assert jobs.sh(managed, ONE, "ls /tmp/canary 2>/dev/null || true") == ""


# -- logs ------------------------------------------------------------------------------------


def test_following_ends_with_the_job_and_its_exit_code(managed, state, sandbox_dir):
    child = jobs.terminal(sandbox_dir, "-H", "sandbox", "jobs.logs", state["other"], "--follow")
    child.expect(r"second \d+ of 600")
    child.expect(r"second \d+ of 600")
    jobs.sh(managed, TWO, f"docker kill --signal KILL os-job-{state['other']}")
    shown, code = jobs.finished(child)
    assert "exit code 137" in shown
    assert code == 137
    jobs.ended(managed, TWO, state["other"])


def test_ctrl_c_while_following_leaves_nothing_running(managed, state, sandbox_dir):
    child = jobs.terminal(sandbox_dir, "-H", ONE, "jobs.logs", state["running"], "--follow")
    child.expect(r"second \d+ of 600")
    seen = "pgrep -fa 'docker (logs|wait)' || true"
    assert "docker logs" in jobs.sh(managed, ONE, seen)
    child.sendintr()
    _, code = jobs.finished(child)
    assert code == 130
    jobs.until(lambda: not jobs.sh(managed, ONE, seen), "docker logs is still running", 20)
    assert f"os-job-{state['running']}" in jobs.containers(managed, ONE)


def test_the_log_of_an_ended_job_is_shown_only_on_a_terminal(inv, state, sandbox_dir):
    reason = "the cohort is empty"
    shown, code = jobs.finished(jobs.terminal(sandbox_dir, "-H", ONE, "jobs.logs", state["failed"]))
    assert (code, reason in shown) == (0, True)
    stamped, _ = jobs.finished(
        jobs.terminal(sandbox_dir, "-H", ONE, "jobs.logs", state["failed"], "--timestamps")
    )
    assert f"Z {reason}" in stamped
    assert f"Z {reason}" not in shown
    for argv in ([], ["--json"], ["--lines", "5"], ["--metadata"]):
        done = inv("-H", ONE, "jobs.logs", state["failed"], *argv)
        assert done.returncode == 0, done.stderr
        assert reason not in done.stdout + done.stderr
        assert "os-job-" in done.stdout


def test_a_secret_in_metadata_is_never_printed(managed, state, sandbox_dir):
    path = jobs.sh(managed, ONE, f"ls {jobs.LOGS}/*/os-job-{state['failed']}/metadata.json")
    canary = "mssql://user:canary-hunter2@10.1.1.1/db"
    jobs.sh(managed, ONE, f"sed -i 's#OPENSAFELY_BACKEND=.*\"#DATABASE_URL={canary}\"#' {path}")
    assert "canary-hunter2" in jobs.sh(managed, ONE, f"cat {path}")
    shown, code = jobs.finished(
        jobs.terminal(sandbox_dir, "-H", ONE, "jobs.logs", state["failed"], "--metadata")
    )
    assert code == 0
    assert '"DATABASE_URL=***"' in shown
    assert "DATABASE_URL unmasked" in shown
    assert "hunter2" not in shown


def peak_kib(pid):
    """The peak memory of a process; 0 when it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return high_water_kib(status)


def high_water_kib(status):
    return next((int(x.split()[1]) for x in status.splitlines() if x.startswith("VmHWM")), 0)


def test_a_log_of_200_mb_is_followed_and_read_in_little_memory(managed, state, sandbox_dir):
    """A real container prints it; a real terminal reads it."""
    job = f"big{int(time.time())}"
    column = "id, state, status_code, workspace, action, created_at, started_at"
    values = f"'{job}', 'running', 'executing', 'big', 'log', 1, 1"
    jobs.sh(managed, ONE, "systemctl stop jobrunner")
    jobs.sh(
        managed,
        ONE,
        f'sqlite3 {jobs.PATIENT} {jobs.DB} "insert into job ({column}) values ({values})"',
    )
    line = "x" * 999
    make = f"yes {line} | head -c 200000000; echo the-end; sleep 1; exit 3"
    image = "ghcr.io/opensafely-core/busybox"
    try:
        jobs.sh(managed, ONE, f"docker run -d --name os-job-{job} {image} sh -c '{make}'")
        child = jobs.terminal(
            sandbox_dir, "-H", ONE, "jobs.logs", job, "--follow", "--lines", "0", maxread=1 << 20
        )
        total, ended, used_kib = 0, "", 0
        while True:
            try:
                piece = child.read_nonblocking(1 << 20, timeout=120)
            except Exception as error:
                assert "End Of File" in str(error)
                break
            total += len(piece)
            used_kib = max(used_kib, peak_kib(child.pid))
            ended = (ended + piece)[-200:]
        child.close()
        assert total >= 200_000_000, ended
        assert "the-end" in ended
        assert child.exitstatus == 3
        print(f"200 MB followed with {used_kib / 1024:.0f} MiB at most")
        assert 0 < used_kib < 100 * 1024
        shown, code = jobs.finished(
            jobs.terminal(sandbox_dir, "-H", ONE, "jobs.logs", job, "--lines", "3")
        )
        assert (code, "the-end" in shown, len(shown) < 3000) == (0, True, True)
    finally:
        jobs.sh(
            managed,
            ONE,
            f"docker rm -f os-job-{job}; sqlite3 {jobs.PATIENT} {jobs.DB}"
            f" \"delete from job where id = '{job}'\"; systemctl start jobrunner",
        )


# -- disagreement, and many jobs -------------------------------------------------------------


def test_a_disagreement_is_flagged(inv, managed, state):
    jobs.sh(managed, TWO, "systemctl stop jobrunner")
    image = "ghcr.io/opensafely-core/busybox"
    jobs.sh(managed, TWO, f"docker run -d --name os-job-orphan {image} sleep 600")
    column = "id, state, status_code, workspace, action, created_at, started_at, updated_at"
    values = "'lonely', 'running', 'executing', 'w', 'a', 1, 1, 1"
    jobs.sh(
        managed,
        TWO,
        f'sqlite3 {jobs.PATIENT} {jobs.DB} "insert into job ({column}) values ({values})"',
    )
    try:
        found = listed(inv("-H", TWO, "jobs.ls", "--json"))
        assert found["orphan"]["disagreement"] == "container without a job"
        assert found["lonely"]["disagreement"] == "no container"
        notes = inv("-H", TWO, "jobs.ls").stderr
        assert "! sandbox-2 lonely: it should have a container, but has none" in notes
        assert "! sandbox-2 orphan: container without a job" in notes
    finally:
        jobs.clear(managed, TWO)


def test_40_000_jobs_and_30_containers_are_listed_in_little_memory(
    inv, managed, state, spec, connect, sandbox_dir, tmp_path
):
    from opstasks.jobs.listing import select
    from opstasks.jobs.read import JobsRequest, read_jobs

    with jobs.many_jobs(managed, TWO):
        host = connect(spec(TWO))
        selection = select("", "", "", everything=False)
        request = JobsRequest(host.spec.database, selection, 500, with_docker=True)
        assert len(read_jobs(host, request).joined()) == jobs.CONTAINERS

        inventory = yaml.safe_load((sandbox_dir / "hosts.yaml").read_text())
        entry = inventory["hosts"][TWO]
        with DelayProxy((entry["address"], 22)) as proxy:
            entry.update(address="127.0.0.1", port=proxy.port)
            path = tmp_path / "hosts.yaml"
            path.write_text(yaml.safe_dump({"hosts": {TWO: entry}}))

            def trips(*argv):
                def ask():
                    assert inv("-H", TWO, *argv, inventory=path).returncode == 0

                return least(proxy, ask, times=5)

            connecting = trips("run", "--user", "ops", "--", "true") - 1
            used = trips("jobs.ls") - connecting
        print(f"jobs.ls: {used} round trips after connecting")
        assert used <= 2

        done, most_kib = measured(sandbox_dir, tmp_path, "-H", TWO, "jobs.ls", "--all", "--json")
        found = json.loads(done.stdout)["hosts"][TWO]["value"]
        assert [job["id"] for job in found] == [jobs.id_of(n) for n in range(jobs.ROWS, 0, -1)]
        assert inv("-H", TWO, "jobs.show", jobs.id_of(7)).returncode == 0

        inventory_words = ["--inventory", sandbox_dir / "hosts.yaml", "-H", TWO]
        words = [Path(sys.executable).with_name("inv"), *inventory_words, "jobs.ls", "--all"]
        line = f"set -o pipefail; {' '.join(map(str, words))} --json | head -c 1000 | wc -c"
        done = subprocess.run(["bash", "-c", line], cwd=ROOT, capture_output=True, text=True)
        assert (done.returncode, done.stdout, done.stderr) == (0, "1000\n", "")
        left = "pgrep -f 'python3 -I -[c]' || true"
        jobs.until(lambda: not jobs.sh(managed, TWO, left), "it is still being read", 20)

        tenth = ["-H", TWO, "jobs.ls", "--all", "--json", "--limit", str(jobs.ROWS // 10)]
        done, few_kib = measured(sandbox_dir, tmp_path, *tenth)
        assert len(json.loads(done.stdout)["hosts"][TWO]["value"]) == jobs.ROWS // 10
        print(f"client: {few_kib} KiB for 4 000 rows, {most_kib} KiB for 40 000")
        assert most_kib < few_kib + 8 * 1024
        assert most_kib < 80 * 1024
        few_kib, most_kib = host_peak_kib(host, jobs.ROWS // 10), host_peak_kib(host, 0)
        print(f"host: {few_kib} KiB for 4 000 rows, {most_kib} KiB for 40 000")
        assert most_kib < few_kib + 8 * 1024


def measured(sandbox_dir, tmp_path, *argv):
    """Run `inv` and let it report its peak memory in KiB."""
    peak = tmp_path / "peak"
    program = (
        "import atexit, pathlib, sys; from invoke.main import program;"
        f" tell = lambda: pathlib.Path({str(peak)!r}).write_text(open('/proc/self/status').read());"
        " atexit.register(tell); program.run(['inv', *sys.argv[1:]])"
    )
    words = [sys.executable, "-c", program, "--inventory", str(sandbox_dir / "hosts.yaml"), *argv]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    return done, high_water_kib(peak.read_text())


def host_peak_kib(host, limit):
    """The peak memory of our program on the host, in KiB."""
    from opstasks.core.command import cmd
    from opstasks.jobs.listing import STREAM, StreamRequest
    from opstasks.jobs.read import JobSelection

    request = StreamRequest(host.spec.database, JobSelection(), limit, 500, "")
    command = STREAM.stream_command(request)
    tell = "n['start'](s, m, r); print(open('/proc/self/status').read())"
    text = command.stdin.value.replace("n['start'](s, m, r)", tell, 1)
    pieces = []
    host.service.stream(cmd(*command.args, stdin=text), pieces.append)
    return high_water_kib(b"".join(pieces).decode()[-5000:])


@pytest.mark.parametrize("every", ["1", "1s"])
def test_watch_refreshes_the_screen_until_ctrl_c(sandbox_dir, state, every):
    child = jobs.terminal(sandbox_dir, "-H", ONE, "jobs.ls", "--watch", "--every", every)
    for _ in range(3):
        child.expect("\x1b\\[H")
        child.expect(state["running"][:6])
    child.sendintr()
    shown, code = jobs.finished(child)
    assert code == 130
    assert "\x1b[?1049l" in shown
    assert state["running"][:6] in shown.split("\x1b[?1049l")[1]
