"""Accounts on real hosts: only the person can log in, before and after the first password."""

import pexpect
import pytest

from tests.manage.manage_sandbox_help import HOST, change, good, snapshot, steps

pytestmark = [pytest.mark.sandbox, pytest.mark.hosts(1)]

WEAK, FIRST, SECOND = "short", "Kettle-9-orbit-canary", "Maple+4+lantern+canary"
# What other accounts try: an empty password and new ones with su, ssh, sudo, and reading files.
ATTACK = """
attack() {
    printf '\\nAttack-12345-x\\nAttack-12345-x\\n' | runuser -u "$1" -- su - eve -c 'id -un'
    echo OLD | runuser -u "$1" -- su - eve -c 'id -un'
    runuser -u "$1" -- ssh -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \\
        -o BatchMode=yes eve@localhost id -un </dev/null
    runuser -u "$1" -- sudo -n -u eve id -un
    runuser -u "$1" -- sudo -n /usr/local/sbin/first-password </dev/null
    runuser -u "$1" -- env SUDO_USER=eve /usr/local/sbin/first-password </dev/null
    runuser -u "$1" -- find /home/eve/ -type f
}
for who in nobody levi opensafely; do attack "$who" >"/root/attack.$who" 2>&1 & done
wait
cat /root/attack.*; rm /root/attack.*
"""
# Until the file /root/stop exists: what is in the place of the hash, and the same attack with su.
WATCH = r"""
rm -f /root/stop /root/tried
(while [ ! -e /root/stop ]; do getent shadow eve | cut -d: -f2 | sed 's/^$/EMPTY/'; done) \
    >/root/hashes 2>&1 </dev/null &
for who in nobody levi; do
    (while [ ! -e /root/stop ]; do
        printf '\nAttack-12345-x\nAttack-12345-x\n' | runuser -u $who -- su - eve -c 'id -un'
    done) >>/root/tried 2>&1 </dev/null &
done
"""


def got_in(shown):
    """Whether an attack ran as eve, was asked to set a new password for her, or read a file."""
    lines = [line.strip() for line in shown.splitlines()]
    return "eve" in lines or "change your password" in shown or "New password" in shown


@pytest.fixture
def attack(sh):
    def run(old="no"):
        shown = sh(ATTACK.replace("OLD", old))
        assert "Authentication failure" in shown, "the attack itself ran"
        assert "Permission denied" in shown
        assert not got_in(shown), shown
        return shown

    return run


@pytest.fixture
def listed(backends, tmp_path):
    """A new developer in the description, with the test's own key."""
    (backends / "keys" / "eve").write_text((tmp_path / "id.pub").read_text())
    change(backends, people={"developers": ["ada", "eve"]})


@pytest.fixture
def login(sandbox_dir, tmp_path, sh, restored):
    """A real terminal of a person who logs in with their key."""
    opened = []

    def start(name="eve"):
        argv = ["-F", str(sandbox_dir / "ssh_config"), "-i", str(tmp_path / "id"), "-tt"]
        child = pexpect.spawn("ssh", [*argv, f"{name}@{HOST}"], encoding="utf-8", timeout=30)
        opened.append(child)
        return child

    yield start
    for child in opened:
        child.close(force=True)
    sh("pkill -KILL -u eve && sleep 0.5; true")


def sets_first_password(child, password):
    child.expect_exact("You have no password yet")
    child.expect_exact("$ ")
    child.sendline("sudo first-password")
    child.expect_exact("New password: ")
    child.sendline(WEAK)
    child.expect_exact("BAD PASSWORD")
    child.expect_exact("New password: ")
    child.sendline(password)
    child.expect_exact("Retype new password: ")
    child.sendline(password)
    child.expect_exact("password updated successfully")
    child.expect_exact("$ ")


def becomes_root(child, password):
    child.sendline("sudo -k; sudo id -un")
    child.expect_exact("password for eve:")
    child.sendline(password)
    child.expect_exact("\r\nroot\r\n")
    child.expect_exact("$ ")


