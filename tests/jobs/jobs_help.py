"""Jobs in every state for tests, read and cleaned up without our own code."""

import contextlib
import json

from tests.look import until

DB = "/home/opensafely/jobrunner/workdir/db.sqlite"
LOGS = "/srv/high_privacy/logs"
# job-runner writes meanwhile.
PATIENT = "-cmd '.timeout 20000'"
STOP = "systemctl kill --signal KILL jobrunner 2>/dev/null; systemctl stop jobrunner"
RESTART = f"{STOP}; systemctl reset-failed jobrunner; systemctl start jobrunner"
ROWS, CONTAINERS = 40_000, 30
# Words with a special meaning for a shell, SQL or a program.
HOSTILE = [
    "%",
    "_",
    "%%",
    "a_b",
    "'; DROP TABLE job; --",
    "' OR '1'='1",
    '" OR ""="',
    "$(touch /tmp/canary)",
    "`touch /tmp/canary`",
    "; touch /tmp/canary",
    "| touch /tmp/canary",
    "&& touch /tmp/canary",
    "../../etc/passwd",
    "-rf",
    "--all",
    "\\",
    "\\%",
    "*",
    "?",
    "[a-z]",
    "{}",
    "~",
    "#",
    "!!",
    "ünïcode",
    "a b",
    "job'",
    "OPSEOF",
    "\ud800",
]
# The same without characters that a text cannot have.
HOSTILE_TEXTS = HOSTILE[:-1]
# The output folder of the jobs of the fixtures `internal_error_job` and `unstored_job`.
BROKEN_WORKSPACE = "/srv/high_privacy/workspaces/broken"


def sh(sandbox, host, script):
    return sandbox.must(host, ["bash", "-c", script]).strip()


def row(sandbox, host, job):
    found = sh(
        sandbox,
        host,
        f"sqlite3 {PATIENT} -readonly -json {DB} \"select * from job where id='{job}'\"",
    )
    return json.loads(found)[0]


def containers(sandbox, host, pattern="^os-"):
    return set(
        sh(sandbox, host, f"docker ps -a --format '{{{{.Names}}}}' --filter name={pattern}").split()
    )


def started(sandbox, host, action="longer", workspace="jobs"):
    """Submit a job and see its container run."""
    (job,) = sandbox.submit(host, action, workspace)
    name = f"os-job-{job}"
    until(lambda: row(sandbox, host, job)["status_code"] == "executing", f"{job} does not run")
    until(lambda: name in containers(sandbox, host), "no container")
    return job


def allow_outputs(sandbox, host):
    """Remove the cause of the internal error of `internal_error_job` and `unstored_job`."""
    sh(sandbox, host, f"chown -R opensafely:opensafely {BROKEN_WORKSPACE}")


def tracers(sandbox, host, job):
    """The processes that trace a process of the job; empty if there are none."""
    script = (
        f"for p in $(docker top os-job-{job} -eo pid | tail -n +2); do"
        " awk '/TracerPid/ && $2 {print $2}' /proc/$p/status; done"
    )
    return set(sh(sandbox, host, script).split())


def ended(sandbox, host, job, seconds=60):
    """Wait until a job is over; returns its row."""
    over = ("failed", "succeeded")
    until(lambda: row(sandbox, host, job)["state"] in over, f"{job} does not end", seconds)
    return row(sandbox, host, job)


def gone(sandbox, host, job):
    """Wait until the service has cleaned up a job, which happens a moment after its end."""
    left = f"docker ps -aq --filter name={job}; docker volume ls -q --filter name={job}"
    until(lambda: not sh(sandbox, host, left), f"{job} has left something", 20)


def clear(sandbox, host):
    """Make the service run, with no containers and no jobs in the database."""
    sh(
        sandbox,
        host,
        # A service that is crashing may take long to stop.
        f"{STOP}; docker ps -aq --filter name=os- --filter name=opstasks- | xargs -r docker rm -f;"
        " docker volume ls -q --filter name=os-volume- | xargs -r docker volume rm;"
        f" sqlite3 {PATIENT} {DB}"
        ' "delete from job; delete from job_request; delete from flags;"',
    )
    sandbox.job_requests(host, [])
    sh(sandbox, host, "systemctl reset-failed jobrunner; systemctl start jobrunner")


def id_of(number):
    return f"{number * 7919:016x}"


@contextlib.contextmanager
def many_jobs(sandbox, host):
    """40 000 rows, the newest 30 of them running, each with a container."""
    first = ROWS - CONTAINERS
    state = (
        f"case when i > {first} then 'running' when i % 3 = 0 then 'failed' else 'succeeded' end"
    )
    query = (
        f"with recursive n(i) as (select 1 union all select i + 1 from n where i < {ROWS})"
        " insert into job (id, job_request_id, state, workspace, action, status_code,"
        " status_message, created_at, started_at, completed_at, run_command, outputs,"
        " status_code_updated_at, updated_at) select printf('%016x', i * 7919), 'r' || (i / 10),"
        f" {state}, 'ws' || (i % 50), 'action' || (i % 200),"
        f" case when i > {first} then 'executing' else 'succeeded' end, 'msg', 1700000000 + i,"
        f" 1700000001 + i, case when i > {first} then null else 1700000301 + i end,"
        " 'python:latest python x.py', '{}', (1700000301 + i) * 1000000000, 1700000301 + i from n"
    )
    make = (
        "systemctl stop jobrunner; "
        f'runuser -u opensafely -- sqlite3 {PATIENT} {DB} "{query}"\n'
        f"for i in $(seq {first + 1} {ROWS}); do"
        " docker run -d --network none --memory 64m --cpus 0.5"
        " --name os-job-$(printf %016x $((i * 7919)))"
        " ghcr.io/opensafely-core/busybox sleep 3600 >/dev/null &"
        " if [ $((i % 5)) = 0 ]; then wait; fi; done; wait"
    )
    clear(sandbox, host)
    sh(sandbox, host, make)
    try:
        yield
    finally:
        clear(sandbox, host)


def terminal(sandbox_dir, *argv, state="/tmp", size=(40, 160), **options):
    """`inv` in a real terminal, as a pexpect child."""
    import os
    import sys
    from pathlib import Path

    import pexpect

    program = str(Path(sys.executable).with_name("inv"))
    return pexpect.spawn(
        program,
        list(argv),
        cwd=str(Path(__file__).resolve().parents[2]),
        env={
            **os.environ,
            "OPSTASKS_HOSTS": str(sandbox_dir / "hosts.yaml"),
            "XDG_STATE_HOME": str(state),
            "TERM": "xterm",
        },
        dimensions=size,
        timeout=60,
        encoding="utf-8",
        codec_errors="replace",
        **options,
    )


def finished(child):
    """What the terminal showed until its program ended, and the exit code."""
    import pexpect

    child.expect(pexpect.EOF)
    child.close()
    return child.before, child.exitstatus
