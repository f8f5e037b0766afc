"""Reading what `manage` says about a real host, and changing descriptions."""

import json
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
HOME = "/home/opensafely"
HOST = "sandbox-1"
SSHD = "/etc/ssh/sshd_config.d/00-opstasks.conf"
SUDOERS = "/etc/sudoers.d/opstasks"
PLACES = f"/etc {HOME}/config /usr/local/sbin /home/ada /home/rosa /home/levi /srv/medium_privacy"
# Accounts and all their groups.
GROUPS = {
    "opensafely": {"opensafely", "docker", "reviewers"},
    "ada": {"ada", "developers", "researchers", "reviewers", "docker", "sudo"},
    "rosa": {"rosa", "researchers", "reviewers", "docker"},
    "levi": {"levi", "reviewers"},
}


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
    """Rights and contents of everything that manage may change, and all accounts."""
    return sh(
        f"find {PLACES} -xdev -printf '%p %M %u:%g %l\\n' | grep -v -e '-$' -e mtab | sort;"
        f" find {HOME}/config /etc/sudoers.d /etc/ssh /etc/profile.d /etc/systemd/system"
        " /home/ada /home/rosa -type f -print0 | sort -z | xargs -0 sha256sum;"
        " getent group | sort; getent passwd | sort; systemctl is-active jobrunner rsync"
        " | tr '\\n' ' '; systemctl is-enabled jobrunner; true"
    ).splitlines()
