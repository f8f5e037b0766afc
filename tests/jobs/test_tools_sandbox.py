"""jobs.mount and jobs.strace in a real terminal, over SSH, on real jobs."""

import os
import signal
import time

import pytest
import yaml

from tests.jobs import jobs_help as jobs

pytestmark = pytest.mark.sandbox
ONE = "sandbox-1"
PROMPT = r"bash-[\d.]+# "


@pytest.fixture(scope="module")
def job(managed):
    jobs.clear(managed, ONE)
    yield jobs.started(managed, ONE, "longer", "tools")
    jobs.clear(managed, ONE)


@pytest.fixture(autouse=True)
def nothing_is_left(managed, job):
    yield
    jobs.until(lambda: not jobs.containers(managed, ONE, "^opstasks-"), "a container is left", 20)
    left = "pgrep -fa '[d]ocker run' || true"
    jobs.until(lambda: not jobs.sh(managed, ONE, left), "a docker client is left", 20)
    assert jobs.row(managed, ONE, job)["state"] == "running"
    assert f"os-job-{job}" in jobs.containers(managed, ONE)


def tools(managed):
    return jobs.until(lambda: jobs.containers(managed, ONE, "^opstasks-"), "no tools container")


def inspected(managed, form):
    (name,) = tools(managed)
    return jobs.sh(managed, ONE, f"docker inspect --format '{form}' {name}")


def has_size(child, size):
    """Wait: docker sets the terminal's size a moment after the start or a change."""
    for _ in range(20):
        child.sendline("stty size")
        child.expect(r"\d+ \d+\r")
        if size in child.after:
            return
        time.sleep(0.5)
    raise AssertionError(f"the terminal is not {size}")


def test_mount_opens_a_shell_with_the_volume_of_the_job(managed, job, sandbox_dir):
    child = jobs.terminal(sandbox_dir, "-H", "sandbox", "jobs.mount", job[2:12])
    child.expect(PROMPT)
    child.sendline("ls /workspace; tty")
    child.expect("project.yaml")
    child.expect("/dev/pts/")
    has_size(child, "40 160")
    binds = inspected(managed, "{{range .Mounts}}{{.Name}} {{.Destination}}{{end}}")
    assert binds == f"os-volume-{job} /workspace"
    assert inspected(managed, "{{.HostConfig.PidMode}}") == "host"

    child.setwinsize(50, 100)
    has_size(child, "50 100")

    # Ctrl-C stops the command in the shell, not the shell.
    child.sendline("sleep 600; echo after-$?")
    time.sleep(0.5)
    child.sendintr()
    child.expect(PROMPT)
    child.sendline("echo made-here > /workspace/note; exit 7")
    _, code = jobs.finished(child)
    assert code == 7
    assert jobs.sh(managed, ONE, f"docker exec os-job-{job} cat /workspace/note") == "made-here"
    journal = jobs.sh(managed, ONE, "journalctl -t opstasks -o cat -n 2")
    assert journal.count("jobs.mount") == 2
    assert job in journal


def test_mount_runs_a_command_with_a_read_only_volume(managed, job, sandbox_dir):
    words = ["-H", ONE, "mount-job-volume", job]
    child = jobs.terminal(
        sandbox_dir, *words, "--", "bash", "-c", "touch /workspace/new && echo made"
    )
    _, code = jobs.finished(child)
    assert code == 0
    words = ["-H", ONE, "jobs.mount", job, "--read-only"]
    child = jobs.terminal(sandbox_dir, *words, "--", "touch", "/workspace/never")
    shown, code = jobs.finished(child)
    assert code == 1
    assert "Read-only" in shown


