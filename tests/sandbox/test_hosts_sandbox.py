"""What other tests rely on: the hosts of the sandbox, and its functions."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from opstasks.sandbox.errors import SandboxError
from opstasks.sandbox.many import many_down, many_up

pytestmark = pytest.mark.sandbox
HOSTS = ("sandbox-1", "sandbox-2")
REGISTRY = "ghcr.io/opensafely-core"
CODE = "https://github.com/opensafely-core/job-runner"
LIB = "https://github.com/opensafely-core/job-runner-dependencies"


def docker(*argv):
    done = subprocess.run(["docker", *argv], capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.parametrize("host", HOSTS)
def test_systemd_runs_and_no_unit_failed(observer, host):
    here = observer(host)
    assert here.check_output("cat /proc/1/comm") == "systemd"
    assert here.check_output("systemctl is-system-running") == "running"
    assert here.check_output("systemctl --failed --no-legend") == ""


@pytest.mark.parametrize("host", HOSTS)
def test_ssh_reaches_the_host_that_was_asked_for(ssh, host):
    done = ssh(host, "hostname")
    assert (done.stdout.strip(), done.returncode) == (host, 0)


def test_no_two_hosts_have_the_same_ids_and_keys(sandbox, observer):
    ids = {observer(host).check_output("cat /etc/machine-id") for host in HOSTS}
    keys = {sandbox.find(host).host_key for host in HOSTS}
    assert len(ids) == len(keys) == 2
    assert len({sandbox.boot_id(host) for host in HOSTS}) == 2


def test_a_host_with_another_key_is_refused(ssh, sandbox_dir, tmp_path):
    lines = (sandbox_dir / "known_hosts").read_text().splitlines()
    first, second = (line.split(" ", 1) for line in lines[:2])
    swapped = tmp_path / "known_hosts"
    swapped.write_text(f"{first[0]} {second[1]}\n")
    config = tmp_path / "config"
    text = (sandbox_dir / "ssh_config").read_text()
    config.write_text(text.replace(str(sandbox_dir / "known_hosts"), str(swapped)))
    argv = ["ssh", "-F", str(config), "sandbox-1", "true"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 255
    assert "HOST IDENTIFICATION HAS CHANGED" in done.stderr


def test_ops_has_sudo_without_password(ssh):
    assert ssh("sandbox-1", "sudo -n id -un").stdout == "root\n"


def test_dev_has_sudo_with_the_password_and_not_without(ssh, sandbox):
    ask = "sudo -S -p '' id -un"
    assert ssh("sandbox-2", "sudo -n true", user="dev").returncode == 1
    right = ssh("sandbox-2", ask, user="dev", stdin=sandbox.sudo_password() + "\n")
    assert (right.stdout, right.returncode) == ("root\n", 0)


def test_the_password_is_not_left_on_the_host(observer):
    assert not observer("sandbox-1").file("/etc/sandbox/passwords").exists


def test_the_host_is_bare(observer):
    here = observer("sandbox-1")
    assert not here.user("opensafely").exists
    assert not here.file("/home/opensafely").exists


def test_nested_docker_has_the_images_and_runs_them(ssh):
    listed = ssh("sandbox-1", "sudo docker image ls --format '{{.Repository}}:{{.Tag}}'")
    wanted = {f"{REGISTRY}/{name}" for name in ("busybox:latest", "python:latest", "python:v1")}
    assert wanted | {f"{REGISTRY}/tools:latest", f"{REGISTRY}/ehrql:v1"} <= set(
        listed.stdout.split()
    )
    ran = ssh("sandbox-1", f"sudo docker run --rm {REGISTRY}/python:v1 python -c 'print(6 * 7)'")
    assert (ran.stdout, ran.returncode) == ("42\n", 0)


def test_strace_sees_a_job_from_the_tools_container(ssh):
    script = f"""
        docker run -d --rm --name sleeper {REGISTRY}/busybox sleep 60 >/dev/null
        pid=$(docker inspect -f '{{{{.State.Pid}}}}' sleeper)
        docker run --rm --pid host --cap-add SYS_PTRACE {REGISTRY}/tools \\
            timeout 1 strace -p $pid 2>&1
        docker rm -f sleeper
    """
    assert "attached" in ssh("sandbox-1", "sudo bash -s", stdin=script).stdout


@pytest.mark.parametrize("suffix", ["", ".git"])
@pytest.mark.parametrize("domain", ["github.com", "github-proxy.opensafely.org"])
@pytest.mark.parametrize("url", [CODE, LIB])
def test_git_addresses_are_those_of_repositories_on_the_host(ssh, url, domain, suffix):
    done = ssh("sandbox-1", f"git ls-remote {url.replace('github.com', domain)}{suffix}")
    refs = {line.split()[1]: line.split()[0] for line in done.stdout.splitlines()}
    assert {"refs/heads/main", "refs/tags/v2.71.0", "refs/tags/v2.73.0"} <= set(refs)
    assert refs["refs/heads/main"] == refs["refs/tags/v2.71.0"]


def test_the_code_has_its_broken_releases(ssh):
    tags = ssh("sandbox-1", f"git ls-remote --tags {CODE}").stdout
    for tag in ("broken-import", "broken-migration", "broken-crash", "diverged"):
        assert f"refs/tags/{tag}\n" in tags


def test_publish_moves_main_on_one_host_only(ssh, sandbox):
    def main(host):
        return ssh(host, f"git ls-remote {CODE} refs/heads/main").stdout.split()[0]

    before = main("sandbox-1")
    try:
        assert sandbox.publish("v2.73.0", ["sandbox-2"]) == ["sandbox-2"]
        assert main("sandbox-1") == before != main("sandbox-2")
    finally:
        sandbox.publish("v2.71.0")
    assert main("sandbox-2") == before


def test_a_release_that_does_not_exist_is_refused(sandbox):
    with pytest.raises(SandboxError, match=r"no release v9 .*v2\.71\.0"):
        sandbox.publish("v9")


def test_without_job_runner_a_submission_says_what_to_do(sandbox, observer):
    if observer("sandbox-2").file("/home/opensafely/config/load-env").exists:
        pytest.skip("manage has been here")
    with pytest.raises(SandboxError, match="inv -H sandbox-2 manage"):
        sandbox.submit("sandbox-2", "quick")


def test_the_job_server_answers_each_host_with_its_own(ssh, sandbox):
    url = "http://job-server:8000/api/v2/job-requests/?backend=test"
    sandbox.job_requests("sandbox-1", [{"identifier": "abc"}])
    try:
        answers = [json.loads(ssh(host, f"curl -fsS '{url}'").stdout) for host in HOSTS]
    finally:
        sandbox.job_requests("sandbox-1", [])
    assert answers == [{"results": [{"identifier": "abc"}]}, {"results": []}]
    assert sandbox.last_poll("sandbox-2")["backend"] == "test"


def test_a_host_has_no_internet_and_fails_at_once(ssh):
    # 6 is curl's "could not resolve".
    done = ssh("sandbox-1", "curl --max-time 5 -sS https://jobs.opensafely.org", timeout_s=10)
    assert done.returncode == 6


def test_packages_are_installed_from_the_hosts_own_archive(ssh):
    installed = ssh("sandbox-2", "sudo apt-get install -qq tree && tree --version")
    assert installed.returncode == 0, installed.stderr


def test_the_inventory_has_all_that_ssh_needs(sandbox, sandbox_dir):
    path = sandbox_dir / "hosts.yaml"
    assert path.stat().st_mode & 0o777 == 0o600
    inventory = yaml.safe_load(path.read_text())
    assert inventory["groups"]["sandbox"]["hosts"] == list(HOSTS)
    host = inventory["hosts"]["sandbox-1"]
    assert host["address"] == sandbox.find("sandbox-1").address
    assert host["host_keys"] == [sandbox.find("sandbox-1").host_key]
    assert (host["user"], host["port"], host["sudo"]) == ("ops", 22, "nopasswd")
    assert host["backend"] == "sandbox"
    assert Path(host["backends"], "sandbox", "host.yaml").is_file()


def test_a_reboot_has_a_new_boot_id_and_the_same_address(sandbox, ssh):
    before, address = sandbox.boot_id("sandbox-1"), sandbox.find("sandbox-1").address
    sandbox.reboot("sandbox-1")
    assert sandbox.boot_id("sandbox-1") != before
    assert sandbox.find("sandbox-1").address == address
    boots = ssh("sandbox-1", "sudo journalctl --list-boots --no-pager -q").stdout
    assert sandbox.boot_id("sandbox-1").replace("-", "") in boots
    assert before.replace("-", "") in boots
    assert ssh("sandbox-1", "sudo docker image ls -q").stdout


def test_a_power_cut_leaves_a_host_off_until_it_is_switched_on(sandbox, ssh):
    address = sandbox.find("sandbox-2").address
    sandbox.power_cut("sandbox-2")
    assert not sandbox.find("sandbox-2").running
    sandbox.power_on("sandbox-2")
    assert sandbox.find("sandbox-2").address == address
    assert ssh("sandbox-2", "true").returncode == 0


def test_a_second_up_changes_nothing(sandbox):
    # Ours only: others may have a sandbox of their own on the same engine.
    label = sandbox.find("sandbox-1").container.split("-")[1]
    ours = ("ps", "-q", "--filter", f"label=opstasks.sandbox={label}")
    before = docker(*ours)
    assert [host.name for host in sandbox.up(hosts=2)][:2] == list(HOSTS)
    assert docker(*ours) == before


def test_many_hosts_answer_on_as_many_addresses(sandbox, sandbox_dir):
    served = many_up(250)
    try:
        inventory = yaml.safe_load((sandbox_dir / "many.yaml").read_text())
        assert len(inventory["groups"]["many"]["hosts"]) == 250
        config = ["-F", str(sandbox_dir / "many_ssh_config")]
        for host in (served[0], served[-1]):
            argv = ["ssh", *config, host.name, "echo $0"]
            done = subprocess.run(argv, capture_output=True, text=True, check=False)
            assert done.stdout == "dash\n", done.stderr
    finally:
        many_down()
    assert not (sandbox_dir / "many.yaml").exists()


def test_a_host_is_not_a_leftover_of_building(sandbox):
    from opstasks.sandbox import caches

    leftovers = {found.id for found in caches.build_leftovers()}
    hosts = {docker("inspect", "-f", "{{.Id}}", sandbox.find(name).container)[0] for name in HOSTS}
    assert not leftovers & hosts


def test_down_leaves_nothing(sandbox, tmp_path, monkeypatch):
    monkeypatch.setenv("OPSTASKS_SANDBOX_DIR", str(tmp_path / "own"))
    host = sandbox.up(hosts=1)[0]
    many_up(3)
    label = host.container.split("-")[1]
    search = ["--filter", f"label=opstasks.sandbox={label}", "-q"]
    assert docker("ps", "-a", *search)
    sandbox.down()
    for kind in (["ps", "-a"], ["volume", "ls"], ["network", "ls"]):
        assert docker(*kind, *search) == []
    assert not (tmp_path / "own").exists()
    assert sandbox.status() == []
