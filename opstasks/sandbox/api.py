"""The functions of the sandbox."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from opstasks.sandbox import caches, containers, instance, inventory, machines, releases
from opstasks.sandbox.engine import (
    Report,
    client,
    engine_errors,
    engine_problem,
    ensure_engine,
    ensure_tools,
)
from opstasks.sandbox.errors import SandboxError
from opstasks.sandbox.execute import execute
from opstasks.sandbox.machines import SandboxHost
from opstasks.sandbox.shell import which

STUDY_URL = f"https://github.com/opensafely/{releases.STUDY}"
LOAD_ENV = "/home/opensafely/config/load-env"


def silent(_: str) -> None:
    """Report nothing."""


@engine_errors()
def up(hosts: int = 2, report: Report = silent) -> list[SandboxHost]:
    """Make at least this many hosts run; returns all hosts."""
    wanted = list(machines.names(hosts))
    ensure_engine(report)
    here = instance.current()
    with instance.locked(here.directory / ".lock"):
        present = machines.existing(here)
        if not ready(here, present, wanted):
            ensure_tools(report)
            caches.ensure(report)
            present = start(here, wanted, report)
    for host in present:
        if not host.current:
            report(f"{host.name} was made by an older recipe: sandbox.down, then up")
    return present


def ready(
    here: instance.SandboxInstance, present: Sequence[SandboxHost], wanted: Sequence[str]
) -> bool:
    """Whether there is nothing to do."""
    return (
        (here.directory / "hosts.yaml").exists()
        and set(wanted) <= {host.name for host in present}
        and all(host.running and machines.greets(host.address, host.port) for host in present)
        and container_running(here.named("job-server"))
    )


def container_running(name: str) -> bool:
    """Whether a container exists and runs."""
    found = containers.find_or_none(client().containers.get, name)
    return bool(found and found.status == "running")


def start(
    here: instance.SandboxInstance, wanted: Sequence[str], report: Report
) -> list[SandboxHost]:
    """Create missing hosts, start stopped ones, write the inventory."""
    present = {host.name: host for host in machines.existing(here)}
    if present and not here.identity.exists():
        raise SandboxError(
            f"{here.directory} lost its keys", "inv sandbox.down; then inv sandbox.up"
        )
    instance.prepare(here)
    subnet = machines.ensure_network(here)
    for host in present.values():
        if not host.running:
            client().containers.get(host.container).start()
    missing = [name for name in wanted if name not in present]
    if missing:
        report(f"starting {' '.join(missing)}")
    machines.ensure_job_server(here, subnet)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda name: machines.create(here, subnet, name), missing))
        everyone = machines.existing(here)
        list(pool.map(machines.wait_ready, everyone))
    inventory.write_all(here, everyone)
    return everyone


@engine_errors()
def down(images: bool = False, report: Report = silent) -> None:
    """Remove everything of this instance; on request also the shared caches."""
    here = instance.current()
    with instance.locked(here.directory / ".lock"):
        # Without an installed engine there is nothing of ours in it.
        if which("dockerd") or not engine_problem():
            ensure_engine(report)
            machines.remove(here)
            left = remove_caches() if images else []
            if left:
                report(f"still used by another sandbox, kept: {' '.join(left)}")
        instance.clear(here)


def remove_caches() -> list[str]:
    """Remove images and templates, but not while someone builds them."""
    with instance.locked(instance.cache_lock()):
        return caches.remove_caches()


@engine_errors()
def status() -> list[SandboxHost]:
    """The hosts of this instance; none when the instance or the engine is down."""
    return [] if engine_problem() else machines.existing(instance.current())


def find(name: str) -> SandboxHost:
    """A host by name."""
    present = status()
    for host in present:
        if host.name == name:
            return host
    there = ", ".join(host.name for host in present) or "no host is up"
    raise SandboxError(f"no host {name} here", f"there: {there}; inv sandbox.up")


@engine_errors()
def exec_(
    host: str,
    argv: Sequence[str],
    user: str = "root",
    stdin: str | None = None,
    timeout_s: float = 120,
) -> subprocess.CompletedProcess[str]:
    """Run a program on a host without SSH; returns its outcome, also a failure."""
    container = find(host).container
    return execute(container, argv, user=user, stdin=stdin, timeout_s=timeout_s)


def must(
    host: str,
    argv: Sequence[str],
    user: str = "root",
    stdin: str | None = None,
    timeout_s: float = 120,
) -> str:
    """Run a program that must succeed; returns its output."""
    done = exec_(host, argv, user, stdin, timeout_s)
    if done.returncode != 0:
        reason = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise SandboxError(f"{host}: {argv[0]}: exit {done.returncode}: {reason[0]}")
    return done.stdout


def as_opensafely(host: str, command: str) -> subprocess.CompletedProcess[str]:
    """Run a shell command as the service account with job-runner's environment."""
    if exec_(host, ["test", "-e", LOAD_ENV]).returncode != 0:
        raise SandboxError(f"{host} has no job-runner yet", f"inv -H {host} manage")
    script = f". {LOAD_ENV}; cd ~/jobrunner/code && {command}"
    argv = ["env", "HOME=/home/opensafely", "USER=opensafely", "bash", "-c", script]
    return exec_(host, argv, user="opensafely")


