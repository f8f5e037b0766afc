"""`manage` on a host: reading and changing accounts, and reading sudo's log."""

import grp
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.manage import keys
from opstasks.manage.onhost import account_actions, account_facts, sudo_log
from opstasks.onhost.masking import masked
from opstasks.onhost.protocol import HostFailure

LOG = """\
Nov 24 19:00:01 2026 : dev : TTY=pts/0 ; PWD=/home/dev ; USER=root ; COMMAND=/usr/bin/vim /etc/a
Nov 24 19:05:01 2026 : ada : PWD=/ ; USER=root ; COMMAND=/usr/bin/tee '/etc/b' PASSWORD=hunter2
Nov 24 19:06:01 2026 : ops : PWD=/ ; USER=root ; COMMAND=/usr/bin/bash --norc -c cat /etc/a
nonsense
"""


def test_sudos_log_shows_only_who_last_used_a_word(tmp_path):
    (tmp_path / "log").write_text(LOG)
    found = sudo_log.last_uses(["/etc/a", "/etc/b", "/etc/c"], str(tmp_path / "log"))
    assert {word: use["who"] for word, use in found.items()} == {"/etc/a": "dev", "/etc/b": "ada"}
    assert found["/etc/a"]["at"] == sudo_log.moment("Nov 24 19:00:01 2026") > 0
    assert "hunter2" not in json.dumps(found)


REFUSED = """\
Nov 24 19:00:01 2026 : dev : PWD=/ ; USER=root ; COMMAND=/usr/bin/vim /etc/a
Nov 24 19:01:01 2026 : eve : user NOT in sudoers ; PWD=/ ; USER=root ; COMMAND=vi /etc/a
Nov 24 19:01:02 2026 : eve : 3 incorrect password attempts ; PWD=/ ; USER=root ; COMMAND=vi /etc/a
Nov 24 19:01:03 2026 : eve : a password is required ; PWD=/ ; USER=root ; COMMAND=vi /etc/a
Nov 24 19:01:04 2026 : eve : command not allowed ; TTY=x ; PWD=/ ; USER=root ; COMMAND=vi /etc/a
Nov 24 19:01:05 2026 : eve : a password is required ; COMMAND=x\u2028{forged}
Nov 24 19:01:05 2026 : eve : a password is required ; COMMAND=x\x85{forged}
""".replace("{forged}", "Nov 24 19:09:00 2026 : ada : PWD=/ ; USER=root ; COMMAND=vi /etc/a")


def test_a_command_that_sudo_refused_has_changed_nothing():
    assert sudo_log.mentions(REFUSED, {"/etc/a"})["/etc/a"]["who"] == "dev"


@given(st.text())
def test_any_text_is_read_as_a_log_without_an_error(text):
    sudo_log.mentions(text, {"a", "/etc/a"})
    sudo_log.moment(text)


def test_keys_that_manage_wrote_are_recognised_by_their_first_line(tmp_path, monkeypatch):
    for name, text in (("old", keys.render("old", ())), ("image", "ssh-ed25519 AAAA\n")):
        (tmp_path / name / ".ssh").mkdir(parents=True)
        (tmp_path / name / ".ssh" / "authorized_keys").write_text(text)
    lookup = lambda name: SimpleNamespace(pw_dir=str(tmp_path / name))  # noqa: E731
    monkeypatch.setattr(account_facts.pwd, "getpwnam", lookup)
    assert account_facts.marked(["old", "image", "none"], keys.MARK) == ["old"]


def test_only_whether_a_password_is_locked_is_reported(tmp_path):
    (tmp_path / "s").write_text("a:$y$hash:1:0:9:7:::\nb:!$y$hash:1:0:9:7::1:\nc:*:1:::::::\n")
    found = {name: account_facts.shadow(name, str(tmp_path / "s")) for name in "abcd"}
    assert found["a"] == {"locked": False, "expired": False}
    assert found["b"] == {"locked": True, "expired": True}
    assert found["c"] == {"locked": True, "expired": False}
    assert found["d"] == {"locked": True, "expired": True}, "its line was not written yet"


PASSWD = "root:x:0:0::/root:/bin/sh\nada:x:1:1::/:/bin/sh\nold::2:2::/:/bin/sh\n+::::::\n-x::::::\n"
SHADOW = "root:*:1::::::\nada::0:0:9:7:::\neve::0:0:9:7:::\nold:!:1::::::\nnonsense\n\n"


def test_every_account_with_an_empty_password_is_found(tmp_path):
    (tmp_path / "passwd").write_text(PASSWD)
    (tmp_path / "shadow").write_text(SHADOW)
    found = account_facts.open_accounts(str(tmp_path / "passwd"), str(tmp_path / "shadow"))
    assert found == ["ada", "old"]


@pytest.mark.parametrize(
    ("day", "past"),
    [
        ("", False),
        ("0", True),
        ("1", True),
        ("20000", True),
        ("20001", False),
        ("-1", False),
        ("9" * 5000, False),
    ],
    ids=lambda value: str(value)[:9],
)
def test_an_account_expires_on_its_day_by_the_hosts_clock(tmp_path, monkeypatch, day, past):
    (tmp_path / "s").write_text(f"a:x:1:0:9:7::{day}:\n")
    monkeypatch.setattr(account_facts.time, "time", lambda: 20000 * 86400 + 5.0)
    assert account_facts.shadow("a", str(tmp_path / "s"))["expired"] is past


