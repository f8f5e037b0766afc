"""The Level 3 sync on a real host: a mounted drive, a real timer, real interruptions."""

import json
import time

import pytest

from tests.sync.level3 import SOURCE, TARGET, drive, inventory_with_source, mount

pytestmark = [pytest.mark.sandbox, pytest.mark.hosts(1)]
UNIT = "opstasks-level3-sync"
LAST = SOURCE.removeprefix("/e/")


@pytest.fixture(scope="module")
def here(managed):
    from tests.look import Look

    return Look(managed, "sandbox-1")


@pytest.fixture
def mounted(here):
    with drive(here):
        yield here


@pytest.fixture
def ask(inv, sandbox_dir, tmp_path):
    """Run a task on sandbox-1, which has a Level 3 source; checks its exit code, returns JSON."""
    inventory = inventory_with_source(sandbox_dir, tmp_path / "hosts.yaml")

    def run(*words, code=0):
        done = inv("-H", "sandbox-1", "--json", *words, inventory=inventory)
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return json.loads(done.stdout)["hosts"]["sandbox-1"]

    return run


def show(here, unit, name):
    return here.sh(f"systemctl show {unit} --property={name} --value")


def test_start_installs_a_timer_and_a_second_start_does_nothing(mounted, ask):
    mounted.sh(f"mkdir -p '{SOURCE}/l3-a/it is'; echo new >'{SOURCE}/l3-a/it is/a [b]*.txt'")
    mounted.sh(f"ln -s /srv/high_privacy {SOURCE}/l3-a/link; mkfifo {SOURCE}/l3-a/pipe")
    mounted.sh(f"mkdir {TARGET}/l3-a; echo mine >{TARGET}/l3-a/mine.txt")
    mounted.sh(f"echo newer >{TARGET}/l3-a/both.txt; echo older >{SOURCE}/l3-a/both.txt")
    mounted.sh(f"touch -d '1 hour ago' {SOURCE}/l3-a/both.txt; chown -R opensafely {TARGET}/l3-a")
    before = mounted.sh(f"stat -c '%a %U:%G' {TARGET}")
    first = ask("sync.start")
    assert first["outcome"] == "changed"
    assert mounted.sh(f"cat '{TARGET}/l3-a/it is/a [b]*.txt'") == "new"
    assert mounted.sh(f"cat {TARGET}/l3-a/mine.txt {TARGET}/l3-a/both.txt") == "mine\nnewer"
    assert sorted(first["value"]["last"]["skipped"]) == ["l3-a/link", "l3-a/pipe"]
    found = mounted.sh(f"find {TARGET}/l3-a -printf '%y %m %u:%g %f\\n' | sort")
    assert "f 640 opensafely:reviewers a [b]*.txt" in found
    assert "l " not in found
    assert mounted.sh(f"stat -c '%a %U:%G' {TARGET}") == before
    assert show(mounted, f"{UNIT}.timer", "UnitFileState") == "enabled"
    mounted.sh(f"systemd-analyze verify /etc/systemd/system/{UNIT}.timer")
    # Two minutes after the last run ended, not after it began.
    ended = int(show(mounted, f"{UNIT}.service", "InactiveEnterTimestampMonotonic"))
    due = mounted.sh(
        f"busctl get-property org.freedesktop.systemd1"
        f" $(busctl call org.freedesktop.systemd1 /org/freedesktop/systemd1"
        f" org.freedesktop.systemd1.Manager GetUnit s {UNIT}.timer | cut -d'\"' -f2)"
        " org.freedesktop.systemd1.Timer NextElapseUSecMonotonic"
    )
    assert int(due.split()[1]) - ended == pytest.approx(120e6, abs=2e6)

    again = ask("sync.start")
    assert again["outcome"] == "ok"
    assert again["value"]["last"] == first["value"]["last"]
    state = ask("sync.status")["value"]
    assert (state["on"], state["outdated"], state["by_hand"]) == (True, False, [])
    row = ask("status")["value"]
    assert row["sync"]["is_on"]
    assert row["sync"]["last_success_at"]
    assert not [concern for concern in row["concerns"] if "sync" in concern["text"]]


