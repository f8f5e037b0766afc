"""images.* with a real registry on the host, in place of the backend's proxy."""

import json
import time

import pytest
import yaml

from tests.images.images_help import (
    SANDBOX_HOST,
    SANDBOX_PROXY,
    SANDBOX_REGISTRY,
    image_id,
    push_image,
)
from tests.jobs import jobs_help as jobs

pytestmark = [pytest.mark.sandbox, pytest.mark.hosts(1)]
# The registry, at 1 MB a second.
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


@pytest.fixture(scope="module")
def update(image_registry, inv, sandbox_dir, tmp_path_factory):
    """`inv` with an inventory that has the proxy."""
    inventory = yaml.safe_load((sandbox_dir / "hosts.yaml").read_text())
    inventory["hosts"][SANDBOX_HOST]["registry_proxy"] = SANDBOX_PROXY
    path = tmp_path_factory.mktemp("proxy") / "hosts.yaml"
    path.write_text(yaml.safe_dump(inventory))
    return lambda *words: inv("-H", SANDBOX_HOST, *words, inventory=path)


def good(done):
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def value(done):
    return json.loads(good(done).stdout)["hosts"][SANDBOX_HOST]["value"]


def digest_of(sandbox, name="ehrql:v1"):
    """The digest that an image of the host was pulled by, in twelve digits."""
    script = "docker inspect -f '{{join .RepoDigests \" \"}}' "
    found = sandbox.must(SANDBOX_HOST, ["bash", "-c", f"{script}{SANDBOX_REGISTRY}/{name}"])
    return found.partition("sha256:")[2][:12]


def test_a_new_version_gets_every_name_and_the_old_image_is_removed(image_registry, update):
    first = push_image(image_registry, "ehrql:v1", "one")
    done = good(update("update-docker-image", "ehrql:v1", "--yes"))
    assert "pull " in done.stderr
    assert f"ehrql:v1 is {digest_of(image_registry)}" in done.stdout
    assert "ehrql:v1 up to date on 1 host in " in done.stdout
    assert image_id(image_registry, f"{SANDBOX_REGISTRY}/ehrql:v1") == first
    # The old image has another name, too, so it must not be removed.
    assert image_id(image_registry, "keep-ehrql:v1")
    again = good(update("images.update", "ehrql:v1", "--yes"))
    assert "nothing to do" in again.stdout

    second = push_image(image_registry, "ehrql:v1", "two")
    out = value(update("--json", "images.update", "ehrql:v1", "--yes"))
    assert out["removed"] == [first]
    assert image_id(image_registry, f"{SANDBOX_REGISTRY}/ehrql:v1") == second
    assert image_id(image_registry, first) == ""
    digests = image_registry.must(
        SANDBOX_HOST, ["docker", "inspect", "-f", "{{.RepoDigests}}", second]
    )
    assert out["steps"][0]["digest"] in digests
    manifest = "curl -sI -H 'Accept: application/vnd.docker.distribution.manifest.v2+json' \
        http://127.0.0.1:5000/v2/opensafely-core/ehrql/manifests/v1"
    head = image_registry.must(SANDBOX_HOST, ["bash", "-c", manifest]).lower()
    (digest,) = (
        w for line in head.splitlines() if "content-digest" in line for w in line.split()[1:]
    )
    assert digest in digests
    entry = image_registry.must(
        SANDBOX_HOST, ["journalctl", "-t", "opstasks", "-o", "cat", "-n", "1"]
    )
    assert (json.loads(entry)["task"], digest in entry) == ("images.update", True)


def test_an_image_is_kept_while_a_container_uses_it(image_registry, update):
    old = image_id(image_registry, f"{SANDBOX_REGISTRY}/ehrql:v1")
    run = ["docker", "run", "-d", "--name", "os-job-user", "--entrypoint", "sleep"]
    image_registry.must(SANDBOX_HOST, [*run, f"{SANDBOX_REGISTRY}/ehrql:v1", "600"])
    try:
        push_image(image_registry, "ehrql:v1", "three")
        out = value(update("--json", "images.update", "ehrql:v1", "--yes"))
        assert (out["removed"], out["kept"]) == ([], [old])
        assert image_id(image_registry, old) == old
        rows = value(update("--json", "images.ls"))
        (row,) = (row for row in rows if not row["name"])
        assert (row["id"], row["users"]) == (old, ["os-job-user"])
        assert "(replaced, in use)" in good(update("images.ls")).stdout
    finally:
        image_registry.must(SANDBOX_HOST, ["docker", "rm", "-f", "os-job-user"])
        image_registry.exec_(SANDBOX_HOST, ["docker", "rmi", old])


def test_another_digest_than_the_requested_one_is_refused(image_registry, update):
    before = image_id(image_registry, f"{SANDBOX_REGISTRY}/ehrql:v1")
    push_image(image_registry, "ehrql:v1", "four")
    wrong = "sha256:" + "0" * 64
    done = update("images.update", "ehrql:v1", "--digest", wrong, "--yes")
    assert (done.returncode, "nothing was changed" in done.stderr) == (2, True)
    assert image_id(image_registry, f"{SANDBOX_REGISTRY}/ehrql:v1") == before


