"""Faults of a checkout on a real host: named in git's words, and each hint makes it better."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.deploy_help import good
from tests.look import CODE, DB, LIB, STATE, until

pytestmark = [pytest.mark.sandbox, pytest.mark.hosts(1)]
ROOT = Path(__file__).resolve().parents[2]
ORIGIN = "/srv/sandbox/git/job-runner.git"
AS_SERVICE = "runuser -u opensafely --"
WORK = str(Path(DB).parent)
EDITED = f"{CODE}/jobrunner/run.py"


@pytest.fixture
def here(managed, look, briefly_watched):
    """sandbox-1 at 2.71.0, serving, with a new release upstream; repaired afterwards."""
    host = look("sandbox-1")
    host.sh(f"rm -rf {STATE}/kept; cp -a {ORIGIN} /tmp/origin; cp -a /etc/gitconfig /tmp/gitconfig")
    host.sh(f"cp -a {CODE} /tmp/code")
    host.back_to_the_old_release()
    managed.publish("v2.73.0")
    # A fault must not meet a service that still imports its code.
    now = "_SYSTEMD_INVOCATION_ID=$(systemctl show -p InvocationID --value jobrunner)"
    until(lambda: "run loop started" in host.sh(f"journalctl -o cat {now}"), "it is up")
    host.sh("sleep 2")  # it imports its executor after that line
    yield host
    host.sh(f"umount {CODE} 2>/dev/null; umount {STATE} 2>/dev/null; true")
    host.sh(f"rm -rf {CODE} {CODE}.broken; mv /tmp/code {CODE}")
    host.sh(f"rm -rf {ORIGIN}; mv /tmp/origin {ORIGIN}; mv /tmp/gitconfig /etc/gitconfig")
    host.sh(f"chown -R opensafely: {WORK}; chmod 750 {WORK}")
    host.sh("rm -rf /run/systemd/system/jobrunner.service.d; systemctl daemon-reload")
    managed.publish("v2.71.0")


def hint_of(done):
    """The hint that an operator reads: the line below the error."""
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("next:  ")]
    return line.removeprefix("next:  ")


def unchanged(host, pid):
    assert (host.main_pid, host.code, host.version) == (pid, "v2.71.0", 1)
    assert host.records == []
    assert host.lock_is_free


# -- names -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "ref", "kind"),
    [
        ("branch -m main trunk", "main", "branch"),
        ("branch -D main", "main", "branch"),
        ("tag -d v2.73.0", "v2.73.0", "tag"),
    ],
)
def test_a_name_that_the_origin_lost_is_refused(here, inv, change, ref, kind):
    good(inv("-H", "sandbox-1", "deploy.pending", "--ref", ref))
    here.sh(f"{AS_SERVICE} git -C {CODE} branch -f main v2.71.0")
    here.sh(f"git -C {ORIGIN} {change}")
    pid = here.main_pid
    done = inv("-H", "sandbox-1", "deploy", "--ref", ref, "--lib-ref", "v2.71.0", "--yes")
    assert done.returncode == 2, done.stdout + done.stderr
    assert f"the origin has no '{ref}' now, only this checkout has a {kind}" in done.stderr
    assert "ls-remote origin" in hint_of(done)
    unchanged(here, pid)


# -- faults whose hint repairs them ----------------------------------------------------------

# The origin of the sandbox is a folder of root.
SAFE = "; ".join(
    f"git config --system --add safe.directory /srv/sandbox/git/{name}.git"
    for name in ("job-runner", "job-runner-dependencies")
)
OWNER = f"as root: chown -R opensafely: {CODE}"
# Fault, the words of the refusal, the hint, and what doctor calls it.
FAULTS = {
    "a folder of root": (
        f"chown -R root {CODE}/jobrunner",
        f"{CODE}/jobrunner belongs to root",
        OWNER,
        f"git in {CODE}",
    ),
    "a store of root": (
        f"chown -R root {CODE}/.git/objects",
        f"{CODE}/.git/objects belongs to root",
        OWNER,
        f"git in {CODE}",
    ),
    "a private store of root": (
        f"chown -R root {CODE}/.git; chmod 700 {CODE}/.git",
        f"{CODE}/.git belongs to root",
        OWNER,
        f"git in {CODE}",
    ),
    "dubious ownership": (
        f"git config --system --unset-all safe.directory; {SAFE}; chown root {CODE} {CODE}/.git",
        "detected dubious ownership",
        OWNER,
        f"git in {CODE}",
    ),
    "a database of root": (
        f"chown root: {DB}",
        f"may not write the database: {DB} belongs to root",
        "as root: chown opensafely: ",
        "database rights",
    ),
    "a database folder of root": (
        f"chown root: {WORK}; chmod 700 {WORK}",
        f"may not write the database: {WORK} belongs to root",
        "as root: chown opensafely: ",
        "database rights",
    ),
    "a killed git": (
        f"{AS_SERVICE} touch -d '1 hour ago' {CODE}/.git/HEAD.lock",
        f"{CODE}/.git/HEAD.lock: a git that was killed left it",
        f"rm {CODE}/.git/HEAD.lock, and run it again",
        f"git in {CODE}",
    ),
    "broken refs": (
        f"echo nonsense >{CODE}/.git/packed-refs; chown opensafely: {CODE}/.git/packed-refs",
        "fatal: unexpected line in .git/packed-refs: nonsense",
        f"mv {CODE} {CODE}.broken; run `manage` (it clones), `deploy`",
        f"git in {CODE}",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_and_its_hint_repairs_it(here, inv, fault):
    damage, words, hint, finding = FAULTS[fault]
    here.sh(damage)
    pid = here.main_pid
    done = inv("-H", "sandbox-1", "deploy", "--yes")
    assert done.returncode == 2, done.stdout + done.stderr
    assert words in done.stderr.replace(f"{CODE}/.git/packed-refs", ".git/packed-refs")
    assert hint_of(done).startswith(hint)
    assert here.main_pid == pid
    found = bad(inv)
    assert finding in found
    assert hint in found[finding]["hint"]
    if hint == OWNER:
        plan = inv("-H", "sandbox-1", "manage", "--plan")
        assert "belongs to root" in plan.stdout + plan.stderr
    follow(here, inv, fault, hint)
    assert finding not in bad(inv)
    good(inv("-H", "sandbox-1", "deploy", "--yes"))
    here.sh("cp -a /tmp/gitconfig /etc/gitconfig")  # root's own git looks at the checkout
    assert (here.code, here.version, here.serving) == ("v2.73.0", 3, True)


def bad(inv):
    """The findings of doctor by name, the first of each."""
    done = inv("-H", "sandbox-1", "--json", "doctor")
    assert "Traceback" not in done.stderr
    checks = json.loads(done.stdout)["hosts"]["sandbox-1"]["value"]["checks"]
    return {check["name"]: check for check in reversed(checks) if not check["good"]}


def follow(here, inv, fault, hint):
    """Do what the hint says, as the account that it names."""
    if "database" in fault:
        here.sh(f"{hint.removeprefix('as root: ')} {WORK if 'folder' in fault else DB}")
        return
    command = re.split(", and run|; run", hint)[0]
    as_root = command.startswith("as root: ")
    here.sh(command.removeprefix("as root: ") if as_root else f"{AS_SERVICE} {command}")
    if "manage" in hint:
        good(inv("-H", "sandbox-1", "manage", "--only", "code", "--yes"))


def test_a_git_at_work_is_waited_for_and_its_lock_stays(here, inv):
    script = f"cd {CODE}; echo x >>{EDITED}; GIT_EDITOR='sleep 300 #' git commit -qa"
    identity = "-c user.name=a -c user.email=a@b"
    here.sh(f"({AS_SERVICE} bash -c \"{script.replace('git commit', f'git {identity} commit')}\""
            " </dev/null >/dev/null 2>&1 &)")  # fmt: skip
    until(lambda: "index.lock" in here.sh(f"ls {CODE}/.git"), "git has its lock")
    pid = here.main_pid
    done = inv("-H", "sandbox-1", "deploy", "--yes")
    assert done.returncode == 2
    assert re.search(rf"somebody is changing {CODE}: process \d+ \(git\) has", done.stderr)
    assert hint_of(done) == "wait"
    assert "index.lock" in here.sh(f"ls {CODE}/.git")
    unchanged(here, pid)
    here.sh("pkill -KILL -u opensafely -f 'sleep 30[0]'; pkill -u opensafely -x git; true")


# -- disks -----------------------------------------------------------------------------------


def on_a_full_disk(folder, size):
    """A disk of its own for a folder, with its content, and without free space."""
    return (
        f"cp -a {folder} /tmp/full; mount -t tmpfs -o size={size},mode=755 tmpfs {folder};"
        f" chown opensafely: {folder}; cp -a /tmp/full/. {folder}; rm -rf /tmp/full;"
        f" {AS_SERVICE} bash -c 'cat /dev/zero >{folder}/.git/filler' 2>/dev/null || true"
    )


def test_a_full_disk_of_the_code_is_the_reason(here, inv):
    here.sh(on_a_full_disk(CODE, "24m"))
    pid = here.main_pid
    done = inv("-H", "sandbox-1", "deploy", "--yes")
    assert done.returncode == 2
    assert "no space left on device" in done.stderr.lower() or "needed for the code" in done.stderr
    assert hint_of(done) in (f"make space: df -h {CODE}", "free space on the disk with the code")
    assert (here.main_pid, here.code) == (pid, "v2.71.0")


@pytest.mark.parametrize("fault", ["full", "not writable"])
def test_a_preview_never_shows_the_migrations_of_another_release(here, inv, fault):
    here.sh(f"mkdir -p {STATE}; rm -f {STATE}/imports.json")
    size = "size=4k" if fault == "full" else "mode=755"
    here.sh(f"mount -t tmpfs -o {size} tmpfs {STATE}")
    here.sh(f"chown opensafely: {STATE}" if fault == "full" else f"chown root: {STATE}")
    shown = inv("-H", "sandbox-1", "deploy", "--dry")
    assert "migration" not in shown.stdout
    assert f"cannot inspect the release: cannot unpack it in {STATE}" in shown.stderr
    assert ("No space left on device" if fault == "full" else "Permission denied") in shown.stderr
    done = inv("-H", "sandbox-1", "deploy", "--yes")
    assert done.returncode == 2
    assert f"cannot inspect the release: cannot unpack it in {STATE}" in done.stderr
    here.sh(f"umount {STATE}")
    shown = inv("-H", "sandbox-1", "deploy", "--dry")
    assert "database 1 -> 3  job: + level4_excluded_files, + requires_db" in shown.stdout


# -- manual checkouts ------------------------------------------------------------------------


def test_a_checkout_that_cannot_start_is_reported_and_not_rolled_back_to(here, inv):
    good(inv("-H", "sandbox-1", "deploy", "--yes"))
    here.sh(f"for path in {CODE} {LIB}; do {AS_SERVICE} git -C $path checkout -q v2.71.0; done")
    misfit = "the code needs database version 1, the database is at version 3"
    done = inv("-H", "sandbox-1", "status")
    assert misfit in done.stdout + done.stderr
    assert misfit in bad(inv)["code and database"]["text"]
    # The running process had fitted, and is not stopped.
    pid = here.main_pid
    done = inv("-H", "sandbox-1", "service.restart", "--yes")
    assert (done.returncode, here.main_pid) == (2, pid)
    assert misfit in done.stderr and "inv -H sandbox-1 deploy" in done.stderr
    # The hint of doctor repairs it; the release before the new one is the manual checkout.
    assert bad(inv)["code and database"]["hint"] == "inv -H sandbox-1 deploy"
    good(inv("-H", "sandbox-1", "deploy", "--yes"))
    assert "code and database" not in bad(inv)
    pid = here.main_pid
    done = inv("-H", "sandbox-1", "deploy.rollback", "--yes")
    assert done.returncode in (1, 2), done.stdout + done.stderr
    assert (
        "nothing was touched: the database is at version 3, this code knows only 1" in done.stderr
    )
    assert (here.main_pid, here.code, here.version) == (pid, "v2.73.0", 3)


# -- hand edits during a deploy --------------------------------------------------------------


def start_deploy(sandbox_dir, tmp_path, *extra):
    words = [str(Path(sys.executable).with_name("inv")), "--inventory"]
    words += [str(sandbox_dir / "hosts.yaml"), "-H", "sandbox-1", "deploy", "--yes", *extra]
    return subprocess.Popen(
        words,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_an_edit_while_the_service_stops_stays_where_it_is(here, sandbox_dir, tmp_path):
    folder = "/run/systemd/system/jobrunner.service.d"
    slow = f"mkdir -p {folder}; printf '[Service]\\nExecStop=/bin/sleep 5\\n' >{folder}/slow.conf"
    here.sh(f"{slow}; systemctl daemon-reload")
    client = start_deploy(sandbox_dir, tmp_path)
    state = "systemctl show -p ActiveState --value jobrunner"
    until(lambda: here.sh(state) == "deactivating", "it stops", every_s=0.1)
    here.sh(f"echo '# by hand' >>{EDITED}")
    _, err = client.communicate(timeout=120)
    assert client.returncode == 1, err
    assert f"{CODE} was changed by hand (jobrunner/run.py)" in err
    assert here.sh(f"tail -n 1 {EDITED}") == "# by hand"
    assert (here.code, here.version, here.serving) == ("v2.71.0", 1, True)
    assert here.records[-1]["outcome"] == "rolled back"


def test_an_edit_during_the_watch_is_kept_as_a_patch(here, sandbox_dir, tmp_path):
    client = start_deploy(sandbox_dir, tmp_path, "--ref", "broken-crash", "--watch", "15")
    until(lambda: here.records and here.records[-1]["step"] == "starting", "it starts", every_s=0.1)
    here.sh(f"echo '# by hand' >>{EDITED}")
    _, err = client.communicate(timeout=120)
    assert client.returncode == 1, err
    patch = f"{STATE}/kept/{here.records[-1]['id']}-code.patch"
    assert f"1 file changed by hand in {CODE}: kept in {patch}" in err
    assert "+# by hand" in here.sh(f"cat {patch}")
    assert here.sh(f"git -C {CODE} status --porcelain") == ""
    assert (here.code, here.version, here.serving) == ("v2.71.0", 1, True)