def test_an_unmounted_source_is_an_error_without_changes(mounted, ask):
    mounted.sh(f"mkdir -p {SOURCE}/l3-b; echo x >{SOURCE}/l3-b/x.txt")
    ask("sync.once")
    mounted.sh("umount /e")
    # The mount point and its folders still exist.
    mounted.sh(f"mkdir -p {SOURCE}/l3-b; echo fake >{SOURCE}/l3-b/fake.txt")
    try:
        failed = ask("sync.once", code=1)
        assert "is not mounted" in failed["error"]["message"]
        assert "findmnt" in failed["error"]["tail"]
        assert "not mounted" in ask("sync.start", code=1)["error"]["message"]
        assert mounted.sh(f"ls {TARGET}/l3-b") == "x.txt"
        concerns = ask("status", code=1)["value"]["concerns"]
        assert [concern for concern in concerns if "is not mounted" in concern["text"]]
    finally:
        mounted.sh("rm -rf /e/FILESFORL4")
    # Mounted again: the next start copies at once.
    mount(mounted)
    mounted.sh(f"mkdir -p {SOURCE}/l3-b; echo y >{SOURCE}/l3-b/y.txt")
    ask("sync.start")
    assert mounted.sh(f"ls {TARGET}/l3-b") == "x.txt\ny.txt"
    assert "is not mounted" in mounted.sh(f"journalctl -u {UNIT} -o cat -n 100")


def test_manage_installs_the_same_files_but_does_not_start_the_sync(mounted, ask):
    script, service, timer = (
        "/usr/local/lib/opstasks/level3-sync",
        f"/etc/systemd/system/{UNIT}.service",
        f"/etc/systemd/system/{UNIT}.timer",
    )

    def things():
        return {s["thing"]: s["now"] for s in ask("manage", "--plan")["value"]["steps"]}

    def unit_states():
        return [show(mounted, f"{UNIT}.timer", name) for name in ("UnitFileState", "ActiveState")]

    folder = script.rpartition("/")[0]
    assert things() == dict.fromkeys((folder, script, service, timer), "absent")
    assert ask("manage", "--yes")["outcome"] == "changed"
    assert unit_states() == ["disabled", "inactive"]
    assert ask("manage", "--yes")["value"]["steps"] == []
    before = mounted.sh(f"stat -c '%Y %i %a %U:%G' {script} {service} {timer}")
    assert ask("sync.start")["outcome"] == "changed"
    assert mounted.sh(f"stat -c '%Y %i %a %U:%G' {script} {service} {timer}") == before
    assert unit_states() == ["enabled", "active"]

    mounted.sh(f"sed -i s/120s/5s/ {timer}; chmod 666 {service}; rm {script}")
    assert things() == {
        **{timer: "content differs", service: "root:root 0666"},
        **{script: "absent"},
    }
    ask("manage", "--yes")
    assert things() == {}
    assert show(mounted, f"{UNIT}.timer", "NeedDaemonReload") == "no"
    assert unit_states() == ["enabled", "active"]
    state = ask("sync.status")["value"]
    assert (state["on"], state["outdated"]) == (True, False)

    assert ask("sync.stop", "--yes")["outcome"] == "changed"
    assert ask("manage", "--yes")["value"]["steps"] == []
    assert unit_states() == ["disabled", "inactive"]


def test_stop_ends_copying_and_keeps_every_file(mounted, ask):
    mounted.sh(f"mkdir -p {SOURCE}/l3-c; echo x >{SOURCE}/l3-c/x.txt")
    ask("sync.start")
    assert ask("sync.stop", "--yes")["outcome"] == "changed"
    assert show(mounted, f"{UNIT}.timer", "ActiveState") == "inactive"
    assert show(mounted, f"{UNIT}.timer", "UnitFileState") == "disabled"
    assert mounted.sh(f"cat {TARGET}/l3-c/x.txt") == "x"
    assert ask("sync.stop", "--yes")["outcome"] == "ok"
    # If it was only stopped by hand, it would start at the next boot: that is not off.
    mounted.sh(f"systemctl enable -q {UNIT}.timer")
    assert ask("sync.stop", "--yes")["outcome"] == "changed"
    assert show(mounted, f"{UNIT}.timer", "UnitFileState") == "disabled"
    # Once, without a timer; a file in the place of a folder is kept and reported.
    mounted.sh(f"echo file >{TARGET}/l3-c/clash; mkdir {SOURCE}/l3-c/clash")
    mounted.sh(f"echo in >{SOURCE}/l3-c/clash/in; echo z >{SOURCE}/l3-c/z.txt")
    assert "l3-c/clash" in ask("sync.once", code=1)["error"]["message"]
    assert mounted.sh(f"cat {TARGET}/l3-c/clash {TARGET}/l3-c/z.txt") == "file\nz"
    assert show(mounted, f"{UNIT}.timer", "ActiveState") == "inactive"


