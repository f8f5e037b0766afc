"""Finding what runs as the service account by itself: crontabs, units, Python, docker."""

import os
import pwd

import pytest

from opstasks.manage.onhost import effect_logins

# What makes something run as an account, in its home and elsewhere; and what does not.
LASTING = [
    "home/.local/lib/python3.11/site-packages/x.pth",
    "home/.local/lib/python3.9/site-packages/sitecustomize.py",
    "home/.local/lib/python3.13t/site-packages/usercustomize.cpython-313t-x86_64-linux-gnu.so",
    "home/.local/lib/python3.11/site-packages/usercustomize",
    "home/.docker/cli-plugins/docker-x",
    "home/.docker/config.json",
    "home/.config/systemd/user/x.service",
    "home/.config/systemd/user.control/x.service",
    "home/.config/systemd/user.conf",
    "home/.config/environment.d/x.conf",
    "home/.config/user-tmpfiles.d/x.conf",
    "home/.local/share/systemd/user/x.service",
    "home/.local/share/user-tmpfiles.d/x.conf",
    "home/.local/share/dbus-1/services/x.service",
    "home/.pam_environment",
    "home/.forward",
    "home/.procmailrc",
    "home/.ssh/rc",
    "home/.ssh/environment",
    "cron/svc",
    "linger/svc",
    "at/a00001",
    "run/4711/systemd/user/x.service",
    "run/4711/systemd/user.control/x.service",
    "run/4711/systemd/transient/x.timer",
]
HARMLESS = [
    "home/.local/lib/python3.11/site-packages/x.py",
    "home/.local/lib/python3.11/site-packages/x.pth.txt",
    "home/.local/lib/node/site-packages/x.pth",
    "home/.docker/other.json",
    *("home/.config/git/config", "home/.config/systemd/y", "home/.local/share/x", "home/.bashrc"),
    *("home/.ssh/known_hosts", "cron/other", "linger/other", "run/4712/systemd/user/x.service"),
]


@pytest.fixture
def lasting(tmp_path, monkeypatch):
    """Makes a file of the account; returns what is found then."""
    home, uid = str(tmp_path / "home"), 4711
    account = pwd.struct_passwd(("svc", "x", uid, uid, "", home, "/bin/sh"))
    monkeypatch.setattr(effect_logins.pwd, "getpwnam", lambda name: account)
    monkeypatch.setattr(effect_logins, "CRONTABS", (str(tmp_path / "cron"),))
    monkeypatch.setattr(effect_logins, "LINGER", str(tmp_path / "linger"))
    monkeypatch.setattr(effect_logins, "AT_JOBS", (str(tmp_path / "at"),))
    monkeypatch.setattr(effect_logins, "RUNTIME", str(tmp_path / "run"))
    owners = {str(tmp_path / "at/a00001"): uid}
    monkeypatch.setattr(effect_logins, "owner_of", lambda path: owners.get(path, 0))

    def make(name):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
        return [each.removeprefix(f"{tmp_path}/") for each in effect_logins.persistence(["svc"])]

    return make


@pytest.mark.parametrize("name", LASTING)
def test_what_runs_something_as_the_service_account_is_found(lasting, name):
    assert lasting(name) == [name]


@pytest.mark.parametrize("name", [*HARMLESS, "at/a00002"])
def test_other_files_of_the_service_account_run_nothing(lasting, name):
    assert lasting(name) == []


def test_a_link_in_place_of_a_folder_or_a_file_is_found(tmp_path, lasting):
    """Root does not follow it, and what is there would run all the same."""
    lasting("elsewhere/x.conf")
    (tmp_path / "home/.config").mkdir(parents=True)
    for name in ("environment.d", "systemd"):
        (tmp_path / "home/.config" / name).symlink_to(tmp_path / "elsewhere")
    (tmp_path / "home/.forward").symlink_to(tmp_path / "elsewhere/x.conf")
    (tmp_path / "home/.config").chmod(0o777)
    found = lasting("elsewhere/y.conf")
    assert {"home/.config/environment.d", "home/.config/systemd/user", "home/.forward"} <= {*found}


def test_links_on_the_way_to_packages_of_python_are_found(tmp_path, lasting):
    lasting("elsewhere/python3.11/site-packages/x.pth")
    lib = tmp_path / "home/.local/lib"
    (lib / "python3.9").mkdir(parents=True)
    (lib / "python3.9/site-packages").symlink_to(tmp_path / "elsewhere/python3.11/site-packages")
    (lib / "python3.11").symlink_to(tmp_path / "elsewhere/python3.11")
    lib.chmod(0o777)
    assert lasting("elsewhere/y") == [
        f"home/.local/lib/python3.{version}/site-packages" for version in ("11", "9")
    ]


@pytest.mark.parametrize(
    ("text", "is_plain"),
    [
        ('{"auths": {"ghcr.io": {"auth": "eA=="}}, "psFormat": "x", "detachKeys": "a"}', True),
        ("{}", True),
        ('{"currentContext": "x"}', False),
        ('{"CURRENTCONTEXT": "x"}', False),
        ('{"cliPluginsExtraDirs": ["/x"]}', False),
        ('{"credHelpers": {"ghcr.io": "x"}}', False),
        ('{"auths": {}, "credsStore": "x"}', False),
        ('{"aliases": {"builder": "x"}}', False),
        *(("[]", False), ("x", False), ("[" * 9999, False), (None, False)),
    ],
)
def test_settings_of_docker_that_run_a_program_or_lead_elsewhere_are_found(text, is_plain):
    assert effect_logins.is_plain(text) is is_plain


def test_the_owner_of_a_job_of_at_is_the_account(tmp_path):
    job = tmp_path / "a00001"
    job.write_text("x")
    assert effect_logins.owner_of(str(job)) == os.geteuid()
    assert effect_logins.owner_of(str(tmp_path)) == -1
    assert effect_logins.owner_of(str(tmp_path / "none")) == -1
    (tmp_path / "link").symlink_to(job)
    assert effect_logins.owner_of(str(tmp_path / "link")) == -1


def test_a_folder_behind_a_link_is_named_itself(tmp_path):
    """Root does not follow the links of an account, and what is there would run all the same."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real/x.service").touch()
    assert effect_logins.inside(str(tmp_path / "real")) == [str(tmp_path / "real/x.service")]
    link = tmp_path / "link"
    link.symlink_to("real")
    assert effect_logins.inside(str(link)) == [str(link)]
    tmp_path.chmod(0o777)
    below = str(link / "user")
    assert effect_logins.inside(below) == [below]
    assert effect_logins.inside(str(tmp_path / "none")) == []
