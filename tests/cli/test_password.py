"""The sudo password: one line of text, from any source."""

import pytest

from opstasks.cli.password import PASSWORD_FILE, PasswordBox
from opstasks.core.command import Secret
from opstasks.core.errors import Refused


@pytest.mark.parametrize(
    ("content", "word"), [(b"a b\n", "a b"), (b"x\r\n", "x"), ("pä".encode(), "pä")]
)
def test_a_password_file_holds_one_line(monkeypatch, tmp_path, content, word):
    (tmp_path / "password").write_bytes(content)
    monkeypatch.setenv(PASSWORD_FILE, str(tmp_path / "password"))
    assert PasswordBox(None).get().value == word


@pytest.mark.parametrize("content", [b"", b"\n", b"one\ntwo", b"one\n\n", b"a\0b", b"\xff"])
def test_a_password_file_with_anything_else_is_refused(monkeypatch, tmp_path, content):
    (tmp_path / "password").write_bytes(content)
    monkeypatch.setenv(PASSWORD_FILE, str(tmp_path / "password"))
    with pytest.raises(Refused, match=PASSWORD_FILE):
        PasswordBox(None).get()


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
