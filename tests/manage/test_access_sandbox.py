"""Login files, people and interrupted runs, on real hosts."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.key_source import serving
from tests.maintenance.maintenance_help import small_disk
from tests.manage.manage_help import key
from tests.manage.manage_sandbox_help import (
    GROUPS,
    HOME,
    HOST,
    ROOT,
    SSHD,
    change,
    good,
    snapshot,
    steps,
)

pytestmark = [pytest.mark.sandbox, pytest.mark.hosts(1)]

# -- login files ---------------------------------------------------------------------------------


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
def test_files_that_lock_out_the_client_are_restored(backends, sh, ssh, ops, name, line, managed):
    source = backends / "base" / "files" / name
    source.write_text(source.read_text() + line + "\n")
    if name == "sudoers":
        # Read after the sandbox's own file: the last word counts.
        path = backends / "base" / "host.yaml"
        path.write_text(path.read_text().replace("/sudoers.d/opstasks,", "/sudoers.d/zz-opstasks,"))
    before = snapshot(sh)
    done = good(ops("manage", "--yes"), 1)
    assert "a fresh connection failed" in done.stderr
    assert "the old files are in effect again" in done.stderr
    assert snapshot(sh) == before
    assert ssh(HOST, "sudo -n true").returncode == 0
    assert sh("systemctl list-timers --all | grep -c putback || true") == "0"


def test_manage_works_where_sshd_does_not_listen_on_the_loopback(sh, ops, ssh, restored):
    own = sh("hostname -i").split()[0]
    drop_in = "/etc/ssh/sshd_config.d/20-own-address.conf"
    sh(f"echo 'ListenAddress {own}' >{drop_in}; systemctl restart ssh")
    try:
        listening = sh("ss -Hltn 'sport = :22'")
        assert f"{own}:22" in listening
        assert "127.0.0.1:22" not in listening
        assert "0.0.0.0:22" not in listening
        sh(f"echo '# changed by hand' >>{SSHD}")
        done = good(ops("manage", "--yes"))
        assert "1 of 1" not in done.stderr
        assert "changed by hand" not in sh(f"cat {SSHD}")
        assert sh("ls -A /var/lib/opstasks/access") == ""
        assert ssh(HOST, "sudo -n true").returncode == 0
    finally:
        sh(f"rm -f {drop_in}; systemctl restart ssh")


def test_a_client_that_disappears_after_the_change_is_not_locked_out(
    managed, sh, ssh, spec, connect, monkeypatch
):
    from opstasks.manage import access
    from opstasks.manage.actions import WriteFile

    monkeypatch.setattr(access, "PATIENCE_S", 4)
    old = sh(f"cat {SSHD}")
    rights = {"owner": "root", "group": "root", "mode": "0644"}
    tests = {"check": ("sshd", "-t", "-f", "@file@"), "verify": ("sshd", "-t")}
    content = old + "\nDenyUsers ops\n"
    shown = {"replaces": sh(f"sha256sum {SSHD}").split()[0], "kept_in": spec(HOST).kept_in}
    action = WriteFile(path=SSHD, content=content, reload="ssh", **shown, **rights, **tests)
    host = connect(spec(HOST))
    host.root.call(access.INSTALL, access.install_request(host, [action]))
    script = sh("cat /var/lib/opstasks/access/putback.py")
    assert f"# {access.ABOUT}" in script.splitlines()[:3]
    host.close()
    assert ssh(HOST, "true").returncode != 0
    deadline = time.monotonic() + 20
    while ssh(HOST, "true").returncode != 0:
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert sh(f"cat {SSHD}") == old
    assert sh("ls -A /var/lib/opstasks/access") == ""


def test_a_description_without_developers_needs_allow_lockout(backends, sh, ops):
    path = backends / "sandbox" / "host.yaml"
    data = yaml.safe_load(path.read_text())
    data["people"] = {"researchers": ["rosa"]}
    path.write_text(yaml.safe_dump(data))
    done = good(ops("manage", "--plan"), 2)
    _, hint = done.stderr.splitlines()
    assert f"next:  in {path} write `people: {{developers: [alice]}}`" in hint
    good(ops("manage", "--plan", "--allow-lockout"))


def test_the_connected_person_is_not_locked_out(
    backends, sandbox_dir, sh, ops, ssh, restored, tmp_path
):
    (backends / "keys" / "ops").write_text((tmp_path / "id.pub").read_text())
    change(backends, people={"developers": ["ada", "ops"]})
    done = good(ops("manage", "--yes"), 2)
    assert "you are logged in as ops, and none of your present keys would stay" in done.stderr
    assert ssh(HOST, "true").returncode == 0


# -- people --------------------------------------------------------------------------------------


def test_a_person_joins_changes_role_leaves_and_is_disabled(
    backends, tmp_path, sh, ops, sandbox_dir, restored
):
    (backends / "keys" / "eve").write_text((tmp_path / "id.pub").read_text())

    def login(command="true"):
        return subprocess.run(
            [
                *("ssh", "-F", str(sandbox_dir / "ssh_config"), "-i", str(tmp_path / "id")),
                *("-o", "BatchMode=yes", f"eve@{HOST}", command),
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )

    change(backends, people={"developers": ["ada"], "researchers": ["rosa", "eve"]})
    good(ops("manage", "--yes"))
    assert set(sh("id -nG eve").split()) == {"eve", "docker", "reviewers", "researchers"}
    # The key is accepted, and there is no password (test_first_password_sandbox.py).
    assert login("id -un").stdout.strip() == "eve"
    assert sh("getent shadow eve | cut -d: -f2,8") == "*:"
    sh("chage -E 2099-01-01 eve")
    assert "eve" in good(ops("users.disable", "eve", "--yes"), 2).stderr

    change(backends, people={"developers": ["ada", "eve"], "researchers": ["rosa"]})
    good(ops("manage", "--yes"))
    assert set(sh("id -nG eve").split()) == {"eve", *GROUPS["ada"]} - {"ada"}
    assert login("id -un").stdout.strip() == "eve", "a later expiry date stays"
    change(backends, people={"developers": ["ada"], "reviewers": ["levi", "eve"]})
    good(ops("manage", "--yes"))
    assert sh("id -nG eve") == "eve reviewers"

    # Only her keys still show that she was listed.
    sh("usermod -aG sudo eve; usermod -aG sudo nobody")
    change(backends, people={"reviewers": ["levi"]})
    left = steps(good(ops("manage", "--plan", "--json")))
    assert {s["thing"] for s in left} == {
        *("eve in group sudo", "eve in group reviewers", "nobody in group sudo", "user eve")
    }
    assert ("user eve", "users.disable, or add to a list") in [
        (s["thing"], s["wanted"]) for s in left
    ]
    sh("gpasswd -d nobody sudo")
    sh("runuser -u eve -- sleep 300 & sleep 0.2")
    good(ops("users.disable", "eve", "--yes"))
    assert sh("pgrep -c -u eve") == "1"
    assert sh("id -nG eve; getent passwd eve | cut -d: -f7") == "eve\n/usr/sbin/nologin"
    assert sh("passwd -S eve | cut -d' ' -f2") == "L"
    assert sh("ls -A /home/eve/.ssh; ls -d /home/eve") == "/home/eve"
    assert login().returncode == 255
    assert "already disabled" in good(ops("users.disable", "eve", "--yes")).stdout
    assert "nothing to do" in good(ops("manage", "--check")).stdout
    sh("pkill -u eve; true")

    change(backends, people={"reviewers": ["levi", "eve"]})
    good(ops("manage", "--yes"))
    assert login("id -un").stdout.strip() == "eve"


def test_only_a_complete_answer_of_a_key_source_replaces_keys(
    backends, tmp_path, inv, sh, restored
):
    def manage(kind, *flags):
        change(backends, options={"key_source": f"{address}/{kind}.keys?{{name}}"})
        env = {"OPSTASKS_BACKENDS": str(backends), "SSL_CERT_FILE": str(pem)}
        return inv("-H", HOST, "manage", *flags, env=env | {"no_proxy": "localhost"})

    every = "sha256sum /home/*/.ssh/authorized_keys"
    with serving(tmp_path) as (address, pem):
        # A person with keys only at the source.
        change(backends, people={"developers": ["ada"], "reviewers": ["levi", "eve"]})
        good(manage("good", "--yes"))
        assert key(2) in sh("cat /home/ada/.ssh/authorized_keys")
        assert sh("grep -c ^ssh- /home/eve/.ssh/authorized_keys") == "2"
        before = sh(every)
        for kind in ("missing", "page", "long", "away", "cut"):
            done = good(manage(kind, "--yes"))
            assert "eve: the key source gave no keys (" in done.stderr, kind
            assert "nothing to do" in done.stdout, kind
            assert sh(every) == before, kind
    done = good(manage("good", "--check"))
    assert "eve: the key source gave no keys (" in done.stderr, "the source is gone"
    assert sh(every) == before


# -- when something goes wrong -------------------------------------------------------------------


def test_an_account_is_disabled_as_far_as_possible_and_the_hint_completes_it(sh, inv):
    sh(
        "useradd -m -s /bin/bash -G docker zoe; echo zoe:secret123 | chpasswd;"
        " install -d -o zoe -m 700 /home/zoe/.ssh /home/zoe/.ssh/authorized_keys;"
        " echo key >/home/zoe/.ssh/authorized_keys/x; echo key >/home/zoe/.ssh/authorized_keys2"
    )
    try:
        done = good(inv("-H", HOST, "users.disable", "zoe", "--yes"), 1)
        assert "cannot remove /home/zoe/.ssh/authorized_keys (Is a directory)" in done.stderr
        assert f"fix it, then: inv -H {HOST} users.disable zoe" in done.stderr
        assert sh("passwd -S zoe").split()[1] == "L"
        assert sh("id -nG zoe; getent passwd zoe | cut -d: -f7").split() == [
            "zoe",
            "/usr/sbin/nologin",
        ]
        assert sh("ls /home/zoe/.ssh") == "authorized_keys"
        sh("rm -r /home/zoe/.ssh/authorized_keys")
        after = good(inv("-H", HOST, "users.disable", "zoe", "--yes"))
        assert "already disabled" in after.stdout
    finally:
        sh("userdel -r zoe")


def test_after_a_failed_step_the_independent_ones_are_done(sh, ssh, ops, restored):
    sh(
        f"chmod 755 {HOME}/secret; rm -f {SSHD}; systemctl reload ssh; systemctl stop jobrunner;"
        f" mv {HOME}/jobrunner/lib /root/lib; install -d {HOME}/jobrunner/lib/x"
    )
    done = good(ops("manage", "--yes"), 1)
    assert f"2 of 4 changes done; {HOME}/jobrunner/lib failed" in done.stderr
    assert f"done: {HOME}/secret, {SSHD}\n" in done.stderr
    assert "not begun, because of that: unit jobrunner\n" in done.stderr
    assert f"directories: {HOME}/secret (0 of 4 changes done)" in done.stderr
    assert f"fix it, then: inv -H {HOST} manage" in done.stderr
    assert sh(f"stat -c %a {HOME}/secret; ls {SSHD}").split() == ["700", SSHD]
    assert sh("systemctl is-active jobrunner || true") == "inactive"
    assert ssh(HOST, "sudo -n true").returncode == 0
    assert sh("visudo -cq && sshd -t && echo fine") == "fine"
    sh(f"rm -r {HOME}/jobrunner/lib; mv /root/lib {HOME}/jobrunner/lib")
    good(ops("manage", "--yes"))
    assert "nothing to do" in good(ops("manage", "--check")).stdout
    assert sh("systemctl is-active jobrunner") == "active"


def test_nothing_is_lost_on_a_full_disk_and_the_next_run_completes(sh, ops, restored):
    config, path = f"{HOME}/config", f"{HOME}/config/03_backend.env"
    described = sh(f"cat {path}")
    sh(f"rm -f {path}.bak*; echo MINE=1 >>{path}; chmod 755 {HOME}/secret")
    by_hand = sh(f"cat {path}")
    before = sh(f"cd {config} && sha256sum * | sort")
    with small_disk(sh, config, "256k") as disk:
        disk.fill()
        done = good(ops("manage", "--yes"), 1)
        assert f"1 of 2 changes done; {path} failed" in done.stderr
        assert "no space left on device" in done.stderr.lower()
        assert done.stderr.count("error  ") == 1
        disk.free()
        assert sh(f"cd {config} && sha256sum * | sort") == before
        assert sh(f"ls -A {config}") == sh(f"ls {config}"), "nothing half-written is left"
        good(ops("manage", "--yes"))
        assert sh(f"cat {path}") == described
        assert sh(f"cat {path}.bak-*") == by_hand
    assert "nothing to do" in good(ops("manage", "--check")).stdout
    sh(f"rm -f {path}.bak*")


def test_the_run_after_an_interruption_completes(managed, sh, ops, backends, sandbox_dir, restored):
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