def test_one_unreadable_folder_does_not_stop_the_rest(mounted, ask):
    """At the source: no list, no search, one file; in the target: no search, no write."""
    for name in ("good", "list", "search", "file", "there", "full"):
        mounted.sh(f"mkdir -p {SOURCE}/l3-e/{name}; echo {name} >{SOURCE}/l3-e/{name}/in.txt")
    mounted.sh(f"chmod 0733 {SOURCE}/l3-e/list; chmod 0744 {SOURCE}/l3-e/search")
    mounted.sh(f"chmod 0600 {SOURCE}/l3-e/file/in.txt; mkdir -p {TARGET}/l3-e/there")
    mounted.sh(f"mkdir {TARGET}/l3-e/full; chown opensafely {TARGET}/l3-e")
    mounted.sh(f"chmod 0700 {TARGET}/l3-e/there; chmod 0755 {TARGET}/l3-e/full")
    failed = ask("sync.once", code=1)
    message = failed["error"]["message"]
    bad = [f"{SOURCE}/l3-e/{name}" for name in ("list", "search", "file/in.txt")]
    for path in (*bad, f"{TARGET}/l3-e/there/in.txt"):
        assert f"{path}" in message, message
    assert message.count("Permission denied") == 5
    assert "(copied: 1 files)" in message
    assert mounted.sh(f"find {TARGET}/l3-e -type f") == f"{TARGET}/l3-e/good/in.txt"
    state = ask("sync.status")
    assert len(state["value"]["last"]["uncopied"]) == 5
    mounted.sh(f"chmod -R a+rX {SOURCE}/l3-e; chown -R opensafely {TARGET}/l3-e")
    assert ask("sync.once")["outcome"] == "changed"
    assert mounted.sh(f"find {TARGET}/l3-e -type f | wc -l") == "6"


def test_the_sync_continues_after_a_reboot(mounted, ask, managed):
    """The drive is mounted at boot, and the sync starts after it."""
    mounted.sh(f"umount /e; mkdir -p /srv/drive/FILESFORL4; mkdir -m 0777 /srv/drive/{LAST}")
    mounted.sh("cp /etc/fstab /etc/fstab.kept; echo '/srv/drive /e none bind 0 0' >>/etc/fstab")
    mounted.sh(f"systemctl daemon-reload; mount /e; mkdir {SOURCE}/l3-d")
    try:
        ask("sync.start")
        mounted.sh(f"echo x >{SOURCE}/l3-d/x.txt")
        managed.reboot("sandbox-1")
        deadline = time.monotonic() + 60
        while mounted.sh(f"cat {TARGET}/l3-d/x.txt 2>&1 || true") != "x":
            assert time.monotonic() < deadline, "no run since the boot"
            time.sleep(0.5)
        assert show(mounted, f"{UNIT}.timer", "ActiveState") == "active"
        assert "failed" not in mounted.sh(f"journalctl -b -u {UNIT} -o cat").lower()
    finally:
        mounted.sh("umount /e; mv /etc/fstab.kept /etc/fstab; rm -rf /srv/drive")
        mounted.sh("systemctl daemon-reload")


def test_a_host_without_a_source_is_refused(inv, managed):
    done = inv("-H", "sandbox-1", "sync.start")
    assert done.returncode == 2
    assert "level3_source" in done.stderr


