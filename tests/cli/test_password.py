"""The sudo password: one line of text from any source, and which hosts get it."""

import contextlib
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pexpect
import pytest

from opstasks.cli.password import PASSWORD_FILE, PasswordBox
from opstasks.core.command import Secret
from opstasks.core.errors import Refused
from opstasks.fleet.refusals import PasswordNotAccepted, refusal, wrong_password
from tests.fleet.hostile import HOST_KEY, Listener, Runs, serve

ROOT = Path(__file__).resolve().parents[2]


def given(box, host="tpp"):
    with box.for_host(host) as secret:
        return secret and secret.value


def write_private(path, content):
    path.write_bytes(content)
    path.chmod(0o600)


@pytest.mark.parametrize(
    ("content", "word"), [(b"a b\n", "a b"), (b"x\r\n", "x"), ("pä".encode(), "pä")]
)
def test_a_password_file_holds_one_line(monkeypatch, tmp_path, content, word):
    write_private(tmp_path / "password", content)
    monkeypatch.setenv(PASSWORD_FILE, str(tmp_path / "password"))
    box = PasswordBox(None)
    assert [given(box), given(box, "emis")] == [word, word]


@pytest.mark.parametrize("content", [b"", b"\n", b"one\ntwo", b"one\n\n", b"a\0b", b"\xff"])
def test_a_password_file_with_anything_else_is_refused(monkeypatch, tmp_path, content):
    write_private(tmp_path / "password", content)
    monkeypatch.setenv(PASSWORD_FILE, str(tmp_path / "password"))
    with pytest.raises(Refused, match=PASSWORD_FILE):
        given(PasswordBox(None))


def test_a_password_file_is_read_once(monkeypatch, tmp_path):
    (tmp_path / "password").write_text("x\n")
    (tmp_path / "password").chmod(0o600)
    monkeypatch.setenv(PASSWORD_FILE, str(tmp_path / "password"))
    box = PasswordBox(None)
    assert given(box) == "x"
    (tmp_path / "password").unlink()
    assert given(box, "emis") == "x"


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o602, 0o601])
def test_a_password_file_that_others_may_open_is_refused(monkeypatch, tmp_path, mode):
    path = tmp_path / "password"
    write_private(path, b"opensesame\n")
    path.chmod(mode)
    monkeypatch.setenv(PASSWORD_FILE, str(path))
    with pytest.raises(Refused, match=PASSWORD_FILE) as caught:
        given(PasswordBox(None))
    assert caught.value.hint == f"chmod 600 {path}"
    assert "opensesame" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_password_file_of_someone_else_is_refused(monkeypatch, tmp_path):
    path = tmp_path / "password"
    write_private(path, b"opensesame\n")
    os.chown(path, 1234, -1)
    monkeypatch.setenv(PASSWORD_FILE, str(path))
    with pytest.raises(Refused, match="belongs to someone else"):
        given(PasswordBox(None))


def test_a_password_may_come_from_a_pipe(monkeypatch):
    reader, writer = os.pipe()
    os.write(writer, b"opensesame\n")
    os.close(writer)
    monkeypatch.setenv(PASSWORD_FILE, f"/dev/fd/{reader}")
    assert given(PasswordBox(None)) == "opensesame"
    os.close(reader)


def test_a_password_that_was_given_is_used_without_asking(monkeypatch):
    monkeypatch.setenv(PASSWORD_FILE, "/absent")
    assert given(PasswordBox(Secret("x"))) == "x"


def test_without_a_file_and_a_terminal_there_is_no_password(monkeypatch):
    monkeypatch.delenv(PASSWORD_FILE, raising=False)
    assert given(PasswordBox(None)) is None


@pytest.mark.parametrize("name", ["/absent", "~nobody-here/x"])
def test_a_password_file_that_cannot_be_read_is_refused(monkeypatch, name):
    monkeypatch.setenv(PASSWORD_FILE, name)
    with pytest.raises(Refused, match="cannot read"):
        given(PasswordBox(None))


