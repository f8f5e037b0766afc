"""images.* against a real registry on the host, standing in for the proxy of the backend."""

import json
import time

import pytest
import yaml

from tests.jobs import jobs_help as jobs

pytestmark = [pytest.mark.sandbox, pytest.mark.hosts(1)]
HOST = "sandbox-1"
OURS = "ghcr.io/opensafely-core"
PROXY = "registry-proxy:5000/opensafely-core"
REGISTRY = """
version: 0.1
storage: {filesystem: {rootdirectory: /tmp/registry}, delete: {enabled: true}}
http: {addr: "127.0.0.1:5000"}
"""
SERVE = """
set -e
systemd-run --quiet --unit=test-registry --collect docker-registry serve /tmp/registry.yml
for _ in $(seq 50); do curl -sf http://127.0.0.1:5000/v2/ >/dev/null && break; sleep 0.2; done
"""
START = """
set -e
cp /etc/hosts /var/tmp/hosts.before
echo '127.0.0.1 registry-proxy' >>/etc/hosts
[ ! -e /etc/docker/daemon.json ] || cp /etc/docker/daemon.json /var/tmp/daemon.before
proxies='["registry-proxy:5000", "registry-proxy:5001"]'
echo '{"insecure-registries": '"$proxies"'}' >/etc/docker/daemon.json
systemctl reload docker
cat >/tmp/registry.yml
docker tag ghcr.io/opensafely-core/ehrql:v1 keep-ehrql:v1
"""
# The same registry, at 1 MB a second.
SLOW = """
import contextlib, socket, threading, time
def pass_on(source, target, seconds_a_mb):
    with contextlib.suppress(OSError):
        while data := source.recv(100_000):
            target.sendall(data)
            time.sleep(seconds_a_mb * len(data) / 1e6)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
server = socket.create_server(("127.0.0.1", 5001))
while True:
    client, _ = server.accept()
    registry = socket.create_connection(("127.0.0.1", 5000))
    for way in ((client, registry, 0), (registry, client, 3)):
        threading.Thread(target=pass_on, args=way, daemon=True).start()
"""
STOP = f"""
systemctl stop test-slow
docker images --format '{{{{.Repository}}}}:{{{{.Tag}}}}' | grep -F :5001/ | xargs -r docker rmi -f
docker tag keep-ehrql:v1 {OURS}/ehrql:v1
docker images --format '{{{{.Repository}}}}:{{{{.Tag}}}}' | grep -F {PROXY} | xargs -r docker rmi -f
docker rmi keep-ehrql:v1 {OURS}/newer:v1
docker image prune -f
systemctl stop test-registry
cat /var/tmp/hosts.before >/etc/hosts
if [ -e /var/tmp/daemon.before ]; then mv /var/tmp/daemon.before /etc/docker/daemon.json
else rm -f /etc/docker/daemon.json; fi
systemctl reload docker
rm -rf /tmp/registry /tmp/registry.yml
true
"""


@pytest.fixture(scope="module")
def registry(managed):
    """A registry by the name of a proxy, which docker trusts for the time being."""
    managed.must(HOST, ["bash", "-c", START], stdin=REGISTRY)
    managed.must(HOST, ["bash", "-c", SERVE])
    yield managed
    managed.must(HOST, ["bash", "-c", STOP])


@pytest.fixture(scope="module")
def update(registry, inv, sandbox_dir, tmp_path_factory):
    """`inv` with an inventory that names the proxy."""
    inventory = yaml.safe_load((sandbox_dir / "hosts.yaml").read_text())
    inventory["hosts"][HOST]["registry_proxy"] = PROXY
    path = tmp_path_factory.mktemp("proxy") / "hosts.yaml"
    path.write_text(yaml.safe_dump(inventory))
    return lambda *words: inv("-H", HOST, *words, inventory=path)


def push(sandbox, name, content, base="keep-ehrql:v1"):
    """Push a new version with one more layer; its image id."""
    script = (
        f"c=$(docker create {base}) && printf %s '{content}' >/tmp/content"
        f" && docker cp /tmp/content $c:/content && docker commit $c {PROXY}/{name} >/dev/null"
        f" && docker rm $c >/dev/null && docker push -q {PROXY}/{name} >/dev/null"
        f" && docker inspect --format '{{{{.Id}}}}' {PROXY}/{name}"
        f" && docker rmi {PROXY}/{name} >/dev/null"
    )
    return sandbox.must(HOST, ["bash", "-c", script]).splitlines()[0]


