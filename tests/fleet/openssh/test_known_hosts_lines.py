"""Our reader of known_hosts finds the keys that `ssh-keygen -F` finds, in any file."""

import base64
import hashlib
import re
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opstasks.fleet import known_hosts
from tests.fleet.openssh.servers import hashed_name

PLACES = ("a.example", "b", "10.0.0.1", "[a.example]:2222", "[10.0.0.1]:2222")


def text_of(kind, *parts):
    raw = b"".join(len(part).to_bytes(4) + part for part in (kind.encode(), *parts))
    return f"{kind} {base64.b64encode(raw).decode()}"


# Valid keys: any 32 bytes are an ed25519 key.
ONE, TWO = (text_of("ssh-ed25519", letter * 32) for letter in (b"x", b"y"))
RSA = text_of("ssh-rsa", b"\x01\x00\x01", b"\x00" + b"\xc3" * 256)
KEYS = (
    ONE,
    TWO,
    RSA,
    ONE.replace(" ", "\t"),
    ONE.replace(" ", "  "),
    ONE[:-4],
    ONE[:-1],
    f"{ONE[:40]}!{ONE[40:]}",
    f"ssh-rsa {ONE.split()[1]}",
    f"ssh-ed25519 {RSA.split()[1]}",
    "ssh-ed25519",
    "ssh-ed25519 ",
    f"odd {ONE.split()[1]}",
    f"2048 {ONE}",
    "",
)
MARKERS = ("", "@revoked", "@cert-authority", "@odd", "@", "@revoked @revoked", "@REVOKED")
PATTERNS = (
    *PLACES,
    *(f"!{place}" for place in PLACES),
    "A.EXAMPLE",
    "*",
    "?.example",
    "*.example",
    "!*",
    "[*]:2222",
    "[a.example]:*",
    "[a*",
    "[ab].example",
    "a.example:2222",
    "\\a.example",
    "",
    "!",
)
# A tab after a marker makes OpenSSH ignore a line, even a revoking one; we do not.
MARKER_GAPS = (" ", "  ", " \t")
GAPS = (" ", "\t", "  ", " \t", "\t ")
ENDS = ("", " ", " someone@somewhere", "\r", " #x", "\t", " \x0c", " \x0b", " \x85 \u2028")
# Not a line with only a name that matches: for that, ssh-keygen shows the key of the line before.
OTHER_LINES = ("", "   ", "#a.example " + ONE, " # x", "other", "x" * 9000, "\r", "@revoked")
HASHED = (
    *(hashed_name(*re.findall(r"[\w.]{2,}|b", place)) for place in PLACES),
    "|1|AAAA|AAAA",
    "|1|nonsense",
    "|1||",
    "|2|x|y",
    hashed_name("a.example") + ",b",
    "b," + hashed_name("a.example"),
)

names = st.one_of(
    st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=3).map(",".join),
    st.sampled_from(HASHED),
)
gaps = st.sampled_from(GAPS)
key_lines = st.builds(
    lambda lead, marker, gap, name, second, key, end: (
        f"{lead}{marker}{gap if marker else ''}{name}{second}{key}{end}"
    ),
    st.sampled_from(("", "", "", " ", "\t")),
    st.one_of(st.just(""), st.sampled_from(MARKERS)),
    st.sampled_from(MARKER_GAPS),
    names,
    gaps,
    st.one_of(st.just(ONE), st.sampled_from(KEYS)),
    st.sampled_from(ENDS),
)
files = st.lists(st.one_of(key_lines, key_lines, st.sampled_from(OTHER_LINES)), max_size=6)

_FOUND = re.compile(r"^# Host \S+ found: line \d+ ?(\w*) *\n\S+ \S+ (SHA256:\S+)", re.M)


def theirs(path, place):
    """The fingerprints that ssh-keygen finds: those that are accepted, and those revoked."""
    done = subprocess.run(
        ["ssh-keygen", "-l", "-F", place, "-f", str(path)],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    found = _FOUND.findall(done.stdout)
    assert done.stdout.count("# Host") == len(found), done.stdout
    return tuple({key for marker, key in found if marker == wanted} for wanted in ("", "REVOKED"))


def fingerprint(key):
    digest = hashlib.sha256(key[1]).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def ours(text, place):
    keys = known_hosts.known(place, [known_hosts.KnownHostsFile(text)])
    return {fingerprint(key) for key in keys.accepted}, {fingerprint(key) for key in keys.revoked}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("known") / "known_hosts"


@settings(max_examples=300)
@given(
    lines=files,
    end=st.sampled_from(("\n", "\r\n")),
    last=st.booleans(),
    place=st.sampled_from(PLACES),
)
def test_the_keys_of_a_file_are_those_that_ssh_keygen_finds(path, lines, end, last, place):
    text = end.join(lines) + (end if last else "")
    path.write_bytes(text.encode())
    assert ours(text, place) == theirs(path, place), text


@pytest.mark.parametrize("place", PLACES)
def test_names_that_ssh_keygen_hides_are_found(path, place):
    path.write_text("".join(f"{one} {ONE}\n" for one in PLACES) + f"@revoked {place} {TWO}\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(path)], check=True, capture_output=True)
    text = path.read_text()
    found = ours(text, place)
    assert found == theirs(path, place)
    assert found[0], "nothing was found, so it proves nothing"