def test_a_host_that_did_not_accept_a_password_gets_no_second_one():
    box = PasswordBox(Secret("x"))
    with pytest.raises(PasswordNotAccepted), box.for_host("tpp"):
        raise refusal("me: 1 incorrect password attempt", "tpp", "root")
    with pytest.raises(PasswordNotAccepted):
        given(box)
    assert given(box, "emis") == "x"


def test_an_account_without_rights_may_try_again():
    """`manage` tries the rights that it has changed; after it has restored them, they work."""
    box = PasswordBox(Secret("x"))
    with pytest.raises(Refused, match="may not become root"), box.for_host("tpp"):
        raise refusal("Sorry, user me is not allowed to execute 'a' as root", "tpp", "root")
    assert given(box) == "x"


@pytest.mark.parametrize("accepts", [True, False])
def test_a_second_connection_to_a_host_asks_nothing_again(monkeypatch, accepts):
    """Two connections that need the password at the same time: one question, one answer."""
    box, asked, found = PasswordBox(None), threading.Event(), []
    both = threading.Barrier(2, timeout=20)

    def ask(host):
        asked.set()
        both.wait()
        return Secret("x")

    def connect():
        with box.for_host("tpp") as secret:
            time.sleep(0.2)
            found.append(secret.value)
            if not accepts:
                raise wrong_password("tpp")

    def first():
        with contextlib.suppress(Refused):
            connect()

    monkeypatch.delenv(PASSWORD_FILE, raising=False)
    monkeypatch.setattr(box, "_ask", ask)
    monkeypatch.setattr(box, "_ask_to_share", lambda host: pytest.fail("it asked"))
    thread = threading.Thread(target=first)
    thread.start()
    assert asked.wait(20)
    threading.Timer(0.2, both.wait).start()
    if accepts:
        connect()
        assert found == ["x", "x"]
    else:
        with pytest.raises(Refused, match="did not accept"):
            connect()
        assert found == ["x"]
    thread.join(20)


# -- in a terminal, with several hosts -----------------------------------------------------------

# Asks as `sudo -S -p PROMPT -u USER -- PROGRAM` does, up to two times.
SUDO = """#!/bin/bash
[ "$1" = -S ] || exit 1
prompt=${3//%%/%}; shift 6
for try in 1 2; do
  printf '%s' "$prompt" >&2
  IFS= read -r answer; echo "$answer" >>"$LOG"
  [ "$answer" = "$PASSWORD" ] && exec "$@"
done
exit 1
"""
HOSTS = ("h1", "h2", "h3", "h4")


class Fleet:
    """SSH servers in this process, each with a sudo that asks for a password of its own."""

    def __init__(self, folder, words):
        self.folder, self._servers = folder, contextlib.ExitStack()
        (folder / "bin").mkdir()
        (folder / "bin/sudo").write_text(SUDO)
        (folder / "bin/sudo").chmod(0o755)
        key = folder / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
        (folder / "config").write_text(
            f"IdentitiesOnly yes\nIdentityAgent none\nIdentityFile {key}\n"
        )
        (folder / "hosts.yaml").write_text(
            "hosts:\n" + "".join(map(self._host, words, words.values()))
        )

    def _host(self, name, word):
        env = {"PATH": f"{self.folder}/bin:{os.environ['PATH']}", "PASSWORD": word}
        env["LOG"] = str(self.folder / f"{name}.got")
        server = Listener(serve(Runs(env)))
        self._servers.callback(server.close)
        return (
            f"  {name}: {{address: 127.0.0.1, port: {server.port}, user: me, sudo: ask,\n"
            f"    ssh_config: {self.folder}/config,"
            f" host_keys: ['{HOST_KEY.get_name()} {HOST_KEY.get_base64()}']}}\n"
        )

    def got(self, name):
        """The lines that a host's sudo has read; not the end of its input."""
        path = self.folder / f"{name}.got"
        return path.read_text().split() if path.exists() else []

    def close(self):
        self._servers.close()


