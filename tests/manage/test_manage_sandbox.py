"""manage on real hosts: looked at by pytest-testinfra and plain shell, none of our own readers."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec
import pytest
import yaml

from opstasks.sandbox.delay_proxy import DelayProxy
from tests.key_source import serving
from tests.maintenance.maintenance_help import small_disk
from tests.manage.manage_help import key

pytestmark = [pytest.mark.sandbox, pytest.mark.hosts(1)]
ROOT = Path(__file__).resolve().parents[2]
HOME = "/home/opensafely"
HOST = "sandbox-1"
SSHD = "/etc/ssh/sshd_config.d/00-opstasks.conf"
OLD_SSHD = "/etc/ssh/sshd_config.d/50-opstasks.conf"
CLOUD_SSHD = "/etc/ssh/sshd_config.d/50-cloud-init.conf"
SUDOERS = "/etc/sudoers.d/opstasks"
PLACES = f"/etc {HOME}/config /usr/local/sbin /home/ada /home/rosa /home/levi /srv/medium_privacy"


@pytest.fixture
def sh(managed):
    """A shell command as root on the host, apart from SSH."""
    return lambda script, host=HOST: managed.must(host, ["bash", "-c", script]).strip()


@pytest.fixture
def backends(tmp_path):
    """Descriptions of a test's own: the sandbox's, with a person whose key we have."""
    folder = tmp_path / "backends"
    for source in (ROOT / "opstasks/backends", ROOT / "opstasks/sandbox/backends"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, folder, ignore=ignored, dirs_exist_ok=True)
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "id")], check=True
    )
    return folder


@pytest.fixture
def ops(inv, backends):
    """`inv -H sandbox-1 ...` with these descriptions."""

    def run(*argv, **more):
        return inv("-H", HOST, *argv, env={"OPSTASKS_BACKENDS": str(backends)}, **more)

    return run


@pytest.fixture
def restored(managed, sh):
    """Whatever a test does to the host, it is as described afterwards."""
    yield
    sh("userdel -r eve 2>/dev/null; true")
    done = subprocess.run(
        [
            *(str(Path(sys.executable).with_name("inv")), "-H", HOST),
            *("--inventory", str(Path(os.environ["OPSTASKS_SANDBOX_DIR"]) / "hosts.yaml")),
            *("manage", "--yes"),
        ],
        *(),
        cwd=ROOT,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def change(folder, name="sandbox", **sections):
    """Add to a description; entries of the same name are replaced."""
    path = folder / name / "host.yaml"
    data = yaml.safe_load(path.read_text())
    for section, value in sections.items():
        if isinstance(value, dict):
            data[section] = data.get(section, {}) | value
        else:
            data[section] = [*data.get(section, []), *value]
    path.write_text(yaml.safe_dump(data))


def steps(done):
    """The steps of a --json plan."""
    assert done.stdout, done.stderr
    return json.loads(done.stdout)["hosts"][HOST]["value"]["steps"]


def good(done, code=0):
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def snapshot(sh):
    """Rights and content of everything that manage may touch, and accounts besides."""
    return sh(
        f"find {PLACES} -xdev -printf '%p %M %u:%g %l\\n' | grep -v -e '-$' -e mtab | sort;"
        f" find {HOME}/config /etc/sudoers.d /etc/ssh /etc/profile.d /etc/systemd/system"
        " /home/ada /home/rosa -type f -print0 | sort -z | xargs -0 sha256sum;"
        " getent group | sort; getent passwd | sort; systemctl is-active jobrunner rsync"
        " | tr '\\n' ' '; systemctl is-enabled jobrunner; true"
    ).splitlines()


# -- what is there after one run -----------------------------------------------------------------

FILES = [
    (f"{HOME}", "opensafely", "opensafely", 0o750),
    (f"{HOME}/config", "opensafely", "opensafely", 0o750),
    (f"{HOME}/secret", "opensafely", "opensafely", 0o700),
    (f"{HOME}/bin", "opensafely", "opensafely", 0o750),
    (f"{HOME}/jobrunner/workdir", "opensafely", "opensafely", 0o750),
    (f"{HOME}/config/01_defaults.env", "opensafely", "opensafely", 0o640),
    (f"{HOME}/config/02_secrets.env", "opensafely", "opensafely", 0o600),
    (f"{HOME}/config/03_backend.env", "opensafely", "opensafely", 0o640),
    (f"{HOME}/config/04_local.env", "opensafely", "opensafely", 0o640),
    (f"{HOME}/jobrunner/workdir/db.sqlite", "opensafely", "opensafely", None),
    ("/srv/high_privacy", "opensafely", "opensafely", 0o750),
    ("/srv/high_privacy/workspaces", "opensafely", "opensafely", 0o750),
    ("/srv/medium_privacy", "opensafely", "reviewers", 0o750),
    ("/srv/medium_privacy/workspaces", "opensafely", "reviewers", 0o750),
    ("/var/lib/opstasks", "root", "root", 0o755),
    ("/home/ada", "ada", "ada", 0o700),
    ("/home/ada/.ssh", "ada", "ada", 0o700),
    ("/home/ada/.ssh/authorized_keys", "ada", "ada", 0o600),
    ("/home/rosa", "rosa", "rosa", 0o700),
    ("/home/levi/.ssh/authorized_keys", "levi", "levi", 0o600),
    (SUDOERS, "root", "root", 0o440),
    ("/etc/sudoers.d/opstasks-jobrunner", "root", "root", 0o440),
    (SSHD, "root", "root", 0o644),
    ("/etc/profile.d/opstasks.sh", "root", "root", 0o644),
    ("/etc/update-motd.d/99-opstasks", "root", "root", 0o755),
    ("/etc/update-motd.d/10-uname", "root", "root", 0o644),
    ("/etc/security/pwquality.conf.d/50-opstasks.conf", "root", "root", 0o644),
    ("/etc/systemd/system/jobrunner.service", "root", "root", 0o644),
    ("/usr/local/sbin/jobrunner-database-network", "root", "root", 0o755),
]
GROUPS = {
    "opensafely": {"opensafely", "docker", "reviewers"},
    "ada": {"ada", "developers", "researchers", "reviewers", "docker", "sudo"},
    "rosa": {"rosa", "researchers", "reviewers", "docker"},
    "levi": {"levi", "reviewers"},
}
SAYS = [
    ("sshd -T | grep -i ^permitrootlogin", "permitrootlogin no"),
    ("sshd -T | grep -i ^passwordauthentication", "passwordauthentication no"),
    ("sshd -T | grep -i ^kbdinteractive", "kbdinteractiveauthentication no"),
    ("sshd -T | grep -i ^maxauthtries", "maxauthtries 4"),
    ("sshd -T | grep -i ^x11forwarding", "x11forwarding no"),
    ("sshd -T | grep -i ^clientaliveinterval", "clientaliveinterval 300"),
    ("sshd -T | grep -i ^maxstartups", "maxstartups 10:30:60"),
    ("sshd -T | grep -i ^authorizedkeysfile", "authorizedkeysfile .ssh/authorized_keys"),
    (
        f"echo PasswordAuthentication yes >{CLOUD_SSHD}; sshd -T | grep -i ^passwordauth;"
        f" rm {CLOUD_SSHD}",
        "passwordauthentication no",
    ),
    ("visudo -c >/dev/null && echo fine", "fine"),
    ("sudo -l -U ada | grep -q '(ALL : ALL) ALL' && echo yes", "yes"),
    ("sudo -l -U rosa | grep -c 'not allowed'", "1"),
    ("sudo -l -U opensafely | grep -c '\\*' || true", "0"),
    ("sudo -l -U opensafely | grep -o 'systemctl restart jobrunner,' | head -1", None),
    ("grep -E '^UMASK' /etc/login.defs", "UMASK 027"),
    ("bash -lc 'echo $TMOUT $BACKEND'", "900 sandbox"),
    ("bash -lc 'TMOUT=1' 2>&1 | grep -c readonly", "1"),
    ("run-parts /etc/update-motd.d | grep -c 'OpenSAFELY backend sandbox'", "1"),
    ("systemctl show -p UnitFileState --value rsync", "disabled"),
    ("systemctl show -p User --value jobrunner", "opensafely"),
    ("systemctl show -p KillSignal --value jobrunner", "2"),
    ("stat -c %G /var/lib/opstasks/lock", "opensafely"),
    ("ip -o link show jobrunner-db | wc -l", "1"),
    ("iptables -S JOBRUNNER-DB | tail -1 | cut -d' ' -f1-4", "-A JOBRUNNER-DB -j REJECT"),
    ("iptables -C DOCKER-USER -i jobrunner-db -j JOBRUNNER-DB && echo there", "there"),
    ("passwd -S ada | cut -d' ' -f2,3", None),
    ("sqlite3 /home/opensafely/jobrunner/workdir/db.sqlite 'pragma quick_check'", "ok"),
    ("git -C /home/opensafely/jobrunner/code status --porcelain | wc -l", "0"),
    ("runuser -u levi -- ls /srv/high_privacy 2>&1 | grep -c denied", "1"),
    ("runuser -u levi -- ls /srv/medium_privacy", "workspaces"),
    ("runuser -u levi -- ls /home/ada 2>&1 | grep -c denied", "1"),
    ("grep -c . /home/ada/.ssh/authorized_keys", "3"),
    ("systemd-analyze verify jobrunner.service 2>&1 | wc -l", "0"),
]


def test_more_than_sixty_things_are_as_described(managed, observer, sh):
    host = observer(HOST)
    checked = 0
    for path, owner, group, mode in FILES:
        entry = host.file(path)
        assert (entry.user, entry.group) == (owner, group), path
        assert mode is None or entry.mode == mode, path
        checked += 1
    for name, groups in GROUPS.items():
        assert set(host.user(name).groups) == groups, name
        checked += 1
    assert (host.user("opensafely").uid, host.user("opensafely").gid) == (10000, 10000)
    assert host.group("reviewers").gid == 10010
    assert host.package("tree").is_installed
    assert host.package("libpam-pwquality").is_installed
    assert not host.package("popularity-contest").is_installed
    unit = host.service("jobrunner")
    assert unit.is_running
    assert unit.is_enabled
    for command, said in SAYS:
        out = sh(command).splitlines()
        assert out, command
        assert said is None or out[-1] == said, command
        checked += 1
    assert checked + 8 >= 60


def test_a_managed_host_needs_nothing_and_says_so_in_one_round_trip_of_facts(
    managed, spec, connect, ops
):
    from opstasks.core.command import cmd
    from opstasks.manage import apply
    from opstasks.manage.describe import describe_all

    real = spec(HOST)

    wanted = describe_all([real])[HOST]
    with DelayProxy((real.address, real.port or 22), 20) as proxy:
        host = connect(msgspec.structs.replace(real, address="127.0.0.1", port=proxy.port))
        host.root.run(cmd("true"))
        proxy.reset()
        planned = apply.check(host, wanted, apply.Request())
        assert proxy.round_trips() == 1
        assert proxy.connections() == 1
    assert planned.steps == ()
    assert "nothing to do" in good(ops("manage", "--check")).stdout


# -- drift ---------------------------------------------------------------------------------------

DRIFTS = {
    # what somebody did: the step that shows it (thing, now, wanted)
    f"chmod 644 {HOME}/config/01_defaults.env": (
        f"{HOME}/config/01_defaults.env",
        "opensafely:opensafely 0644",
        "opensafely:opensafely 0640",
    ),
    f"chmod 755 {HOME}/secret": (
        f"{HOME}/secret",
        "opensafely:opensafely 0755",
        "opensafely:opensafely 0700",
    ),
    f"chown root {HOME}/config/04_local.env": (
        f"{HOME}/config/04_local.env",
        "root:opensafely 0640",
        "opensafely:opensafely 0640",
    ),
    "chgrp opensafely /srv/medium_privacy/workspaces": (
        "/srv/medium_privacy/workspaces",
        "opensafely:opensafely 0750",
        "opensafely:reviewers 0750",
    ),
    "install -D -m 666 /dev/null /srv/medium_privacy/workspaces/w/x; chown -R opensafely:reviewers"
    " /srv/medium_privacy/workspaces/w; chmod 750 /srv/medium_privacy/workspaces/w": (
        "below /srv/medium_privacy/workspaces",
        "1 wrong",
        "opensafely:reviewers, files 0640, directories 0750",
    ),
    "cat /home/ada/.ssh/authorized_keys | tail -1 >>/home/rosa/.ssh/authorized_keys": (
        "/home/rosa/.ssh/authorized_keys",
        "content differs",
        "as described",
    ),
    "rm /home/levi/.ssh/authorized_keys": (
        "/home/levi/.ssh/authorized_keys",
        "absent",
        "levi:levi 0600",
    ),
    "chmod 755 /home/ada": ("/home/ada", "ada:ada 0755", "ada:ada 0700"),
    f"echo 'rosa ALL=(ALL) NOPASSWD: ALL' >>{SUDOERS}": (
        SUDOERS,
        "content differs",
        "as described",
    ),
    f"sed -i 's/^MaxAuthTries.*/MaxAuthTries 9/' {SSHD}": (SSHD, "content differs", "as described"),
    f"echo MaxAuthTries 9 >{OLD_SSHD}": (OLD_SSHD, "a file", "absent"),
    f"sed -i 's/^POLL_INTERVAL.*/POLL_INTERVAL=1/' {HOME}/config/03_backend.env": (
        f"{HOME}/config/03_backend.env",
        "content differs",
        "as described",
    ),
    "systemctl stop jobrunner": ("unit jobrunner", "inactive", "active"),
    "systemctl disable -q jobrunner": ("unit jobrunner", "disabled", "enabled"),
    "sed -i 's/^RestartSec=.*/RestartSec=1/' /etc/systemd/system/jobrunner.service": (
        "/etc/systemd/system/jobrunner.service",
        "content differs",
        "as described",
    ),
    "usermod -aG docker levi": ("levi in group docker", "yes", "no"),
    "gpasswd -d rosa researchers": ("rosa in group researchers", "no", "yes"),
    "usermod -aG developers dev": ("dev in group developers", "yes", "no"),
    "sed -i 's/^UMASK.*/UMASK 022/' /etc/login.defs": (
        "/etc/login.defs: UMASK",
        "UMASK 022",
        "UMASK 027",
    ),
    "rm /etc/profile.d/opstasks.sh": ("/etc/profile.d/opstasks.sh", "absent", "root:root 0644"),
    "chmod 755 /etc/update-motd.d/10-uname": (
        "/etc/update-motd.d/10-uname",
        "root:root 0755",
        "root:root 0644",
    ),
    "dpkg --purge tree": ("package tree", "missing", "installed"),
    "iptables -D DOCKER-USER -i jobrunner-db -j JOBRUNNER-DB": (
        "database network",
        "not as it should be",
        "as it should be",
    ),
    "usermod -s /bin/sh rosa": ("user rosa", "shell /bin/sh", "shell /bin/bash"),
    "groupmod -g 10011 reviewers": ("group reviewers", "gid 10011", "gid 10010"),
    "mv /etc/logrotate.d/opstasks-sudo /root/x; ln -s /root/x /etc/logrotate.d/opstasks-sudo": (
        "/etc/logrotate.d/opstasks-sudo",
        "a link",
        "root:root 0644",
    ),
}


def test_changes_by_hand_are_shown_exactly_and_mended_and_nothing_else_is_touched(
    sh, ops, restored
):
    assert len(DRIFTS) >= 20
    good(ops("manage", "--check"))
    sh(
        f"rm -rf {HOME}/config/*.bak* /srv/medium_privacy/workspaces/w;"
        f" touch -d 2026-01-01 /etc/hosts.allow {HOME}/config/untouched"
    )
    before = snapshot(sh)
    for drift in DRIFTS:
        sh(drift)
    found = {(s["thing"], s["now"], s["wanted"]) for s in steps(ops("manage", "--plan", "--json"))}
    assert found == set(DRIFTS.values())
    good(ops("manage", "--check"), 1)
    assert snapshot(sh) != before
    good(ops("manage", "--yes"))
    sh(f"rm -rf {HOME}/config/*.bak* /srv/medium_privacy/workspaces/w /root/x")
    assert snapshot(sh) == before
    assert sh(f"stat -c %y /etc/hosts.allow {HOME}/config/untouched").count("2026-01-01") == 2
    assert "nothing to do" in good(ops("manage", "--yes")).stdout
    sh(f"rm {HOME}/config/untouched")


def test_drift_says_who_changed_the_file_and_when(managed, sh, ssh, ops, restored):
    path = "/etc/security/pwquality.conf.d/50-opstasks.conf"
    command = f"sudo -S sed -i 's/^minlen.*/minlen = 1/' {path}"
    done = ssh(HOST, command, user="dev", stdin=managed.sudo_password() + "\n")
    assert done.returncode == 0, done.stderr
    (step,) = steps(ops("manage", "--plan", "--json"))
    assert step["thing"] == path
    assert "by dev" in step["why"]
    assert sh("date -u +%Y-%m-%d") in step["why"]


def test_areas_can_be_chosen_and_left_out(sh, ops, restored):
    sh(f"chmod 755 {HOME}/secret; chmod 600 /etc/profile.d/opstasks.sh")
    things = lambda *argv: [s["area"] for s in steps(ops("manage", "--plan", "--json", *argv))]  # noqa: E731
    assert things("--only", "system") == ["system"]
    assert things("--skip", "system") == ["directories"]
    assert things("--only", "config") == []
    good(ops("manage", "--yes", "--only", "system"))
    assert things() == ["directories"]
    assert "there is no area" in good(ops("manage", "--only", "sistem"), 2).stderr


def test_what_is_edited_by_hand_can_be_had_back_after_any_number_of_runs(sh, ops, restored):
    path = f"{HOME}/config/03_backend.env"
    described = sh(f"cat {path}")
    sh(f"rm -f {path}.bak*")
    for number in (1, 2, 1):
        sh(f"echo 'MINE={number}' >>{path}")
        good(ops("manage", "--yes"))
    assert sh(f"cat {path}") == described
    kept = sh(f"ls {path}.bak-*").split()
    assert [sh(f"tail -1 {name}") for name in kept] == ["MINE=1", "MINE=2"]
    assert sh(f"stat -c '%U:%G %a' {kept[0]}") == "opensafely:opensafely 640"
    assert "nothing to do" in good(ops("manage", "--check")).stdout
    sh(f"rm -f {path}.bak*")


# -- getting in ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "line", "said"),
    [
        ("sudoers", "%developers ALLL=(ALL) ALL oops", "/etc/sudoers.d/opstasks:{line}:"),
        ("sshd.conf", "PermitRotLogin no", f"{SSHD}: line {{line}}: Bad configuration"),
    ],
)
def test_a_mistake_in_sudoers_or_sshd_is_refused_with_its_line(
    backends, sh, ssh, ops, name, line, said
):
    source = backends / "base" / "files" / name
    source.write_text(source.read_text() + line + "\n")
    number = len(source.read_text().splitlines())
    before = snapshot(sh)
    for flags in (["--plan"], ["--yes"]):
        done = good(ops("manage", *flags), 2)
        assert said.format(line=number) in done.stderr, done.stderr
    assert snapshot(sh) == before
    assert ssh(HOST, "sudo -n true").returncode == 0


@pytest.mark.parametrize(
    ("name", "line"),
    [("sshd.conf", "DenyUsers ops"), ("sudoers", "ops ALL=(ALL) !ALL\nDefaults:ops !authenticate")],
)
def test_what_would_keep_us_out_is_put_back(backends, sh, ssh, ops, name, line, managed):
    source = backends / "base" / "files" / name
    source.write_text(source.read_text() + line + "\n")
    if name == "sudoers":
        # Read after the sandbox's own file: the last word counts.
        path = backends / "base" / "host.yaml"
        path.write_text(path.read_text().replace("/sudoers.d/opstasks,", "/sudoers.d/zz-opstasks,"))
    before = snapshot(sh)
    done = good(ops("manage", "--yes"), 1)
    assert "a fresh connection failed" in done.stderr
    assert "the old files are back" in done.stderr
    assert snapshot(sh) == before
    assert ssh(HOST, "sudo -n true").returncode == 0
    assert sh("systemctl list-timers --all | grep -c putback || true") == "0"


def test_a_client_that_vanishes_after_the_change_cannot_lock_anybody_out(
    managed, sh, ssh, spec, connect, monkeypatch
):
    from opstasks.manage import access

    monkeypatch.setattr(access, "PATIENCE_S", 4)
    old = sh(f"cat {SSHD}")
    action = {
        **{"do": "file", "path": SSHD, "owner": "root", "group": "root", "mode": "0644"},
        **{"content": old + "\nDenyUsers ops\n", "backup": False, "reload": "ssh"},
        **{"check": ["sshd", "-t", "-f", "@file@"], "verify": ["sshd", "-t"]},
    }
    host = connect(spec(HOST))
    request = {"actions": [action], "patience_s": 4, "script": access._expiry(host)}
    assert access._ask(host, "install", request)["reason"] == ""
    host.close()
    assert ssh(HOST, "true").returncode != 0
    deadline = time.monotonic() + 20
    while ssh(HOST, "true").returncode != 0:
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert sh(f"cat {SSHD}") == old


def test_a_description_without_a_developer_is_refused_unless_that_is_meant(backends, sh, ops):
    path = backends / "sandbox" / "host.yaml"
    data = yaml.safe_load(path.read_text())
    data["people"] = {"researchers": ["rosa"]}
    path.write_text(yaml.safe_dump(data))
    done = good(ops("manage", "--plan"), 2)
    (line,) = done.stderr.splitlines()
    assert f"in {path} write `people: {{developers: [alice]}}`" in line
    good(ops("manage", "--plan", "--allow-lockout"))


def test_whoever_is_connected_is_not_put_out_of_their_own_host(
    backends, sandbox_dir, sh, ops, ssh, restored, tmp_path
):
    (backends / "keys" / "ops").write_text((tmp_path / "id.pub").read_text())
    change(backends, people={"developers": ["ada", "ops"]})
    done = good(ops("manage", "--yes"), 2)
    assert "you came in as ops, none of whose present keys would stay" in done.stderr
    assert ssh(HOST, "true").returncode == 0


# -- people --------------------------------------------------------------------------------------


def test_a_person_comes_changes_role_leaves_and_is_shut_out(
    backends, tmp_path, sh, ops, sandbox_dir, restored
):
    (backends / "keys" / "eve").write_text((tmp_path / "id.pub").read_text())

    def login(command="true"):
        return subprocess.run(
            [
                *("ssh", "-F", str(sandbox_dir / "ssh_config"), "-i", str(tmp_path / "id")),
                *("-o", "BatchMode=yes", f"eve@{HOST}", command),
            ],
            *(),
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )

    change(backends, people={"developers": ["ada"], "researchers": ["rosa", "eve"]})
    good(ops("manage", "--yes"))
    assert set(sh("id -nG eve").split()) == {"eve", "docker", "reviewers", "researchers"}
    # The key is good; what is missing is the password, to be chosen at the first login.
    assert "password" in login().stderr.lower()
    assert sh("getent shadow eve | cut -d: -f8") == "", "opened again once all else was done"
    sh("chage -d 2026-01-01 -E 2099-01-01 eve")
    assert login("id -un").stdout.strip() == "eve"
    assert "eve" in good(ops("users.disable", "eve", "--yes"), 2).stderr

    change(backends, people={"developers": ["ada", "eve"], "researchers": ["rosa"]})
    good(ops("manage", "--yes"))
    assert set(sh("id -nG eve").split()) == {"eve", *GROUPS["ada"]} - {"ada"}
    assert login("id -un").stdout.strip() == "eve", "a date that lies ahead shuts nobody out"
    change(backends, people={"developers": ["ada"], "reviewers": ["levi", "eve"]})
    good(ops("manage", "--yes"))
    assert sh("id -nG eve") == "eve reviewers"

    # As a run leaves it that did not know of sudo: only her keys tell who she was.
    sh("usermod -aG sudo eve; usermod -aG sudo nobody")
    change(backends, people={"reviewers": ["levi"]})
    left = steps(good(ops("manage", "--plan", "--json")))
    assert {s["thing"]: s["wanted"] for s in left} == {
        "eve in group sudo": "no",
        "eve in group reviewers": "no",
        "user eve": "users.disable, or list it",
    }
    sh("gpasswd -d nobody sudo")
    sh("runuser -u eve -- sleep 300 & sleep 0.2")
    good(ops("users.disable", "eve", "--yes"))
    assert sh("pgrep -c -u eve") == "1"
    assert sh("id -nG eve; getent passwd eve | cut -d: -f7") == "eve\n/usr/sbin/nologin"
    assert sh("passwd -S eve | cut -d' ' -f2") == "L"
    assert sh("ls -A /home/eve/.ssh; ls -d /home/eve") == "/home/eve"
    assert login().returncode == 255
    assert "shut already" in good(ops("users.disable", "eve", "--yes")).stdout
    assert "nothing to do" in good(ops("manage", "--check")).stdout
    sh("pkill -u eve; true")

    change(backends, people={"reviewers": ["levi", "eve"]})
    good(ops("manage", "--yes"))
    assert "password" in login().stderr.lower()


def test_only_a_good_and_whole_answer_of_a_key_source_ever_replaces_keys(
    backends, tmp_path, inv, sh, restored
):
    def manage(kind, *flags):
        change(backends, options={"key_source": f"{address}/{kind}.keys?{{name}}"})
        env = {"OPSTASKS_BACKENDS": str(backends), "SSL_CERT_FILE": str(pem)}
        return inv("-H", HOST, "manage", *flags, env=env | {"no_proxy": "localhost"})

    every = "sha256sum /home/*/.ssh/authorized_keys"
    with serving(tmp_path) as (address, pem):
        # Somebody whose keys are nowhere but at the source.
        change(backends, people={"developers": ["ada"], "reviewers": ["levi", "eve"]})
        good(manage("good", "--yes"))
        assert key(2) in sh("cat /home/ada/.ssh/authorized_keys")
        assert sh("grep -c ^ssh- /home/eve/.ssh/authorized_keys") == "2"
        before = sh(every)
        for kind in ("missing", "page", "long", "away", "cut"):
            done = good(manage(kind, "--yes"))
            assert "eve: the key source gave nothing (" in done.stderr, kind
            assert "nothing to do" in done.stdout, kind
            assert sh(every) == before, kind
    done = good(manage("good", "--check"))
    assert "eve: the key source gave nothing (" in done.stderr, "nobody answers any more"
    assert sh(every) == before


# -- when something goes wrong -------------------------------------------------------------------


def test_a_failing_step_says_what_was_done_and_leaves_the_host_usable(sh, ssh, ops, restored):
    sh(
        f"chmod 755 {HOME}/secret; rm -f {SSHD}; systemctl reload ssh;"
        f" mv {HOME}/jobrunner/lib /root/lib; install -d {HOME}/jobrunner/lib/x"
    )
    done = good(ops("manage", "--yes"), 1)
    assert "1 of 3 changes done" in done.stderr
    assert f"{HOME}/jobrunner/lib failed" in done.stderr
    assert f"done before it: {HOME}/secret\n" in done.stderr
    assert f"not begun: {SSHD}\n" in done.stderr
    assert f"done 1/3: {HOME}/secret: " in done.stderr, "each step is told as it is done"
    assert "done 2/3" not in done.stderr
    assert ssh(HOST, "sudo -n true").returncode == 0
    assert sh("systemctl is-active jobrunner; visudo -cq && sshd -t && echo fine").endswith("fine")
    sh(f"rm -r {HOME}/jobrunner/lib; mv /root/lib {HOME}/jobrunner/lib")
    good(ops("manage", "--yes"))
    assert "nothing to do" in good(ops("manage", "--check")).stdout


def test_on_a_full_disk_nothing_is_lost_and_the_next_run_completes(sh, ops, restored):
    config, path = f"{HOME}/config", f"{HOME}/config/03_backend.env"
    described = sh(f"cat {path}")
    sh(f"rm -f {path}.bak*; echo MINE=1 >>{path}; chmod 755 {HOME}/secret")
    by_hand = sh(f"cat {path}")
    before = sh(f"cd {config} && sha256sum * | sort")
    with small_disk(sh, config, "256k") as disk:
        disk.fill()
        done = good(ops("manage", "--yes"), 1)
        assert f"1 of 2 changes done; {path} failed" in done.stderr
        assert "No space left on device" in done.stderr
        assert done.stderr.count("error: ") == 1
        disk.free()
        assert sh(f"cd {config} && sha256sum * | sort") == before
        assert sh(f"ls -A {config}") == sh(f"ls {config}"), "nothing half-written is left"
        good(ops("manage", "--yes"))
        assert sh(f"cat {path}") == described
        assert sh(f"cat {path}.bak-*") == by_hand
    assert "nothing to do" in good(ops("manage", "--check")).stdout
    sh(f"rm -f {path}.bak*")


def test_cut_off_anywhere_the_next_run_completes(managed, sh, ops, backends, sandbox_dir, restored):
    argv = [str(Path(sys.executable).with_name("inv")), "-H", HOST, "manage", "--yes"]
    argv[1:1] = ["--inventory", str(sandbox_dir / "hosts.yaml")]
    env = {**os.environ, "OPSTASKS_BACKENDS": str(backends)}
    ways = {"directories": signal.SIGINT, "code": signal.SIGKILL, "access": signal.SIGKILL}
    for wait_for, way in ways.items():
        sh(
            f"rm -rf {HOME}/jobrunner/lib {HOME}/bin {SSHD} /etc/profile.d/opstasks.sh;"
            " chmod 777 /home/ada"
        )
        with subprocess.Popen(
            argv, cwd=ROOT, env=env, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        ) as running:
            for line in running.stderr:
                if f"{HOST}  {wait_for}" in line or f" {wait_for}" in line.partition(":")[0]:
                    break
            running.send_signal(way)
            rest = running.stderr.read()
        assert running.returncode == (130 if way == signal.SIGINT else -way)
        assert way == signal.SIGKILL or "stopped at your request; " in rest
        # The step that runs holds the lock until it ends.
        deadline = time.monotonic() + 60
        while (done := ops("manage", "--yes")).returncode == 2:
            assert time.monotonic() < deadline, done.stderr
            time.sleep(0.5)
        good(done)
        assert "nothing to do" in good(ops("manage", "--check")).stdout
        assert sh("ls -A /var/lib/opstasks/access; sshd -t && visudo -cq && echo ok") == "ok"


# -- secrets -------------------------------------------------------------------------------------


def test_no_secret_is_ever_printed_logged_or_in_an_argument(managed, sh, ops, restored, tmp_path):
    secrets, local = f"{HOME}/config/02_secrets.env", f"{HOME}/config/04_local.env"
    kept = sh(f"cat {local}")
    # Assembled here, so that no command line of the test itself holds one.
    marks = [f"canary{number}zq7{'x' * 12}" for number in range(6)]
    put = lambda path, text: managed.must(HOST, ["tee", "-a", path], stdin=text)  # noqa: E731
    put(secrets, f"JOB_SERVER_TOKEN={marks[0]}\nSTATA_LICENSE='{marks[1]}'\n")
    put(local, f"DEFAULT_DATABASE_URL=mssql://u:{marks[2]}@db/x\n")
    put(f"{HOME}/config/03_backend.env", f"EXTRA={marks[3]}\nMAX_WORKERS=3\n{marks[4]}\n")
    put("/etc/profile.d/opstasks.sh", f"export API_TOKEN={marks[5]}\n")
    before = sh(f"sha256sum {secrets} {local}; stat -c '%Y %i' {secrets} {local}")
    seen, over = [], threading.Event()

    def watch():
        while not over.is_set():
            seen.append(sh("cat /proc/[0-9]*/cmdline | tr '\\0' ' '"))
            seen.append(
                subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
            )

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        runs = [
            ops("manage", "--plan", "--diff"),
            ops("manage", "--check", "--diff", "--json", "--echo"),
            ops("--debug", "manage", "--yes", "--diff", "--json", "--echo"),
            ops("manage", "--yes"),
        ]
    finally:
        over.set()
        watcher.join()
    assert [run.returncode for run in runs] == [0, 1, 0, 0]
    # The mask is there: the lines were looked at.
    assert "EXTRA=***" in runs[0].stdout
    assert "API_TOKEN=***" in runs[0].stdout
    seen += [run.stdout + run.stderr for run in runs]
    seen.append(sh("journalctl --no-pager; cat /var/log/sudo.log; cat /var/lib/opstasks/* || true"))
    seen += [path.read_text() for path in Path(tmp_path).parent.rglob("audit.jsonl")]
    everything = "\n".join(seen)
    assert len(seen) > 6
    assert [mark for mark in marks if mark in everything] == []
    assert sh(f"sha256sum {secrets} {local}; stat -c '%Y %i' {secrets} {local}") == before
    managed.must(HOST, ["sed", "-i", "/zq7/d", secrets])
    managed.must(HOST, ["tee", local], stdin=kept + "\n")


# -- the rest ------------------------------------------------------------------------------------


def test_where_no_packages_can_be_had_missing_ones_are_reported_and_left(backends, sh, ops):
    change(backends, options={"packages": "report"}, packages=[{"name": "iotop-c"}])
    done = good(ops("manage", "--check", "--json"), 1)
    assert json.loads(done.stdout)["exit_code"] == 1
    (step,) = steps(done)
    assert (step["thing"], step["now"], step["why"]) == (
        "package iotop-c",
        "missing",
        "no archive there: by hand",
    )
    good(ops("manage", "--yes"))
    assert sh("dpkg -l iotop-c 2>/dev/null | grep -c ^ii || true") == "0"


PACKAGE = """
set -e; mkdir -p /srv/newer /root/p/DEBIAN
printf 'Package: opstasks-probe\\nVersion: %s\\nArchitecture: all\\nMaintainer: x <x@x>\\n' "$1" \\
    >/root/p/DEBIAN/control; echo 'Description: nothing' >>/root/p/DEBIAN/control