def test_a_new_image_and_several_at_once_are_pulled(image_registry, update):
    assert not image_id(image_registry, f"{SANDBOX_REGISTRY}/newer:v1")
    newer = push_image(image_registry, "newer:v1", "five")
    good(update("images.update", "newer:v1", "ehrql:v1", "--yes"))
    assert image_id(image_registry, f"{SANDBOX_REGISTRY}/newer:v1") == newer
    names = {row["name"]: row for row in value(update("--json", "images.ls"))}
    assert names[f"{SANDBOX_REGISTRY}/newer:v1"]["digest"]


def test_a_failed_pull_changes_nothing(image_registry, update, restart_image_registry):
    listing = ["docker", "images", "--no-trunc", "--format", "{{.ID}} {{.Tag}} {{.Repository}}"]
    before = sorted(image_registry.must(SANDBOX_HOST, listing).splitlines())
    done = update("images.update", "nosuch:v1", "--yes")
    assert (done.returncode, "nosuch" in done.stderr) == (2, True)
    for name in ("$(touch /tmp/canary)", "a b", "../x", "ehrql:v1;id", "EHRQL", "x@sha256:00", ""):
        assert update("images.update", f"--image={name}", "--yes").returncode == 2
    assert update("images.update", "ehrql:v1").returncode in (0, 2)
    image_registry.must(SANDBOX_HOST, ["systemctl", "stop", "test-registry"])
    try:
        done = update("images.update", "ehrql:v1", "--yes")
    finally:
        restart_image_registry()
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(image_registry.must(SANDBOX_HOST, listing).splitlines()) == before
    assert image_registry.exec_(SANDBOX_HOST, ["test", "-e", "/tmp/canary"]).returncode == 1
    lock = image_registry.exec_(SANDBOX_HOST, ["flock", "-n", "/var/lib/opstasks/lock", "true"])
    assert lock.returncode == 0


def test_ctrl_c_stops_a_pull_and_running_again_completes_it(
    image_registry, update, sandbox_dir, tmp_path
):
    before = image_id(image_registry, f"{SANDBOX_REGISTRY}/ehrql:v1")
    listing = "docker images -q --no-trunc --all | sort"
    grow = (
        "c=$(docker create keep-ehrql:v1) && head -c 12000000 /dev/urandom >/tmp/content"
        f" && docker cp /tmp/content $c:/big && docker commit $c {SANDBOX_PROXY}/ehrql:v1"
        f" && docker rm $c && docker push -q {SANDBOX_PROXY}/ehrql:v1"
        f" && docker rmi {SANDBOX_PROXY}/ehrql:v1 && rm /tmp/content"
    )
    image_registry.must(SANDBOX_HOST, ["bash", "-c", grow])
    image_registry.must(SANDBOX_HOST, ["tee", "/tmp/slow.py"], stdin=SLOW)
    unit = ("--unit=test-slow", "--collect", "--property=Restart=always", "--property=RestartSec=1")
    image_registry.must(SANDBOX_HOST, ["systemd-run", "--quiet", *unit, "python3", "/tmp/slow.py"])
    up = "until curl -sf --max-time 3 http://127.0.0.1:5001/v2/; do sleep 0.2; done"
    image_registry.must(SANDBOX_HOST, ["timeout", "60", "bash", "-c", up])
    inventory = yaml.safe_load((sandbox_dir / "hosts.yaml").read_text())
    inventory["hosts"][SANDBOX_HOST]["registry_proxy"] = SANDBOX_PROXY.replace(":5000", ":5001")
    (tmp_path / "hosts.yaml").write_text(yaml.safe_dump(inventory))
    had = image_registry.must(SANDBOX_HOST, ["bash", "-c", listing])

    words = ["-H", SANDBOX_HOST, "images.update", "ehrql:v1", "--yes"]
    child = jobs.terminal(tmp_path, *words, state=tmp_path)
    child.expect(r"layers, [1-9][\d.]* [KM]iB of 1\d(\.\d)? MiB")
    at = time.monotonic()
    child.sendintr()
    shown, code = jobs.finished(child)
    took_s = time.monotonic() - at
    assert code == 130, shown
    assert "no name was moved; run it again" in " ".join(shown.split())
    assert took_s < 20, f"it waited for the rest of the image: {took_s:.1f} s"
    # Neither our program nor docker continues.
    gone = "! pgrep -f 'python3 -I -[c]' && ! ss -Htn state established dport = :5001 | grep -q ."
    jobs.until(
        lambda: not image_registry.exec_(SANDBOX_HOST, ["bash", "-c", gone]).returncode,
        "it is still running",
        15,
    )
    assert image_registry.must(SANDBOX_HOST, ["bash", "-c", listing]) == had
    assert image_id(image_registry, f"{SANDBOX_REGISTRY}/ehrql:v1") == before
    assert image_registry.must(
        SANDBOX_HOST, ["flock", "-n", "/var/lib/opstasks/lock", "echo", "free"]
    )
    ended = image_registry.must(
        SANDBOX_HOST, ["journalctl", "-t", "opstasks", "-o", "cat", "-n", "1"]
    )
    assert json.loads(ended)["outcome"] == "interrupted"

    shown, code = jobs.finished(jobs.terminal(tmp_path, *words, state=tmp_path))
    assert code == 0, shown
    after = image_id(image_registry, f"{SANDBOX_REGISTRY}/ehrql:v1")
    assert after
    assert after != before