def image_id(sandbox, name):
    done = sandbox.exec_(HOST, ["docker", "inspect", "--format", "{{.Id}}", name])
    return done.stdout.strip() if done.returncode == 0 else ""


def good(done):
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def value(done):
    return json.loads(good(done).stdout)["hosts"][HOST]["value"]


def test_a_new_version_takes_every_name_and_what_it_replaced_goes(registry, update):
    first = push(registry, "ehrql:v1", "one")
    done = good(update("update-docker-image", "ehrql:v1", "--yes"))
    assert "layers" in done.stderr
    assert image_id(registry, f"{OURS}/ehrql:v1") == first
    # The one that was there before is kept under another name, so it is not ours to remove.
    assert image_id(registry, "keep-ehrql:v1")
    again = good(update("images.update", "ehrql:v1", "--yes"))
    assert "nothing to do" in again.stdout

    second = push(registry, "ehrql:v1", "two")
    out = value(update("--json", "images.update", "ehrql:v1", "--yes"))
    assert out["removed"] == [first.removeprefix("sha256:")[:12]]
    assert image_id(registry, f"{OURS}/ehrql:v1") == second
    assert image_id(registry, first) == ""
    digests = registry.must(HOST, ["docker", "inspect", "-f", "{{.RepoDigests}}", second])
    manifest = "curl -sI -H 'Accept: application/vnd.docker.distribution.manifest.v2+json' \
        http://127.0.0.1:5000/v2/opensafely-core/ehrql/manifests/v1"
    head = registry.must(HOST, ["bash", "-c", manifest]).lower()
    (digest,) = (
        w for line in head.splitlines() if "content-digest" in line for w in line.split()[1:]
    )
    assert digest in digests
    entry = registry.must(HOST, ["journalctl", "-t", "opstasks", "-o", "cat", "-n", "1"])
    assert (json.loads(entry)["task"], digest in entry) == ("images.update", True)


def test_an_image_that_a_container_uses_stays_until_it_is_free(registry, update):
    old = image_id(registry, f"{OURS}/ehrql:v1")
    run = ["docker", "run", "-d", "--name", "os-job-user", "--entrypoint", "sleep"]
    registry.must(HOST, [*run, f"{OURS}/ehrql:v1", "600"])
    try:
        push(registry, "ehrql:v1", "three")
        out = value(update("--json", "images.update", "ehrql:v1", "--yes"))
        assert (out["removed"], out["kept"]) == ([], [old.removeprefix("sha256:")[:12]])
        assert image_id(registry, old) == old
        rows = value(update("--json", "images.ls"))
        (row,) = (row for row in rows if not row["name"])
        assert (row["note"], row["users"]) == ("replaced, still in use", ["os-job-user"])
    finally:
        registry.must(HOST, ["docker", "rm", "-f", "os-job-user"])
        registry.exec_(HOST, ["docker", "rmi", old])


def test_only_the_digest_that_was_asked_for_is_taken(registry, update):
    before = image_id(registry, f"{OURS}/ehrql:v1")
    push(registry, "ehrql:v1", "four")
    wrong = "sha256:" + "0" * 64
    done = update("images.update", "ehrql:v1", "--digest", wrong, "--yes")
    assert (done.returncode, "nothing was changed" in done.stderr) == (2, True)
    assert image_id(registry, f"{OURS}/ehrql:v1") == before


def test_an_image_that_nobody_had_and_several_at_once(registry, update):
    assert not image_id(registry, f"{OURS}/newer:v1")
    newer = push(registry, "newer:v1", "five")
    good(update("images.update", "newer:v1", "ehrql:v1", "--yes"))
    assert image_id(registry, f"{OURS}/newer:v1") == newer
    names = {row["name"]: row for row in value(update("--json", "images.ls"))}
    assert names[f"{OURS}/newer:v1"]["digest"]