@pytest.fixture
def fleet(tmp_path):
    """Start hosts: `fleet(h1="password", ...)`."""
    made = []

    def start(**words):
        made.append(Fleet(tmp_path, words))
        return made[-1]

    yield start
    for each in made:
        each.close()


@pytest.fixture
def inv(tmp_path):
    """Type `inv` in a terminal."""
    opened = []
    env = {key: value for key, value in os.environ.items() if key != PASSWORD_FILE}

    def start(*argv, **over):
        words = ["--inventory", str(tmp_path / "hosts.yaml"), *argv]
        program = str(Path(sys.executable).with_name("inv"))
        opened.append(
            pexpect.spawn(
                program, words, cwd=str(ROOT), env=env | over, encoding="utf-8", timeout=60
            )
        )
        return opened[-1]

    yield start
    for child in opened:
        child.close(force=True)


def ended(child):
    """The rest of the output and the exit code."""
    child.expect(pexpect.EOF)
    child.close()
    return child.before, child.exitstatus


RUN = ("run", "--", "echo", "good")
SHARE = r"accepted it\.\s+Use it on ([^?]*) as\s+well\? \[y/N\] "


def test_each_host_is_asked_for_by_name_unless_the_person_agrees(fleet, inv):
    hosts = fleet(h1="one", h2="two", h3="three")
    child = inv("-H", "all", "--yes", *RUN)
    for number in range(3):
        child.expect(r"sudo password for (h\d): ")
        name = child.match[1]
        child.sendline({"h1": "one", "h2": "two", "h3": "three"}[name])
        if not number:
            child.expect(SHARE)
            assert name not in child.match[1]
            child.sendline("")
    shown, code = ended(child)
    assert (code, shown.count("good")) == (0, 3)
    assert [hosts.got(name) for name in ("h1", "h2", "h3")] == [["one"], ["two"], ["three"]]


@pytest.mark.parametrize("answer", ["y", "yes"])
def test_a_person_who_agrees_types_it_once(fleet, inv, answer):
    hosts = fleet(**dict.fromkeys(HOSTS, "same"))
    child = inv("-H", "all", *RUN)
    child.expect("sudo password for h")
    child.sendline("same")
    child.expect(SHARE)
    assert child.match[1].count("h") == 3
    child.sendline(answer)
    shown, code = ended(child)
    assert (code, shown.count("good")) == (0, 4)
    assert "password" not in shown
    assert [hosts.got(name) for name in HOSTS] == [["same"]] * 4


def test_twenty_hosts_are_two_questions(fleet, inv):
    names = [f"h{number}" for number in range(20)]
    hosts = fleet(**dict.fromkeys(names, "same"))
    child = inv("-H", "all", *RUN)
    child.expect("sudo password for h")
    child.sendline("same")
    child.expect(SHARE)
    assert "and 9 more" in child.match[1]
    child.sendline("y")
    shown, code = ended(child)
    assert (code, shown.count("good")) == (0, 20)
    assert [hosts.got(name) for name in names] == [["same"]] * 20


def test_a_wrong_password_is_not_offered_to_another_host(fleet, inv):
    hosts = fleet(h1="right", h2="right")
    child = inv("-H", "all", *RUN)
    child.expect(r"sudo password for (h\d): ")
    first = child.match[1]
    child.sendline("wrong")
    child.expect(r"sudo password for (h\d): ")
    second = child.match[1]
    child.sendline("right")
    shown, code = ended(child)
    assert "did not accept the password" in shown
    assert "Use it on" not in shown
    assert code == 2
    assert (hosts.got(first), hosts.got(second)) == (["wrong"], ["right"])


