"""The sudo password: one line of text, from any source."""

import os

import pytest

from opstasks.cli.password import PASSWORD_FILE, PasswordBox
from opstasks.core.command import Secret
from opstasks.core.errors import Refused


def write_private(path, content):
    path.write_bytes(content)
    path.chmod(0o600)


@pytest.mark.parametrize(
    ("content", "word"), [(b"a b\n", "a b"), (b"x\r\n", "x"), ("pä".encode(), "pä")]
)
def test_a_password_file_holds_one_line(monkeypatch, tmp_path, content, word):
    write_private(tmp_path / "password", content)
    monkeypatch.setenv(PASSWORD_FILE, str(tmp_path / "password"))
    assert PasswordBox(None).get().value == word


@pytest.mark.parametrize("content", [b"", b"\n", b"one\ntwo", b"one\n\n", b"a\0b", b"\xff"])
def test_a_password_file_with_anything_else_is_refused(monkeypatch, tmp_path, content):
    write_private(tmp_path / "password", content)
    monkeypatch.setenv(PASSWORD_FILE, str(tmp_path / "password"))
    with pytest.raises(Refused, match=PASSWORD_FILE):
        PasswordBox(None).get()


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o602, 0o601])
def test_a_password_file_that_others_may_open_is_refused(monkeypatch, tmp_path, mode):
    path = tmp_path / "password"
    write_private(path, b"opensesame\n")
    path.chmod(mode)
    monkeypatch.setenv(PASSWORD_FILE, str(path))
    with pytest.raises(Refused, match=PASSWORD_FILE) as caught:
        PasswordBox(None).get()
    assert caught.value.hint == f"chmod 600 {path}"
    assert "opensesame" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_password_file_of_someone_else_is_refused(monkeypatch, tmp_path):
    path = tmp_path / "password"
    write_private(path, b"opensesame\n")
    os.chown(path, 1234, -1)
    monkeypatch.setenv(PASSWORD_FILE, str(path))
    with pytest.raises(Refused, match="belongs to someone else"):
        PasswordBox(None).get()


def test_a_password_may_come_from_a_pipe(monkeypatch):
    reader, writer = os.pipe()
    os.write(writer, b"opensesame\n")
    os.close(writer)
    monkeypatch.setenv(PASSWORD_FILE, f"/dev/fd/{reader}")
    assert PasswordBox(None).get().value == "opensesame"
    os.close(reader)


def test_a_password_that_was_given_is_used_without_asking(monkeypatch):
    monkeypatch.setenv(PASSWORD_FILE, "/absent")
    assert PasswordBox(Secret("x")).get().value == "x"


def test_without_a_file_and_a_terminal_there_is_no_password(monkeypatch):
    monkeypatch.delenv(PASSWORD_FILE, raising=False)
    assert PasswordBox(None).get() is None


def test_a_password_file_that_cannot_be_read_is_refused(monkeypatch):
    monkeypatch.setenv(PASSWORD_FILE, "/absent")
    with pytest.raises(Refused, match="cannot read"):
        PasswordBox(None).get()