def submit(
    host: str, action: str = "quick", workspace: str = "test", database: str = "default"
) -> list[str]:
    """Add a job as a researcher's request does; returns the ids of all jobs that were created."""
    words = [STUDY_URL, action, "--workspace", workspace, "--branch", "main"]
    words += ["--database", database]
    done = as_opensafely(host, f"python3 -m jobrunner.cli.add_job {shlex.join(words)}")
    found = re.search(r"'id': '(\w+)'", done.stdout)
    if done.returncode != 0 or not found:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise SandboxError(f"{host}: add_job failed: {reason}")
    jobs = jobs_of_request(host, found[1])
    for job in jobs:
        # add_job reports success even then; a job of this name is its message to the researcher.
        if job["action"] == "__error__":
            raise SandboxError(f"{host}: refused: {job['status_message']}")
    return [str(job["id"]) for job in jobs]


def jobs_of_request(host: str, request: str) -> list[dict[str, Any]]:
    """The jobs of one request, read from job-runner's database."""
    wanted = f"job_request_id = '{request}'"
    return rows(host, f"SELECT id, action, status_message FROM job WHERE {wanted}")  # noqa: S608


def rows(host: str, query: str) -> list[dict[str, Any]]:
    """The rows of a query in job-runner's database."""
    # The service may be writing: wait for locks, and do not treat a failure as "no rows".
    options = '-readonly -json -cmd ".timeout 20000"'
    done = as_opensafely(host, f'sqlite3 {options} "$WORKDIR/db.sqlite" {shlex.quote(query)}')
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no message"])[0]
        raise SandboxError(f"{host}: cannot read the database: {reason}")
    found: list[dict[str, Any]] = json.loads(done.stdout or "[]")
    return found


def cancel(host: str, job: str) -> None:
    """Cancel a job as its researcher would: through the answer to job-runner's next poll."""
    if not job.isalnum():
        raise SandboxError(f"{job!r} is not the id of a job")
    found = rows(
        host,
        "SELECT job.action, job_request.original FROM job JOIN job_request"  # noqa: S608
        f" ON job_request.id = job.job_request_id WHERE job.id = '{job}'",
    )
    if not found:
        raise SandboxError(f"{host} has no job {job}")
    request = {"codelists_ok": True, **json.loads(found[0]["original"])}
    job_requests(host, [request | {"cancelled_actions": [found[0]["action"]]}])


def publish(release: str, hosts: Sequence[str] = ()) -> list[str]:
    """Move `main` of job-runner and its dependencies to a release, as a merge upstream does."""
    if release not in releases.RELEASES:
        raise SandboxError(f"no release {release}", f"there: {', '.join(releases.RELEASES)}")
    tags = {releases.CODE: release, releases.LIB: releases.lib_for(release)}
    chosen = [find(name) for name in hosts] or status()
    if not chosen:
        raise SandboxError("no host is up", "inv sandbox.up")
    for host in chosen:
        for repository, tag in tags.items():
            path = f"/srv/sandbox/git/{repository}.git"
            move = ["update-ref", "refs/heads/main", f"refs/tags/{tag}^{{commit}}"]
            must(host.name, ["git", "-C", path, *move])
    return [host.name for host in chosen]


def ssh_config() -> str:
    """A configuration for `ssh -F`."""
    try:
        return (instance.current().directory / "ssh_config").read_text()
    except FileNotFoundError as error:
        raise SandboxError("no host is up", "inv sandbox.up") from error


def sudo_password() -> str:
    """The sudo password of `dev`."""
    return (instance.current().directory / "sudo-password").read_text().strip()


@engine_errors()
def power_cut(host: str) -> None:
    """Power a host off at once; it stays off until `power_on`."""
    client().containers.get(find(host).container).kill()


@engine_errors()
def power_on(host: str) -> None:
    """Start a host that was off, and wait for it."""
    machine = find(host)
    client().containers.get(machine.container).start()
    machines.wait_ready(machine)


@engine_errors()
def reboot(host: str) -> None:
    """Reboot a host from inside and wait for it."""
    machine = find(host)
    with machines.expect_new_boot(machine):
        execute(machine.container, ["systemctl", "reboot"])


@engine_errors()
def boot_id(host: str) -> str:
    """The id of the present boot; empty while the host is down."""
    return machines.boot_id(find(host))


def job_requests(host: str, requests: Sequence[dict[str, Any]]) -> None:
    """Set the job-server's answer to this host's polls."""
    path = instance.current().job_server / f"{find(host).name}.requests.json"
    instance.write(path, json.dumps(list(requests)))


def reported_jobs(host: str) -> list[dict[str, Any]]:
    """Every post that the job-server received from this host, oldest first."""
    return [json.loads(line) for line in read_lines(f"{host}.jsonl")]


def last_poll(host: str) -> dict[str, Any] | None:
    """The time, backend and flags of this host's last request for jobs."""
    lines = read_lines(f"{host}.poll.json")
    poll: dict[str, Any] | None = json.loads(lines[0]) if lines else None
    return poll


def read_lines(name: str) -> list[str]:
    """The lines of a file of the job-server; none if it has not written it yet."""
    path: Path = instance.current().job_server / name
    return path.read_text().splitlines() if path.exists() else []