def test_a_new_person_sets_a_password_and_nobody_else_gets_in(
    managed, listed, login, attack, sh, ops, restored
):
    assert not sh("getent passwd eve || true")
    sh(WATCH)
    try:
        good(ops("manage", "--yes"))
    finally:
        sh("touch /root/stop; sleep 4")
    assert sh("sort -u /root/hashes") == "*", "the only state that the account ever had"
    tried = sh("cat /root/tried")
    assert "Authentication failure" in tried, "there was an attack after its creation"
    assert not got_in(tried)
    attack()

    child = login()
    sets_first_password(child, FIRST)
    becomes_root(child, FIRST)
    attack()
    child.sendline("sudo -k; sudo -n first-password; echo code=$?")
    child.expect_exact("eve has a password, or it is locked")
    child.expect_exact("code=1")
    child.sendline("passwd")
    child.expect_exact("Current password: ")
    child.sendline(FIRST)
    child.expect_exact("New password: ")
    child.sendline(SECOND)
    child.expect_exact("Retype new password: ")
    child.sendline(SECOND)
    child.expect_exact("updated successfully")
    becomes_root(child, SECOND)
    attack(old=FIRST)
    assert "nothing to do" in good(ops("manage", "--check")).stdout
    said = sh("journalctl --no-pager; cat /var/log/sudo.log /var/lib/opstasks/* 2>/dev/null; true")
    assert "first-password" in said
    assert "canary" not in said


def test_only_a_developer_without_a_password_may_set_one_as_root(managed, sh, restored):
    first = "/usr/local/sbin/first-password"
    for name in ("levi", "rosa", "opensafely", "nobody"):
        assert "password is required" in sh(f"runuser -u {name} -- sudo -n {first} 2>&1; true")
    for words in (f"{first} levi", f"SUDO_USER=levi {first}", f"-u levi {first}", f"-E {first}"):
        said = sh(f"runuser -u ada -- sudo -n {words} </dev/null 2>&1; true")
        assert "password is required" in said or "not allowed" in said or "sorry" in said, words
    for field in ("$y$j9T$x$y", "!$y$j9T$x$y", "", "!!"):
        sh(f"usermod -p '{field}' ada")
        said = sh(f"runuser -u ada -- sudo -n {first} </dev/null 2>&1; true")
        assert "has a password, or it is locked" in said, field
    for field in ("*", "!"):
        sh(f"usermod -p '{field}' ada")
        assert "New password" in sh(f"runuser -u ada -- sudo -n {first} </dev/null 2>&1; true")
    assert sh("getent shadow levi | cut -d: -f2") == "*"
    sh("usermod -p '*' ada")


def test_a_person_who_needs_no_password_keeps_the_login_by_key(
    managed, listed, login, sh, ops, restored
):
    """If passwords expire after 30 days, sshd would ask for a password that does not exist."""
    sh("cp -p /etc/login.defs /root/login.defs")
    sh("sed -i 's/^PASS_MAX_DAYS.*/PASS_MAX_DAYS 30/' /etc/login.defs")
    try:
        for undo in (
            "true",
            "userdel -r eve",
            "chage -M 30 -E 1 eve",
            "chage -M 30 eve; passwd -d eve",
        ):
            sh(undo)
            good(ops("manage", "--yes"))
            sh("chage --lastday 2026-01-01 eve")
            child = login()
            child.expect_exact("You have no password yet")
            child.expect_exact("$ ")
            child.sendline("exit")
            child.expect(pexpect.EOF)
            sh("pkill -KILL -u eve && sleep 0.5; true")
    finally:
        sh("mv /root/login.defs /etc/login.defs")


def test_a_minimal_host_gets_the_dictionary_that_new_passwords_need(managed, sh, ops, restored):
    sets = f"printf '%s\\n' {FIRST} {FIRST} | runuser -u ada -- sudo -n first-password 2>&1; true"
    sh("dpkg --purge cracklib-runtime; usermod -p '*' ada")
    assert "error loading dictionary" in sh(sets)
    assert sh("getent shadow ada | cut -d: -f2") == "*"
    (step,) = steps(ops("manage", "--plan", "--json"))
    assert step["thing"] == "package cracklib-runtime"
    good(ops("manage", "--yes"))
    assert "updated successfully" in sh(sets)
    sh("usermod -p '*' ada")