# Runs on the host: rewrite and copy 10 000 files that contain their own hash, with interruptions.
DRIVER = """
import hashlib, os, random, subprocess, sys, threading, time
SOURCE, TARGET, UNIT, FILES, TIMES = sys.argv[1:4] + [int(n) for n in sys.argv[4:]]
random.seed(5)
names = [f"l3-bulk/{n % 40}/file-{n}.csv" for n in range(FILES)]

def write(name, version):
    size = 4_000_000 if random.random() < 0.002 else random.randint(200, 6000)
    body = f"{name} {version} ".encode() + os.urandom(size)
    path = f"{SOURCE}/{name}"
    with open(path + ".w", "wb") as file:
        file.write(hashlib.sha256(body).digest() + body)
    os.utime(path + ".w", (1_600_000_000 + version * 1000,) * 2)
    os.rename(path + ".w", path)

def whole(path):
    with open(path, "rb") as file:
        data = file.read()
    return hashlib.sha256(data[32:]).digest() == data[:32]

def check_visible(paths):
    for path in paths:
        try:
            if not whole(path):
                broken.append(path)
        except FileNotFoundError:
            pass

def visible():
    return [f"{f}/{n}" for f, _, ns in os.walk(f"{TARGET}/l3-bulk") for n in ns]

def watch():
    while not done.is_set():
        found = visible()
        strange.update(p for p in found if p[len(TARGET) + 1:] not in known)
        check_visible(random.sample(found, min(300, len(found))))

def is_running():
    state = subprocess.run(["systemctl", "is-active", UNIT], capture_output=True, text=True)
    return state.stdout.strip() == "activating"

broken, strange, done = [], set(), threading.Event()
known = {*names, "l3-bulk/kept.csv"}
for folder in range(40):
    os.makedirs(f"{SOURCE}/l3-bulk/{folder}")
for name in names:
    write(name, 0)
os.makedirs(f"{TARGET}/l3-bulk")
subprocess.run(["chown", "opensafely", f"{TARGET}/l3-bulk"], check=True)
with open(f"{TARGET}/l3-bulk/kept.csv", "wb") as file:
    file.write(hashlib.sha256(b"mine").digest() + b"mine")
watcher = threading.Thread(target=watch)
watcher.start()
cut = 0
for turn in range(TIMES):
    for name in random.sample(names, 1500) if turn else []:
        write(name, turn)
    subprocess.run(["systemctl", "start", "--no-block", UNIT], check=True)
    deadline = time.monotonic() + 5
    while not is_running() and time.monotonic() < deadline:
        time.sleep(0.02)  # on a busy machine the unit starts late
    time.sleep(random.uniform(0.0, 1.0))
    cut += is_running()
    how = ["kill", "--kill-whom=all", "--signal=KILL", UNIT] if turn % 2 else ["stop", UNIT]
    subprocess.run(["systemctl", *how], check=False)
    subprocess.run(["systemctl", "stop", UNIT], check=False)
    check_visible(visible())
subprocess.run(["systemctl", "reset-failed", UNIT], check=False)
started = time.time()
subprocess.run(["systemctl", "start", UNIT], check=True)
took = time.time() - started
done.set()
watcher.join()
check_visible(visible())
read = lambda folder, name: open(f"{folder}/{name}", "rb").read()
differing = [name for name in names if read(SOURCE, name) != read(TARGET, name)]
left = os.listdir("/srv/medium_privacy")
print(repr((len(visible()), len(broken), len(strange), len(differing), cut, left, round(took, 1))))
"""


def test_ten_thousand_files_survive_twenty_interruptions(mounted, ask):
    """No partial file ever has its final name, and nothing is lost."""
    mounted.sh(f"mkdir -p {SOURCE}/l3-bulk")
    ask("sync.once")
    words = ["python3", "-", SOURCE, TARGET, f"{UNIT}.service", "10000", "20"]
    began = time.monotonic()
    mounted.sh(f"rm -rf {TARGET}/l3-bulk {SOURCE}/l3-bulk/*")
    told = eval(mounted.sandbox.must("sandbox-1", words, stdin=DRIVER, timeout_s=500))
    count, broken, strange, differing, cut, left, took = told
    print(
        f"{cut} of 20 interrupted, last run {took} s, all {time.monotonic() - began:.0f} s: {told}"
    )
    assert (count, broken, strange, differing) == (10_001, 0, 0, 0)
    assert cut >= 10
    assert left == ["workspaces"]