def docker(password="x"):
    return grp.struct_group(("docker", password, 104, ["ada"]))


PASSWORD = ("password", "")


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("docker:!::ada", []),
        ("docker:*::", []),
        ("docker:::ada", []),
        ("docker:$6$x::", [PASSWORD]),
        ("docker:!:levi,eve:ada", [("administrator", "eve"), ("administrator", "levi")]),
        ("docker:!::mallory,ada,gone", [("member", "gone"), ("member", "mallory")]),
        ("docker:$6$x:eve:mallory", [("administrator", "eve"), ("member", "mallory"), PASSWORD]),
        ("docker", []),
        ("docker:!", []),
        ("other:$6$x:levi:mallory", []),
    ],
)
def test_who_can_join_a_group_without_root(tmp_path, line, found):
    (tmp_path / "gshadow").write_text(f"{line}\n")
    assert account_facts.joiners(docker(), str(tmp_path / "gshadow")) == found


@pytest.mark.parametrize(
    ("field", "found"), [("$6$x", [PASSWORD]), ("x", []), ("!", []), ("*", []), ("", [])]
)
def test_without_a_line_of_gshadow_the_password_of_the_group_counts(tmp_path, field, found):
    path = str(tmp_path / "gshadow")
    assert account_facts.joiners(docker(field), path) == found
    (tmp_path / "gshadow").write_text("docker:!::ada\n")
    assert account_facts.joiners(docker(field), path) == []


def test_a_group_is_closed_for_everybody_who_is_not_listed(tmp_path, monkeypatch):
    (tmp_path / "gshadow").write_text("docker:$6$x:eve:ada,mallory,gone\n")
    monkeypatch.setattr(account_facts, "GSHADOW", str(tmp_path / "gshadow"))
    monkeypatch.setattr(account_actions.grp, "getgrnam", lambda name: docker())
    commands = []
    monkeypatch.setattr(account_actions, "run", lambda *words: commands.append(" ".join(words)))
    account_actions.close_group("docker")
    assert commands == [
        "gpasswd --delete gone docker",
        "gpasswd --delete mallory docker",
        "gpasswd --administrators  docker",
        "gpasswd --restrict docker",
    ]


def test_the_facts_of_a_group_name_who_else_can_join(tmp_path, monkeypatch):
    (tmp_path / "gshadow").write_text("docker:$6$x::ada,mallory\n")
    monkeypatch.setattr(account_facts, "GSHADOW", str(tmp_path / "gshadow"))
    monkeypatch.setattr(account_facts.grp, "getgrnam", lambda name: docker())
    wanted = {"gid": 104, "members": ["ada"], "joiners": ["member mallory", "a password"]}
    assert account_facts.group("docker") == wanted


PERSON = {"do": "user", "name": "eve", "uid": 0, "group": "eve", "groups": ["reviewers"]}
PERSON |= {"home": "/home/eve", "shell": "/bin/bash", "personal": True}


def ran(monkeypatch, **found):
    """The commands of an action on a person's account."""
    commands = []
    monkeypatch.setattr(account_actions, "run", lambda *words: commands.append(list(words)))
    account_actions.user(PERSON | {"exists": True, "is_disabled": False, "is_open": False} | found)
    return commands


@pytest.mark.parametrize(
    "found", [{"exists": False}, {"is_disabled": True}, {"is_open": True}], ids=str
)
def test_a_new_or_enabled_account_gets_no_password_in_the_same_call(monkeypatch, found):
    *before, command = ran(monkeypatch, **found)
    assert before == ([] if "exists" in found else [["chage", "--maxdays", "-1", "eve"]])
    place = command.index("--password")
    assert command[place + 1] == "*", "an empty one would let everybody in"
    assert ("--expiredate" in command) == ("is_disabled" in found)


@pytest.mark.parametrize("failing", ["usermod", "keys", "usermod keys"])
def test_what_fails_does_not_stop_the_rest_of_disabling(monkeypatch, tmp_path, failing):
    (tmp_path / ".ssh/authorized_keys").mkdir(parents=True)
    if "keys" not in failing:
        (tmp_path / ".ssh/authorized_keys").rmdir()
    (tmp_path / ".ssh/authorized_keys2").write_text("key")
    monkeypatch.setattr(Path, "expanduser", lambda self: tmp_path)
    commands = []

    def run(*words):
        commands.append(words)
        if "usermod" in failing:
            raise HostFailure("usermod failed", "it is locked")

    monkeypatch.setattr(account_actions, "run", run)
    with pytest.raises(HostFailure) as caught:
        account_actions.disable({"do": "disable_user", "name": "eve"})
    assert "--lock" in commands[0]
    assert not (tmp_path / ".ssh/authorized_keys2").exists()
    said = f"{caught.value.reason}\n{caught.value.detail}"
    assert ("usermod failed: it is locked" in said) == ("usermod" in failing)
    assert (f"{tmp_path}/.ssh/authorized_keys (Is a directory)" in masked(said)) == (
        "keys" in failing
    )


def test_other_changes_keep_the_password_and_the_date(monkeypatch):
    (command,) = ran(monkeypatch)
    assert command[0] == "usermod"
    assert not {"--password", "--expiredate"} & set(command)