def test_an_unknown_image_a_missing_registry_and_a_hostile_name_change_nothing(registry, update):
    listing = ["docker", "images", "--no-trunc", "--format", "{{.ID}} {{.Tag}} {{.Repository}}"]
    before = sorted(registry.must(HOST, listing).splitlines())
    done = update("images.update", "nosuch:v1", "--yes")
    assert (done.returncode, "nosuch" in done.stderr) == (2, True)
    for name in ("$(touch /tmp/canary)", "a b", "../x", "ehrql:v1;id", "EHRQL", "x@sha256:00", ""):
        assert update("images.update", f"--image={name}", "--yes").returncode == 2
    assert update("images.update", "ehrql:v1").returncode in (0, 2)
    registry.must(HOST, ["systemctl", "stop", "test-registry"])
    try:
        done = update("images.update", "ehrql:v1", "--yes")
    finally:
        registry.must(HOST, ["bash", "-c", SERVE])
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(registry.must(HOST, listing).splitlines()) == before
    assert registry.exec_(HOST, ["test", "-e", "/tmp/canary"]).returncode == 1
    lock = registry.exec_(HOST, ["flock", "-n", "/var/lib/opstasks/lock", "true"])
    assert lock.returncode == 0


def test_ctrl_c_in_the_middle_of_a_pull_stops_it_and_running_again_completes(
    registry, update, sandbox_dir, tmp_path
):
    before = image_id(registry, f"{OURS}/ehrql:v1")
    listing = "docker images -q --no-trunc --all | sort"
    grow = (
        "c=$(docker create keep-ehrql:v1) && head -c 12000000 /dev/urandom >/tmp/content"
        f" && docker cp /tmp/content $c:/big && docker commit $c {PROXY}/ehrql:v1"
        f" && docker rm $c && docker push -q {PROXY}/ehrql:v1"
        f" && docker rmi {PROXY}/ehrql:v1 && rm /tmp/content"
    )
    registry.must(HOST, ["bash", "-c", grow])
    registry.must(HOST, ["tee", "/tmp/slow.py"], stdin=SLOW)
    unit = ("--unit=test-slow", "--collect", "--property=Restart=always", "--property=RestartSec=1")
    registry.must(HOST, ["systemd-run", "--quiet", *unit, "python3", "/tmp/slow.py"])
    up = "until curl -sf --max-time 3 http://127.0.0.1:5001/v2/; do sleep 0.2; done"
    registry.must(HOST, ["timeout", "60", "bash", "-c", up])
    inventory = yaml.safe_load((sandbox_dir / "hosts.yaml").read_text())
    inventory["hosts"][HOST]["registry_proxy"] = PROXY.replace(":5000", ":5001")
    (tmp_path / "hosts.yaml").write_text(yaml.safe_dump(inventory))
    had = registry.must(HOST, ["bash", "-c", listing])

    words = ["-H", HOST, "images.update", "ehrql:v1", "--yes"]
    child = jobs.terminal(tmp_path, *words, state=tmp_path)
    child.expect(r"layers, [1-9][\d.]* MB of 1\d\.\d MB")
    at = time.monotonic()
    child.sendintr()
    shown, code = jobs.finished(child)
    took_s = time.monotonic() - at
    assert code == 130, shown
    assert "no name was moved; run it again" in " ".join(shown.split())
    assert took_s < 20, f"the rest of the image was waited for: {took_s:.1f} s"
    # Neither our script, nor docker itself, goes on.
    gone = "! pgrep -f 'python3 -I -[c]' && ! ss -Htn state established dport = :5001 | grep -q ."
    jobs.until(lambda: not registry.exec_(HOST, ["bash", "-c", gone]).returncode, "it goes on", 15)
    assert registry.must(HOST, ["bash", "-c", listing]) == had
    assert image_id(registry, f"{OURS}/ehrql:v1") == before
    assert registry.must(HOST, ["flock", "-n", "/var/lib/opstasks/lock", "echo", "free"])
    ended = registry.must(HOST, ["journalctl", "-t", "opstasks", "-o", "cat", "-n", "1"])
    assert json.loads(ended)["outcome"] == "interrupted"

    shown, code = jobs.finished(jobs.terminal(tmp_path, *words, state=tmp_path))
    assert code == 0, shown
    after = image_id(registry, f"{OURS}/ehrql:v1")
    assert after
    assert after != before