rm -f /srv/newer/*; dpkg-deb --build /root/p /srv/newer/probe.deb >/dev/null; rm -r /root/p
cd /srv/newer; { dpkg-deb --field probe.deb; echo Filename: ./probe.deb
echo Size: $(stat -c %s probe.deb); echo SHA256: $(sha256sum probe.deb | cut -d' ' -f1); } >Packages
echo 'deb [trusted=yes] file:/srv/newer ./' >/etc/apt/sources.list.d/newer.list
"""


def test_an_upgrade_brings_packages_up_to_date_and_old_lists_first(managed, sh, ops, restored):
    newer = lambda number: managed.must(HOST, ["bash", "-s", number], stdin=PACKAGE)  # noqa: E731
    there = "dpkg-query -W -f '${Version}' opstasks-probe"
    try:
        newer("1")
        sh("dpkg -i /srv/newer/probe.deb >/dev/null")
        newer("2")
        sh("apt-get -qq update; touch /var/lib/apt/lists")
        assert "nothing to do" in good(ops("manage", "--check")).stdout
        assert "nothing to do" not in good(ops("manage", "--check", "--upgrade"), 1).stdout
        good(ops("manage", "--upgrade", "--yes"))
        assert sh(there) == "2"
        assert "nothing to do" in good(ops("manage", "--upgrade", "--yes")).stdout
        newer("3")
        sh("touch -d '3 days ago' /var/lib/apt/lists")
        step, *_ = steps(good(ops("manage", "--upgrade", "--check", "--json"), 1))
        assert (step["thing"], step["now"]) == ("package lists", "3 day(s) old")
        good(ops("manage", "--upgrade", "--yes"))
        assert sh(there) == "3"
        assert "nothing to do" in good(ops("manage", "--upgrade", "--check")).stdout
        # An archive that cannot be reached is a failure, not yesterday's lists.
        sh("mv /srv/newer /srv/away; touch -d '3 days ago' /var/lib/apt/lists")
        assert "package lists failed" in good(ops("manage", "--upgrade", "--yes"), 1).stderr
    finally:
        sh("dpkg --purge opstasks-probe; rm -rf /srv/newer /srv/away /root/p")
        sh("rm -f /etc/apt/sources.list.d/newer.list; apt-get -qq update; touch /var/lib/apt/lists")


def test_ubuntus_parts_of_the_message_of_the_day_are_silenced(sh, ops):
    parts = ["50-motd-news", "10-help-text", "88-esm-announce", "50-landscape-sysinfo"]
    places = [f"/etc/update-motd.d/{name}" for name in parts]
    try:
        for place in places:
            sh(f"printf '#!/bin/sh\\necho news\\n' >{place}; chmod 755 {place}")
        assert sh("run-parts /etc/update-motd.d | grep -c news") == "4"
        good(ops("manage", "--yes"))
        assert sh("run-parts /etc/update-motd.d | grep -c news || true") == "0"
        assert sh(f"cat {places[0]}").endswith("echo news"), "the file itself is the distribution's"
        assert "nothing to do" in good(ops("manage", "--yes")).stdout
    finally:
        sh(f"rm -f {' '.join(places)}")


def test_a_bad_description_is_refused_without_any_connection(backends, ops):
    change(backends, files=[{"path": "/etc/x", "sorce": "x"}])
    done = good(ops("--connect-timeout", "1", "manage", "--plan"), 2)
    assert "unknown key 'sorce'; did you mean 'source'" in done.stderr
    assert "nothing was connected to" in done.stderr


def test_the_database_network_is_back_after_a_reboot(managed, sh):
    sh("docker network inspect jobrunner-db >/dev/null; iptables -F JOBRUNNER-DB")
    managed.reboot(HOST)
    deadline = time.monotonic() + 60
    while "REJECT" not in sh("iptables -S JOBRUNNER-DB 2>/dev/null || true"):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert sh("iptables -S DOCKER-USER | grep -c JOBRUNNER-DB") == "1"


def test_the_service_account_cannot_have_root_run_its_words(managed, sh, restored):
    """It may restart its service, whose network root makes: its env files are data to root."""
    local = f"{HOME}/config/04_local.env"
    sh(f"cp -p {local} /root/local.away; rm -f /tmp/evil* /tmp/pwned")
    sh("echo 'id -u >>/tmp/pwned' >/tmp/evil.sh; chmod 755 /tmp/evil.sh")
    sh("touch /tmp/pwned; chmod 666 /tmp/pwned")
    words = "BASH_ENV=/tmp/evil.sh", "ENV=/tmp/evil.sh", 'DATABASE_IP_LIST="192.0.2.7,$(id)"'
    sh(f"printf '%s\\n' {' '.join(map(shlex.quote, words))} >>{local}")
    try:
        sh("runuser -u opensafely -- sudo -n /usr/bin/systemctl restart jobrunner")
        assert "0" not in sh("cat /tmp/pwned").split()
        assert "-d 192.0.2.7/32 -j ACCEPT" in sh("iptables -S JOBRUNNER-DB")
    finally:
        sh(f"mv /root/local.away {local}; rm -f /tmp/evil* /tmp/pwned")
        sh("systemctl restart jobrunner")
    assert sh("iptables -S JOBRUNNER-DB").splitlines()[1:] == [
        "-A JOBRUNNER-DB -j REJECT --reject-with icmp-port-unreachable"
    ]
