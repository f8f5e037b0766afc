"""A preview of a release that attacks the host when it is imported: on a real host."""

import json

import pytest

from opstasks.sandbox import releases
from tests.look import CODE, HOME, until

pytestmark = pytest.mark.sandbox
CANARY = "canary-opensesame"
ORIGIN = f"/srv/sandbox/git/{releases.CODE}.git"
# All attacks; the error message of the release says which ones succeeded.
ATTACK = """
import os, socket, subprocess, sys
found = []
def attempt(name, act):
    try:
        act()
        found.append(name)
    except BaseException:
        pass
def docker():
    socket.socket(socket.AF_UNIX).connect("/var/run/docker.sock")
def run(*words):
    subprocess.run(words, check=True, capture_output=True)
if "CANARY" in str(os.environ):
    found.append("environment")
attempt("secrets", lambda: open("HOME/config/02_secrets.env").read())
attempt("database", lambda: open("HOME/jobrunner/workdir/db.sqlite").read(1))
attempt("checkout", lambda: open(__file__, "a"))
attempt("git", lambda: open("CODE/.git/hooks/post-checkout", "w"))
attempt("network", lambda: socket.create_connection(("ADDRESS", 22), 3))
attempt("names", lambda: socket.getaddrinfo("job-server", 80))
attempt("docker", docker)
attempt("processes", lambda: os.listdir("/proc"))
attempt("sudo", lambda: run("sudo", "-n", "/usr/bin/systemctl", "stop", "jobrunner"))
attempt("unmount", lambda: run("unshare", "-rm", "umount", "/usr"))
attempt("chroot", lambda: run("unshare", "-r", "chroot", "/tmp"))
attempt("big", lambda: open("/tmp/big", "wb").write(b"x" * (3 << 20)))
attempt("memory", lambda: bytearray(8 << 30))
attempt("home", lambda: open("HOME/canary", "w"))
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execvp("sleep", ["sleep", "98765"])
    os._exit(0)
sys.exit("it got: " + " ".join(found))
"""
ENDLESS = "import os\nos.fork()\nos.setsid()\nwhile True: print('x' * 1000000)"


@pytest.fixture
def release(managed, look):
    """Put a release with this text in its service onto the host, as the tag `hostile`."""
    host = look("sandbox-1")
    was = host.sh(f"git -C {CODE} rev-parse HEAD")
    secrets = f"{HOME}/config/02_secrets.env"
    host.sh(f"cp -p {secrets} /root/secrets; echo 'JOB_SERVER_TOKEN={CANARY}' >>{secrets}")
    host.sh(f"echo 'DEFAULT_DATABASE_URL=mssql://me:{CANARY}@h/d' >>{secrets}")

    def make(text):
        text = text.replace("HOME", HOME).replace("CODE", CODE).replace("CANARY", CANARY)
        text = text.replace("ADDRESS", host.sh("hostname -I").split()[0])
        host.sh(f"cat >/tmp/hostile.py <<'END'\n{text}\nEND")
        script = (
            f"cd {CODE} && git checkout -q --detach && cp /tmp/hostile.py jobrunner/service.py"
            " && git -c user.name=x -c user.email=x@x commit -qam hostile"
            f" && git tag -f hostile && git checkout -q {was}"
        )
        managed.as_opensafely("sandbox-1", script)
        host.sh(f"git -C {ORIGIN} fetch -q {CODE} +refs/tags/hostile:refs/tags/hostile")
        return host

    yield make
    host.sh(f"cp -p /root/secrets {secrets}; git -C {CODE} tag -d hostile")
    host.sh(f"git -C {ORIGIN} tag -d hostile")


def pending(inv, ref="hostile"):
    done = inv("-H", "sandbox-1", "deploy.pending", "--ref", ref, "--json")
    assert CANARY not in done.stdout + done.stderr
    return json.loads(done.stdout)["hosts"]["sandbox-1"]["value"]


def test_a_preview_of_a_hostile_release_reaches_nothing_on_the_host(release, inv):
    host = release(ATTACK)
    facts = pending(inv)
    assert facts["is_confined"]
    # The home that it sees is empty, in memory, and gone now.
    assert facts["import_error"].splitlines()[-1] == "it got: home"
    assert host.sh(f"ls {HOME}/canary {CODE}/.git/hooks/post-checkout 2>/dev/null || true") == ""
    assert host.sh("systemctl is-active jobrunner") == "active"
    assert host.sh(f"git -C {CODE} status --porcelain") == ""
    until(lambda: host.sh("pgrep -f 'sleep 9876[5]' || true") == "", "its daemon still runs", 10)


def test_a_preview_of_an_endless_release_ends(release, inv):
    host = release(ENDLESS)
    error = pending(inv)["import_error"]
    assert "did not end within" in error or "File too large" in error
    busy = "pgrep -u opensafely -f 'jobrunner.cli.fla[g]s' || true"
    until(lambda: host.sh(busy) == "", "it still runs", 10)


def test_a_host_without_user_namespaces_says_so(release, inv):
    host = release(ATTACK)
    # The limit of this host cannot be changed from inside, so its program is taken away.
    host.sh("chmod 0700 /usr/bin/unshare")
    try:
        facts = pending(inv)
        assert not facts["is_confined"]
        last = facts["import_error"].splitlines()[-1]
        assert "environment" not in last.split()
        for task in (["deploy", "--dry"], ["deploy.pending"]):
            done = inv("-H", "sandbox-1", *task, "--ref", "v2.73.0")
            assert "no user namespaces" in done.stdout + done.stderr
    finally:
        host.sh("chmod 0755 /usr/bin/unshare; pkill -x sleep -u opensafely || true")
        host.sh(f"rm -f {HOME}/canary {CODE}/.git/hooks/post-checkout")
        host.sh(f"git -C {CODE} checkout -q . ; systemctl start jobrunner")


def test_the_real_job_runner_is_imported_without_secrets(release, managed, inv):
    release("")
    managed.publish("v2.73.0")  # its dependencies, too
    try:
        facts = pending(inv, "v2.73.0")
    finally:
        managed.publish("v2.71.0")
    assert (facts["import_error"], facts["is_confined"]) == ("", True)
