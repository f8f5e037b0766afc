"""manage on real hosts: what it makes and keeps, checked by pytest-testinfra and shell."""

import json
import shlex
import subprocess
import threading
import time
from pathlib import Path

import msgspec
import pytest

from opstasks.sandbox.delay_proxy import DelayProxy
from tests.manage.manage_sandbox_help import (
    GROUPS,
    HOME,
    HOST,
    SSHD,
    SUDOERS,
    change,
    good,
    snapshot,
    steps,
)
from tests.round_trips import least

pytestmark = [pytest.mark.sandbox, pytest.mark.hosts(1)]
OLD_SSHD = "/etc/ssh/sshd_config.d/50-opstasks.conf"
CLOUD_SSHD = "/etc/ssh/sshd_config.d/50-cloud-init.conf"

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


def test_a_managed_host_needs_one_round_trip_and_no_change(managed, spec, connect, ops):
    from opstasks.core.command import cmd
    from opstasks.manage import apply
    from opstasks.manage.describe import describe_all

    real = spec(HOST)

    wanted = describe_all([real])[HOST]
    with DelayProxy((real.address, real.port or 22), 20) as proxy:
        host = connect(msgspec.structs.replace(real, address="127.0.0.1", port=proxy.port))
        host.root.run(cmd("true"))
        plan = lambda: apply.plan(host, wanted, apply.ManageRequest())  # noqa: E731
        assert plan().steps == ()
        assert least(proxy, plan) == 1
        assert proxy.connections() == 1
    assert "nothing to do" in good(ops("manage", "--check")).stdout


# -- drift ---------------------------------------------------------------------------------------

DRIFTS = {
    # a manual change: the step that shows it (thing, now, wanted)
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
    "gpasswd -A levi,rosa docker; echo 'docker:x-joins' | chgpasswd -c SHA512;"
    " sed -i '/^docker:/s/$/,nobody,gone/' /etc/gshadow": (
        "group docker",
        "can be joined by administrator levi, administrator rosa, member gone, member nobody,"
        " a password",
        "by nobody",
    ),
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


def test_manual_changes_are_shown_and_undone_and_nothing_else_changes(sh, ops, restored):
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


def test_a_changed_file_is_shown_with_who_changed_it_and_when(managed, sh, ssh, ops, restored):
    path = "/etc/security/pwquality.conf.d/50-opstasks.conf"
    command = f"sudo -S sed -i 's/^minlen.*/minlen = 1/' {path}"
    done = ssh(HOST, command, user="dev", stdin=managed.sudo_password() + "\n")
    assert done.returncode == 0, done.stderr
    (step,) = steps(ops("manage", "--plan", "--json"))
    assert step["thing"] == path
    assert "by dev" in step["why"]
    assert sh("date -u +%Y-%m-%d") in step["why"]


def test_only_and_skip_choose_areas_on_a_host(sh, ops, restored):
    sh(f"chmod 755 {HOME}/secret; chmod 600 /etc/profile.d/opstasks.sh")
    things = lambda *argv: [s["area"] for s in steps(ops("manage", "--plan", "--json", *argv))]  # noqa: E731
    assert things("--only", "system") == ["system"]
    assert things("--skip", "system") == ["directories"]
    assert things("--only", "config") == []
    good(ops("manage", "--yes", "--only", "system"))
    assert things() == ["directories"]
    assert "unknown area" in good(ops("manage", "--only", "sistem"), 2).stderr


def test_manual_edits_are_kept_as_backups(sh, ops, restored):
    path, other = f"{HOME}/config/03_backend.env", "/etc/logrotate.d/opstasks-sudo"
    replaced = "/var/lib/opstasks/replaced"
    described = sh(f"cat {path} {other}")
    sh(f"rm -rf {path}.bak* {replaced}")
    for number in (1, 2, 1):
        sh(f"echo 'MINE={number}' >>{path}; echo '# MINE={number}' >>{other}")
        good(ops("manage", "--yes"))
    assert sh(f"cat {path} {other}") == described
    # In logrotate's folder, a copy would take effect.
    assert sh(f"ls {other}*") == other
    copies = sh(f"ls {replaced}{other}.bak-*").split()
    assert [sh(f"tail -1 {name}") for name in copies] == ["# MINE=1", "# MINE=2"]
    assert sh(f"stat -c '%U:%G %a' {replaced} {copies[0]}") == "root:root 700\nroot:root 600"
    kept = sh(f"ls {path}.bak-*").split()
    assert [sh(f"tail -1 {name}") for name in kept] == ["MINE=1", "MINE=2"]
    assert sh(f"stat -c '%U:%G %a' {kept[0]}") == "opensafely:opensafely 640"
    assert "nothing to do" in good(ops("manage", "--check")).stdout
    sh(f"rm -f {path}.bak*")


# -- secrets -------------------------------------------------------------------------------------


def test_secrets_are_never_printed_logged_or_in_an_argument(managed, sh, ops, restored, tmp_path):
    secrets, local = f"{HOME}/config/02_secrets.env", f"{HOME}/config/04_local.env"
    kept = sh(f"cat {local}")
    # Assembled here, so that no command line of the test itself contains one.
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


def test_missing_packages_are_only_reported_without_an_archive(backends, sh, ops):
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


def test_an_upgrade_updates_old_lists_and_then_packages(managed, sh, ops, restored):
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
        assert (step["thing"], step["now"]) == ("package lists", "3 days old")
        good(ops("manage", "--upgrade", "--yes"))
        assert sh(there) == "3"
        assert "nothing to do" in good(ops("manage", "--upgrade", "--check")).stdout
        # An archive that cannot be reached is a failure, not yesterday's lists.
        sh("mv /srv/newer /srv/away; touch -d '3 days ago' /var/lib/apt/lists")
        assert "package lists failed" in good(ops("manage", "--upgrade", "--yes"), 1).stderr
    finally:
        sh("dpkg --purge opstasks-probe; rm -rf /srv/newer /srv/away /root/p")
        sh("rm -f /etc/apt/sources.list.d/newer.list; apt-get -qq update; touch /var/lib/apt/lists")


def test_ubuntus_parts_of_the_message_of_the_day_are_disabled(sh, ops):
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


def test_a_bad_description_is_refused_without_a_connection(backends, ops):
    change(backends, files=[{"path": "/etc/x", "sorce": "x"}])
    done = good(ops("--connect-timeout", "1", "manage", "--plan"), 2)
    assert "sorce: unknown key; did you mean 'source'" in done.stderr
    assert "no connection was made" in done.stderr


def test_the_database_network_exists_after_a_reboot(managed, sh):
    sh("docker network inspect jobrunner-db >/dev/null; iptables -F JOBRUNNER-DB")
    managed.reboot(HOST)
    deadline = time.monotonic() + 60
    while "REJECT" not in sh("iptables -S JOBRUNNER-DB 2>/dev/null || true"):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert sh("iptables -S DOCKER-USER | grep -c JOBRUNNER-DB") == "1"


def test_the_service_account_cannot_make_root_run_its_commands(managed, sh, restored):
    """It may restart its service. Root then makes the network, and reads the env files as data."""
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
