"""known_hosts is read as OpenSSH reads it: compared with `ssh-keygen -F` where possible."""

import base64
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.fleet import known_hosts
from opstasks.fleet.host_keys import preferred_kinds


def key(kind="ssh-ed25519", secret=b"x" * 32):
    raw = len(kind).to_bytes(4) + kind.encode() + len(secret).to_bytes(4) + secret
    return f"{kind} {base64.b64encode(raw).decode()}"


ONE, TWO, RSA = key(), key(secret=b"y" * 32), key("ssh-rsa", b"z" * 64)


def known(place, text):
    return known_hosts.known(place, [known_hosts.KnownHostsFile(text)])


def kinds(keys):
    return sorted(kind for kind, _ in keys.accepted)


@pytest.mark.parametrize(
    ("patterns", "place", "found"),
    [
        ("a.example", "a.example", True),
        ("A.Example", "a.example", True),
        ("b,a.example,c", "a.example", True),
        ("*.example", "a.example", True),
        ("?.example", "a.example", True),
        ("*.example,!a.example", "a.example", False),
        ("!a.example,*.example", "b.example", True),
        ("[a.example]:2222", "[a.example]:2222", True),
        ("a.example", "[a.example]:2222", False),
        ("[a.example]:2222", "a.example", False),
        ("[ab].example", "a.example", False),
        ("|1|nonsense", "a.example", False),
        ("|1|AAAA|AAAA", "a.example", False),
    ],
)
def test_a_line_matches_its_hosts(patterns, place, found):
    assert known_hosts.matches(patterns, place) == found


def test_hashed_names_are_those_that_ssh_keygen_makes(tmp_path):
    path = tmp_path / "known_hosts"
    path.write_text(f"a.example {ONE}\n[a.example]:2222 {TWO}\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(path)], check=True)
    text = path.read_text()
    assert "a.example" not in text
    assert known("a.example", text).accepted == known_hosts.pinned([ONE]).accepted
    other = known("[a.example]:2222", text)
    assert other.accepted == known_hosts.pinned([TWO]).accepted


def test_several_keys_of_one_type_are_all_accepted():
    text = f"a {ONE}\na {TWO}\n"
    assert len(known("a", text).accepted) == 2
    assert len(known_hosts.pinned([ONE, TWO]).accepted) == 2


def test_a_line_that_cannot_be_read_does_not_hide_the_others():
    text = f"\n# x\na ssh-ed25519 AAA\na ssh-rsa {ONE.split()[1]}\n@odd a {ONE}\na\na {RSA} me\n"
    assert kinds(known("a", text)) == ["ssh-rsa"]


def test_revoked_keys_and_authorities_are_not_accepted():
    text = f"@revoked * {ONE}\n@cert-authority * {TWO}\na {RSA}\n"
    keys = known("a", text)
    assert kinds(keys) == ["ssh-rsa"]
    assert [kind for kind, _ in keys.revoked] == ["ssh-ed25519"]


def test_algorithms_of_known_keys_come_first():
    algorithms = ["ssh-ed25519", "rsa-sha2-512", "rsa-sha2-256"]
    assert preferred_kinds(set(), algorithms) == algorithms
    kinds_of_pin = known_hosts.pinned([RSA]).kinds
    assert preferred_kinds(kinds_of_pin, algorithms) == [*algorithms[1:], "ssh-ed25519"]


def test_a_pin_that_is_not_a_key_is_an_error():
    with pytest.raises(ValueError, match="not a host key"):
        known_hosts.pinned(["ssh-ed25519 AAAA"])


@given(st.text())
def test_any_text_is_read_without_an_error(text):
    known("a.example", text)
