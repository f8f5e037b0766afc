"""Public keys: nothing else is accepted, from any source."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.manage import keys, keysource
from tests.key_source import serving
from tests.manage.manage_help import key


def test_keys_are_parsed_without_comments_and_repetition():
    found = keys.parse(f"# mine\n\n{key(1)} laptop\n{key(2)}\n{key(1)} again\n")
    assert [f"{k.kind} {k.blob}" for k in found] == [key(1), key(2)]


@pytest.mark.parametrize(
    "line",
    [
        "<html>",
        "Not Found",
        "ssh-ed25519",
        "ssh-ed25519 AAAA",
        key().replace("ssh-ed25519 ", "ssh-rsa "),
        key()[:-8],
        f'command="/bin/sh" {key()}',
        f"ssh-dss {key().split()[1]}",
    ],
)
def test_anything_but_a_key_is_refused_with_its_line(line):
    with pytest.raises(keys.NotAKey, match="line 2"):
        keys.parse(f"{key()}\n{line}\n")


@pytest.mark.parametrize("sign", ["\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"])
def test_a_key_in_a_comment_is_no_key(sign):
    found = keys.parse(f"# left in May:{sign}{key(1)}\r\n{key(2)}\n")
    assert [f"{k.kind} {k.blob}" for k in found] == [key(2)]


@pytest.mark.parametrize("kind", ["OPENSSH ", "RSA ", "EC ", ""])
def test_a_private_key_is_refused_by_that_name(kind):
    with pytest.raises(keys.NotAKey, match=r"PRIVATE key.*\.pub"):
        keys.parse(f"-----BEGIN {kind}PRIVATE KEY-----\nb3BlbnNzaC1r\n")


@given(st.text(max_size=200))
def test_parsed_keys_are_the_same_after_rendering(text):
    try:
        found = keys.parse(text)
    except keys.NotAKey:
        return
    assert keys.parse(keys.render("ada", found)) == found


@given(st.lists(st.integers(0, 255), max_size=5))
def test_rendered_keys_parse_to_themselves(seeds):
    found = keys.parse("\n".join(key(seed) for seed in seeds))
    assert keys.parse(keys.render("ada", found)) == found


# -- over https ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    with serving(folder) as (address, pem), pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(pem))
        patch.setenv("no_proxy", "localhost")
        yield address + "/{name}.keys"


@pytest.mark.parametrize("name", ["good", "chunked"])
def test_a_source_that_answers_with_keys_gives_them(source, name):
    assert keysource.fetch(source, [name])[name] == keys.parse(f"{key(1)}\n{key(2)}\n")


def test_an_endless_answer_ends_with_a_timeout(source, monkeypatch):
    monkeypatch.setattr(keysource, "FETCH_TIMEOUT_S", 0.3)
    assert "too slow" in keysource.fetch(source, ["drip"])["drip"]


@pytest.mark.parametrize("name", ["cut", "endless", "chunk", "lastchunk", "noise"])
def test_an_incomplete_answer_gives_no_keys(source, name):
    assert isinstance(keysource.fetch(source, [name])[name], str)


@pytest.mark.parametrize("name", ["page", "empty", "missing", "long", "away"])
def test_any_other_answer_gives_a_reason_and_no_keys(source, name):
    assert isinstance(keysource.fetch(source, [name])[name], str)


def test_an_untrusted_certificate_gives_no_keys(source, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    assert "certificate" in str(keysource.fetch(source, ["good"])["good"]).lower()
