"""Changes by hand on a host, outside the files that `manage` writes.

Each entry says how root makes the change, which words `manage` and `doctor` must use for it, and
how to undo it. Entries of one kind (the word before the colon) are not made at the same time.
"""

from dataclasses import dataclass
from itertools import groupby, zip_longest

from tests.manage.manage_sandbox_help import HOME

UNITS = "/etc/systemd/system"
CODE, LIB = f"{HOME}/jobrunner/code", f"{HOME}/jobrunner/lib"
CONFIG = f"{CODE}/.git/config"
# As its owner: git replaces the file.
SET = "runuser -u opensafely -- git config"
RELOAD = "systemctl daemon-reload"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEVlZVlZWVlZWVlZWVlZWVlZWVlZWVlZWVlZWVlZWVl x"
SAME_ORIGIN = "https://github.com/opensafely-core/job-runner"


@dataclass(frozen=True)
class Drift:
    """How to make it, the words that a difference must have, how to undo it."""

    make: str
    words: tuple[str, ...]
    undo: str


def drop_in(folder, text="[Service]\\nUser=root\\n", name="zz.conf"):
    place = f"{folder}/{name}"
    make = f"mkdir -p {folder}; printf '{text}' >{place}; {RELOAD}"
    return Drift(
        make, (place, "User"), f"rm {place}; rmdir --ignore-fail-on-non-empty {folder}; {RELOAD}"
    )


def sshd(text, *words, name="00-aaa.conf"):
    place = f"/etc/ssh/sshd_config.d/{name}"
    return Drift(f"printf '{text}\\n' >{place}", (place, *words), f"rm {place}")


def sudoers(text, *words, name="zz-more"):
    place = f"/etc/sudoers.d/{name}"
    make = f"printf '{text}\\n' >{place}; chmod 0440 {place}"
    return Drift(make, (place, *words), f"rm {place}")


def keys(account, home, name="authorized_keys"):
    folder = f"{home}/.ssh"
    make = f"mkdir -p {folder}; echo '{KEY}' >{folder}/{name}; chown -R {account}: {folder}"
    return Drift(make, (f"user {account}", f"{folder}/{name}"), f"rm {folder}/{name}")


def git(setting, value, *words, file=CONFIG):
    keep = f"cp -a {file} /tmp/kept-git 2>/dev/null"
    make = f"{keep}; {SET} --file {file} --add {setting} '{value}'"
    undo = f"if [ -e /tmp/kept-git ]; then mv /tmp/kept-git {file}; else rm {file}; fi"
    return Drift(f"{make}", (setting, *words), undo)


def member(name, group):
    return Drift(
        f"gpasswd -a {name} {group}", (f"{name} in group {group}",), f"gpasswd -d {name} {group}"
    )