def test_empty_passwords_are_found_removed_and_reported(
    managed, listed, login, attack, sh, ops, restored
):
    """Empty passwords as an older version left them, and one of an account that is not ours."""
    good(ops("manage", "--yes"))
    emptied = "passwd --quiet --delete eve; chage --lastday 0 eve"
    sh(f"{emptied}; useradd --password '' guest1")
    try:
        assert got_in(sh(ATTACK)), "the attack works on an empty password: it sets a new one"
        sh(f"{emptied}; passwd --quiet --delete opensafely")
        done = good(ops("doctor"), 1)
        for name in ("eve", "opensafely", "guest1"):
            assert f"{name} has an empty password" in done.stdout
        found = {s["thing"]: s["now"] for s in steps(ops("manage", "--plan", "--json"))}
        assert found == {
            "user eve": "password empty",
            "user opensafely": "password empty",
            "user guest1": "empty password: any account there can become it",
        }
        good(ops("manage", "--yes"))
        assert sh("getent shadow eve opensafely | cut -d: -f2") == "*\n*"
        assert sh("getent shadow guest1 | cut -d: -f2") == ""
        attack()
        (left,) = steps(good(ops("manage", "--check", "--json"), 1))
        assert left["thing"] == "user guest1"
        sets_first_password(login(), FIRST)
    finally:
        sh("userdel guest1")
    assert "empty password" not in ops("doctor", "--all").stdout


def test_an_account_that_was_made_in_part_is_completed(
    managed, listed, login, attack, sh, ops, restored
):
    """useradd writes /etc/passwd first; it may be killed before /etc/shadow."""
    sh("useradd --create-home --user-group --shell /bin/bash --password '*' eve")
    sh("sed -i '/^eve:/d' /etc/shadow")
    attack()
    good(ops("manage", "--yes"))
    assert sh("getent shadow eve | cut -d: -f2,8") == "*:"
    attack()
    sets_first_password(login(), FIRST)
    assert "nothing to do" in good(ops("manage", "--check")).stdout


def test_an_account_that_is_enabled_again_has_no_password(
    managed, backends, listed, login, attack, sh, ops, restored
):
    good(ops("manage", "--yes"))
    child = login()
    sets_first_password(child, FIRST)
    becomes_root(child, FIRST)
    sh("install -D -o eve /dev/null /var/spool/cron/crontabs/eve")
    sh("install -D /dev/null /var/lib/systemd/linger/eve")
    change(backends, people={"developers": ["ada"]})
    good(ops("manage", "--yes"))
    shown = good(ops("users.disable", "eve", "--yes")).stdout
    assert "/var/spool/cron/crontabs/eve" in shown
    assert "/var/lib/systemd/linger/eve" in shown
    attack(old=FIRST)
    # The open terminal, for which sudo still remembers the password, is not root any more.
    for command in ("sudo -n id -un", "sudo -n first-password", "su - eve -c 'id -un'"):
        child.sendline(f"{command} </dev/null; echo code=$?")
        child.expect(r"code=([1-9]\d*)\r")
        assert "root" not in child.before.splitlines()
    change(backends, people={"developers": ["ada", "eve"]})
    good(ops("manage", "--yes"))
    assert sh("getent shadow eve | cut -d: -f2,8") == "*:"
    attack(old=FIRST)
    sets_first_password(login(), SECOND)
    sh("rm /var/spool/cron/crontabs/eve /var/lib/systemd/linger/eve")


def test_the_sandboxs_people_are_refused_on_another_host(managed, sh, ops, restored):
    sh("mv /etc/sandbox /root/sandbox; userdel -r levi; chmod 755 /home/ada")
    try:
        before = snapshot(sh)
        for flags in (["--plan"], ["--yes"], ["--yes", "--allow-lockout", "--only", "accounts"]):
            done = good(ops("manage", *flags), 2)
            assert "its description is only for hosts with /etc/sandbox" in done.stderr
        assert snapshot(sh) == before
    finally:
        sh("mv /root/sandbox /etc/sandbox")