def test_a_shared_password_that_is_wrong_elsewhere_is_that_hosts_error(fleet, inv):
    hosts = fleet(h1="a", h2="a", h3="b")
    child = inv("-H", "h1,h3", *RUN)
    child.expect(r"sudo password for (h\d): ")
    child.sendline({"h1": "a", "h3": "b"}[child.match[1]])
    child.expect(SHARE)
    other = child.match[1]
    child.sendline("y")
    shown, code = ended(child)
    assert (code, shown.count("good")) == (2, 1)
    assert f"sudo did not accept the password ({other})" in shown
    assert len(hosts.got(other)) == 1


def test_what_was_typed_before_a_question_is_no_answer(fleet, inv):
    """A person who types ahead, or who pastes two lines, agrees to nothing."""
    hosts = fleet(h1="one", h2="one")
    child = inv("-H", "all", *RUN)
    child.send("early\n")
    child.expect(r"sudo password for (h\d): ")
    first = child.match[1]
    child.send("one\ny\n")
    child.expect(SHARE)
    time.sleep(1)
    other = child.match[1]
    assert hosts.got(other) == []
    child.sendline("n")
    child.expect(f"sudo password for {other}: ")
    child.sendeof()
    shown, code = ended(child)
    assert code == 2
    assert "sudo asks for a password" in shown
    assert (hosts.got(first), hosts.got(other)) == (["one"], [])


@pytest.mark.parametrize("where", ["password", "share"])
def test_ctrl_c_at_each_question_ends_the_run(fleet, inv, where):
    hosts = fleet(h1="one", h2="one")
    child = inv("-H", "all", *RUN)
    child.expect("sudo password for h")
    if where == "share":
        child.sendline("one")
        child.expect(SHARE)
    child.sendintr()
    shown, code = ended(child)
    assert code == 130
    assert "Fatal" not in shown
    assert "Traceback" not in shown
    assert sorted([hosts.got("h1"), hosts.got("h2")])[0] == []


def test_a_password_for_the_whole_run_is_offered_to_every_host(fleet, inv, tmp_path):
    hosts = fleet(h1="same", h2="same", h3="other")
    (tmp_path / "word").write_text("same\n")
    (tmp_path / "word").chmod(0o600)
    shown, code = ended(inv("-H", "all", *RUN, **{PASSWORD_FILE: str(tmp_path / "word")}))
    assert (code, shown.count("good")) == (2, 2)
    assert "sudo password" not in shown
    assert [hosts.got(name)[0] for name in ("h1", "h2", "h3")] == ["same"] * 3


def test_the_password_of_invokes_own_question_is_for_the_whole_run(fleet, inv):
    hosts = fleet(h1="same", h2="same")
    child = inv("--prompt-for-sudo-password", "-H", "all", *RUN)
    child.expect("sudo.password.*: ")
    child.sendline("same")
    shown, code = ended(child)
    assert (code, shown.count("good")) == (0, 2)
    assert [hosts.got("h1"), hosts.got("h2")] == [["same"]] * 2


@pytest.mark.parametrize("more", [(), ("--prompt-for-sudo-password",)])
def test_a_typed_password_that_is_no_text_is_given_to_no_host(fleet, inv, more):
    hosts = fleet(h1="one")
    child = inv(*more, "-H", "all", *RUN)
    child.expect("password.*: ")
    os.write(child.child_fd, b"opens\xe4same\n")
    shown, code = ended(child)
    assert (code, hosts.got("h1")) == (2, [])
    assert "not valid text" in shown
    assert not re.search("opens|same|Traceback", shown)


def test_a_later_task_on_the_line_asks_nothing_again(fleet, inv):
    hosts = fleet(h1="one")
    child = inv("-H", "all", "status", "hosts")
    child.expect("sudo password for h1: ")
    child.sendline("one")
    shown, _ = ended(child)
    assert "sudo password" not in shown
    assert set(hosts.got("h1")) == {"one"}