DRIFTS = {
    # units
    "unit: a drop-in in /etc": drop_in(f"{UNITS}/jobrunner.service.d"),
    "unit: a drop-in in /run": drop_in("/run/systemd/system/jobrunner.service.d"),
    "unit: a drop-in in /usr/lib": drop_in("/usr/lib/systemd/system/jobrunner.service.d"),
    "unit: a drop-in of all services": drop_in(f"{UNITS}/service.d"),
    "unit: a drop-in by prefix": drop_in(f"{UNITS}/jobrunner-.service.d"),
    "unit: a drop-in of the network": drop_in(f"{UNITS}/jobrunner-network.service.d"),
    "unit: a drop-in of set-property": Drift(
        "systemctl set-property jobrunner CPUWeight=50",
        ("unit jobrunner.service", "CPUWeight", "system.control"),
        f"systemctl revert jobrunner; {RELOAD}",
    ),
    "unit: a drop-in that is not loaded": Drift(
        f"mkdir -p {UNITS}/jobrunner.service.d; echo >{UNITS}/jobrunner.service.d/a.conf",
        (f"{UNITS}/jobrunner.service.d/a.conf",),
        f"rm -r {UNITS}/jobrunner.service.d; {RELOAD}",
    ),
    "unit: another file": Drift(
        f"mkdir -p {UNITS}.control; cp {UNITS}/jobrunner.service {UNITS}.control/; {RELOAD}",
        ("unit jobrunner.service", f"{UNITS}.control/jobrunner.service"),
        f"rm {UNITS}.control/jobrunner.service; {RELOAD}",
    ),
    "unit: a file that is not loaded": Drift(
        f"touch -d '2 minutes' {UNITS}/jobrunner.service",
        ("unit jobrunner.service", "not read its present files"),
        RELOAD,
    ),
    "unit: a drop-in of sshd": drop_in(
        f"{UNITS}/ssh.service.d", "[Service]\\nUser=root\\nEnvironment=A=1\\n"
    ),
    "unit: options of sshd": Drift(
        "cp -a /etc/default/ssh /tmp/kept-unit;"
        " echo 'SSHD_OPTS=\"-o PermitRootLogin=yes\"' >>/etc/default/ssh",
        ("PermitRootLogin=yes", "/etc/default/ssh"),
        "mv /tmp/kept-unit /etc/default/ssh",
    ),
    "unit: a variable of systemd": Drift(
        "systemctl set-environment LD_PRELOAD=/tmp/x.so",
        ("LD_PRELOAD", "every service"),
        "systemctl unset-environment LD_PRELOAD",
    ),
    "unit: a library for every program": Drift(
        "echo /lib/x86_64-linux-gnu/libm.so.6 >/etc/ld.so.preload",
        ("/etc/ld.so.preload loads /lib",),
        "rm /etc/ld.so.preload",
    ),
    "unit: docker for everyone": Drift(
        "chmod 0666 /run/docker.sock", ("docker.sock has mode 0666",), "chmod 0660 /run/docker.sock"
    ),
    "root: a folder of programs": Drift(
        "systemctl set-environment PATH=/tmp/evil:/usr/sbin:/usr/bin:/sbin:/bin",
        ("systemd sets PATH with /tmp/evil",),
        # The folders of a container's first process, which the others have, too.
        "systemctl unset-environment PATH; systemctl set-environment"
        " PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    ),
    # docker: its configuration counts although it has not read it again
    "docker: the network, without a scheme": Drift(
        """echo '{"hosts": ["0.0.0.0:2375"]}' >/etc/docker/daemon.json""",
        ("docker listens at 0.0.0.0:2375",),
        "rm /etc/docker/daemon.json",
    ),
    "docker: a second socket": Drift(
        "python3 -c \"import socket; socket.socket(1).bind('/srv/d.sock')\";"
        " chgrp reviewers /srv/d.sock; chmod 0660 /srv/d.sock;"
        """ echo '{"hosts": ["unix:///srv/d.sock"]}' >/etc/docker/daemon.json""",
        ("/srv/d.sock belongs to the group reviewers",),
        "rm /etc/docker/daemon.json /srv/d.sock",
    ),
    "docker: a drop-in of its unit": drop_in(
        f"{UNITS}/docker.service.d", "[Service]\\nUser=root\\n"
    ),
    "docker: a drop-in of its socket": drop_in(
        f"{UNITS}/docker.socket.d", "[Socket]\\nSocketUser=root\\n"
    ),
    # sshd
    "sshd: passwords, in an earlier file": sshd(
        "PasswordAuthentication yes", "sshd passwordauthentication", "yes", ":1"
    ),
    "sshd: an old name": sshd("ChallengeResponseAuthentication=yes", "kbdinteractive", "yes"),
    "sshd: root's login": sshd("# a\\nPermitRootLogin  prohibit-password", "permitrootlogin", ":2"),
    "sshd: another key file": sshd("AuthorizedKeysFile /etc/keys/%%u", "authorizedkeysfile"),
    "sshd: a command for keys": sshd(
        "AuthorizedKeysCommand /usr/bin/env\\nAuthorizedKeysCommandUser nobody",
        "authorizedkeyscommand",
    ),
    "sshd: an authority": sshd("TrustedUserCAKeys /etc/ssh/ca.pub", "trustedusercakeys"),
    "sshd: users' environments": sshd("PermitUserEnvironment yes", "permituserenvironment"),
    "sshd: a program in each login": sshd("ForceCommand /bin/false", "sshd forcecommand"),
    "sshd: a variable in each login": sshd("SetEnv BASH_ENV=/tok3n", "sshd setenv", "BASH_ENV"),
    "sshd: a link": Drift(
        "printf 'Match User levi\\nPasswordAuthentication yes\\n' >/etc/ssh/more;"
        " ln -s ../more /etc/ssh/sshd_config.d/zz.conf",
        ("Match User levi", "/etc/ssh/sshd_config.d/zz.conf:2"),
        "rm /etc/ssh/sshd_config.d/zz.conf /etc/ssh/more",
    ),
    "sshd: for one user": sshd(
        "Match User levi\\n  PasswordAuthentication yes", "Match User levi", ":2", name="zz.conf"
    ),
    "sshd: for an address, in an included file": Drift(
        "echo 'Match Address 10.0.0.0/8' >/etc/ssh/sshd_config.d/zz.conf;"
        " echo 'Include /etc/ssh/more' >>/etc/ssh/sshd_config.d/zz.conf;"
        " echo 'PermitRootLogin yes' >/etc/ssh/more",
        ("Match Address 10.0.0.0/8", "/etc/ssh/more:1", "permitrootlogin"),
        "rm /etc/ssh/sshd_config.d/zz.conf /etc/ssh/more",
    ),
    # sudo
    "sudo: everything for a reviewer": sudoers(
        "levi ALL=(ALL:ALL) NOPASSWD: ALL", "sudo for levi", ":1"
    ),
    "sudo: a role": sudoers("%%reviewers ALL=(ALL) ALL", "sudo for %reviewers"),
    "sudo: a wildcard for the service account": sudoers(
        "Cmnd_Alias X = /usr/bin/systemctl * jobrunner*\\nopensafely ALL=(root) NOPASSWD: X",
        "sudo for opensafely",
        "/usr/bin/systemctl * jobrunner*",
    ),
    "sudo: an alias of users": sudoers("User_Alias U = levi, rosa\\nU ALL=(ALL) ALL", "levi"),
    "sudo: a number": sudoers("#10003 ALL=(ALL) ALL", "sudo for #10003"),
    "sudo: no password": sudoers("Defaults:levi !authenticate", "sudo for levi", "!authenticate"),
    "sudo: a variable": sudoers('Defaults env_keep += "LD_PRELOAD"', "LD_PRELOAD"),
    "sudo: in the main file": Drift(
        "cp -a /etc/sudoers /tmp/kept-sudo; echo 'rosa ALL=(ALL) ALL' >>/etc/sudoers",
        ("sudo for rosa", "/etc/sudoers:"),
        "mv /tmp/kept-sudo /etc/sudoers",
    ),
    "sudo: an included file": Drift(
        "echo 'levi ALL=(ALL) ALL' >/etc/more; echo '@include /etc/more' >/etc/sudoers.d/zz",
        ("sudo for levi", "/etc/more:1"),
        "rm /etc/sudoers.d/zz /etc/more",
    ),
    "sudo: another source": Drift(
        "cp -a /etc/nsswitch.conf /tmp/kept-sudo; echo 'sudoers: files sss' >>/etc/nsswitch.conf",
        ("/etc/nsswitch.conf: sudoers: files sss",),
        "mv /tmp/kept-sudo /etc/nsswitch.conf",
    ),
    "sudo: a program of its own": Drift(
        "cp -a /etc/sudo.conf /tmp/kept-sudo; echo 'path askpass /tmp/x' >>/etc/sudo.conf",
        ("/etc/sudo.conf: path askpass /tmp/x",),
        "mv /tmp/kept-sudo /etc/sudo.conf",
    ),
    # groups and logins
    "group: sudo": member("levi", "sudo"),
    "group: docker": member("levi", "docker"),
    "group: shadow": member("opensafely", "shadow"),
    "group: disk": member("nobody", "disk"),
    "group: adm": member("rosa", "adm"),
    "group: root": member("opensafely", "root"),
    "group: docker as the own group": Drift(
        "usermod -g docker nobody", ("nobody in group docker",), "usermod -g nogroup nobody"
    ),
    "login: a key of the service account": keys("opensafely", HOME),
    "login: a second file of the service account": keys("opensafely", HOME, "authorized_keys2"),
    "login: a key of root": keys("root", "/root"),
    "login: a key of a system account": keys("backup", "/var/backups"),
    "login: an account in no list": Drift(
        f"useradd -m eve; mkdir ~eve/.ssh; echo '{KEY}' >~eve/.ssh/authorized_keys",
        ("user eve",),
        "userdel -r eve 2>/dev/null",
    ),
    "login: a second root": Drift(
        "useradd -o -u 0 -g 0 -M toor",
        ("user toor", "id 0"),
        "sed -i /^toor:/d /etc/passwd /etc/shadow",
    ),
    "login: the service account's id": Drift(
        "useradd -o -u 10000 -g 10000 -M eve",
        ("user opensafely", "same id as eve"),
        "sed -i /^eve:/d /etc/passwd /etc/shadow",
    ),
    "login: a person's second file": keys("levi", "/home/levi", "authorized_keys2"),
    "login: an empty password": Drift(
        "useradd -M eve; passwd -d eve", ("eve", "empty password"), "userdel eve"
    ),
    "login: a password of the service account": Drift(
        # Without PAM, because PAM refuses short passwords here.
        "echo opensafely:x-Y-1234567 | chpasswd -c SHA512",
        ("user opensafely", "has a password"),
        "usermod -p '!' opensafely",
    ),
    "login: programs of the service account": Drift(
        "touch /var/lib/systemd/linger/opensafely",
        ("/var/lib/systemd/linger/opensafely",),
        "rm /var/lib/systemd/linger/opensafely",
    ),
    "login: what Python runs for the service account": Drift(
        f"mkdir -p {HOME}/.local/lib/python3.11/site-packages;"
        f" touch {HOME}/.local/lib/python3.11/site-packages/x.pth",
        (f"{HOME}/.local/lib/python3.11/site-packages/x.pth",),
        f"rm -r {HOME}/.local/lib",
    ),
    "login: another docker of the service account": Drift(
        f"mkdir -p {HOME}/.docker;"
        f""" echo '{{"currentContext": "x"}}' >{HOME}/.docker/config.json""",
        (f"{HOME}/.docker/config.json",),
        f"rm {HOME}/.docker/config.json",
    ),
    # git
    "git: the origin": Drift(
        f"{SET} --file {CONFIG} remote.origin.url https://evil.example/fork",
        (CODE, "origin is https://evil.example/fork", SAME_ORIGIN),
        f"{SET} --file {CONFIG} remote.origin.url {SAME_ORIGIN}",
    ),
    "git: a second origin": Drift(
        f"{SET} --file {CONFIG} --add remote.origin.url https://evil.example/fork",
        (CODE, "origin is", "https://evil.example/fork"),
        f"{SET} --file {CONFIG} --replace-all remote.origin.url {SAME_ORIGIN}",
    ),
    "git: the origin of the dependencies": Drift(
        f"sed -i s/job-runner-dependencies/other/ {LIB}/.git/config",
        (LIB, "origin is https://github.com/opensafely-core/other"),
        f"sed -i s/other/job-runner-dependencies/ {LIB}/.git/config",
    ),
    "git: another address for the same": Drift(
        f"cp -a {CONFIG} /tmp/kept-git; {SET} --file {CONFIG}"
        " url.https://user:tok3n@evil.example/.insteadOf https://github.com/",
        ("url.https://***@evil.example/.insteadof",),
        f"mv /tmp/kept-git {CONFIG}",
    ),
    "git: branches of a fork": git(
        "remote.origin.fetch", "+refs/heads/evil:refs/remotes/origin/main"
    ),
    "git: hooks elsewhere": git("core.hookspath", "/tmp/hooks"),
    "git: a program that lists changes": git("core.fsmonitor", "/tmp/x"),
    "git: a program for ssh": git("core.sshcommand", "/tmp/x"),
    "git: a helper for passwords": git("credential.helper", "/tmp/x"),
    "git: an included file": git("include.path", "/tmp/x"),
    "git: the account's own settings": git(
        "url.https://evil.example/.insteadof", "https://github.com/", file=f"{HOME}/.gitconfig"
    ),
    "git: how files are compared": git("core.checkstat", "minimal", file=f"{HOME}/.gitconfig"),
    "git: a hook": Drift(
        f"install -m 755 /bin/true {CODE}/.git/hooks/post-checkout",
        (CODE, "hook post-checkout"),
        f"rm {CODE}/.git/hooks/post-checkout",
    ),
    "git: files that are ignored": Drift(
        f"echo sitecustomize.py >>{CODE}/.git/info/exclude",
        (CODE, f"{CODE}/.git/info/exclude"),
        f"sed -i /sitecustomize/d {CODE}/.git/info/exclude",
    ),
    "git: a replaced commit": Drift(
        f"mkdir -p {CODE}/.git/refs/replace; echo x >{CODE}/.git/refs/replace/abc",
        (CODE, ".git/refs/replace"),
        f"rm -r {CODE}/.git/refs/replace",
    ),
}


def rounds():
    """The names in groups that can be made together: one of each kind."""
    kinds = [list(names) for _, names in groupby(DRIFTS, lambda name: name.partition(":")[0])]
    return [[name for name in names if name] for names in zip_longest(*kinds)]