def test_mount_also_mounts_a_bind_mounted_folder(managed, job, inv, sandbox_dir):
    """job-runner's other kind of volume: a folder, after the container is gone."""
    folder = "/srv/high_privacy/volumes/bind0000job"
    column = "id, state, status_code, workspace, action, created_at"
    values = "'bind0000job', 'failed', 'internal_error', 'w', 'bound', 1"
    jobs.sh(managed, ONE, f"mkdir -p {folder}; echo hello-bind > {folder}/file")
    jobs.sh(
        managed,
        ONE,
        f'sqlite3 {jobs.PATIENT} {jobs.DB} "insert into job ({column}) values ({values})"',
    )
    try:
        words = ["-H", ONE, "jobs.mount", "bind0000", "--", "cat", "/workspace/file"]
        shown, code = jobs.finished(jobs.terminal(sandbox_dir, *words))
        assert (code, "hello-bind" in shown) == (0, True)
    finally:
        jobs.sh(
            managed,
            ONE,
            f"rm -r {folder}; sqlite3 {jobs.PATIENT} {jobs.DB}"
            " \"delete from job where id = 'bind0000job'\"",
        )


def test_strace_finds_the_process_with_the_least_rights(managed, job, sandbox_dir):
    child = jobs.terminal(sandbox_dir, "-H", "sandbox", "jobs.strace", job)
    child.expect("second \\d+ of 600")  # the job's output, seen by strace
    assert jobs.tracers(managed, ONE, job)
    assert inspected(managed, "{{.HostConfig.CapAdd}}") == "[SYS_PTRACE]"
    assert inspected(managed, "{{.HostConfig.Privileged}} {{.HostConfig.NetworkMode}}") == (
        "false none"
    )
    child.sendintr()
    _, code = jobs.finished(child)
    assert code == 130
    assert not jobs.tracers(managed, ONE, job)


def test_words_after_dashes_are_options_of_strace(managed, job, sandbox_dir):
    words = ["-H", ONE, "jobs.strace", job, "--", "-e", "trace=write"]
    child = jobs.terminal(sandbox_dir, *words)
    child.expect("write\\(")
    child.expect("write\\(")
    child.sendintr()
    shown, _ = jobs.finished(child)
    assert "nanosleep" not in child.before + shown


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGHUP])
def test_a_lost_client_leaves_no_container(managed, job, sandbox_dir, how):
    child = jobs.terminal(sandbox_dir, "-H", ONE, "jobs.mount", job)
    child.expect(PROMPT)
    assert len(tools(managed)) == 1
    os.kill(child.pid, how)
    jobs.until(lambda: not jobs.containers(managed, ONE, "^opstasks-"), "still there", 30)
    child.close(force=True)


def test_a_tilde_and_a_dot_drop_the_connection(managed, job, sandbox_dir):
    child = jobs.terminal(sandbox_dir, "-H", ONE, "jobs.mount", job)
    child.expect(PROMPT)
    child.send("\r~.")
    shown, code = jobs.finished(child)
    assert code == 3, shown
    assert "dropped at your request" in shown


def test_mount_and_strace_are_refused_without_a_terminal(inv, job):
    for task in ("jobs.mount", "jobs.strace"):
        done = inv("-H", ONE, task, job)
        assert done.returncode == 2
        assert "terminal" in done.stderr


def test_mount_and_strace_refuse_an_ended_job(managed, job, sandbox_dir):
    (over,) = managed.submit(ONE, "quick", "tools")
    jobs.ended(managed, ONE, over)
    jobs.gone(managed, ONE, over)
    shown, code = jobs.finished(jobs.terminal(sandbox_dir, "-H", ONE, "jobs.mount", over))
    assert code == 2
    assert f"{over} (succeeded, succeeded) has no container or volume" in " ".join(shown.split())
    assert f"inv -H {ONE} jobs.logs {over}" in " ".join(shown.split())


def test_a_missing_image_is_refused_before_anything_starts(managed, job, sandbox_dir, tmp_path):
    inventory = yaml.safe_load((sandbox_dir / "hosts.yaml").read_text())
    inventory["hosts"][ONE]["registry"] = "registry.example/none"
    (tmp_path / "hosts.yaml").write_text(yaml.safe_dump(inventory))
    shown, code = jobs.finished(jobs.terminal(tmp_path, "-H", ONE, "jobs.mount", job))
    assert code == 2
    assert "there is no image registry.example/none/tools" in shown
