"""A secret in every form in which programs write a value: it is gone, and the rest is there.

The usual programs make the forms: `json`, `repr`, `shlex`, `yaml`.
"""

import json
import shlex
from xml.sax.saxutils import escape

import pytest
import yaml
from hypothesis import assume, example, given
from hypothesis import strategies as st

from opstasks.core.result import Result
from opstasks.onhost.masking import MASK, masked, masked_words

S = "opensesame7"
NAMES = st.sampled_from(
    [
        *("password", "DB_PASSWORD", "token", "client_secret", "api-key", "auth", "BASIC_AUTH"),
        *("jwt", "GITHUB_PAT", "WEBHOOK", "Cookie", "STATA_LICENSE", "headers", "smtpAuth", "sig"),
    ]
)
# What may break the reading of a value.
NOISE = st.lists(
    st.sampled_from([*"'\"`\\ #&|>:=,{}[]()<$%@-x1", "''", '\\"', "\\'", "it's", "</", "a b"]),
    max_size=4,
).map("".join)
LINES = st.lists(NOISE, max_size=3).map("\n".join)
SECRET = st.builds(lambda before, after: f"{before}{S}{after}", NOISE, NOISE)
SECRET_LINES = st.builds(lambda before, after: f"{before}{S}{after}", LINES, LINES)
VALUES = st.recursive(
    SECRET_LINES,
    lambda inner: (
        st.lists(st.one_of(inner, LINES), min_size=1, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b c", "it's"]), inner, min_size=1, max_size=2)
    ),
    max_leaves=4,
)
INDENTS = st.sampled_from([None, 0, 1, 4])
DOUBTFUL = ("'''", "\\'", '\\"', "\\`", "$(", "${", "<(")
BEFORE, AFTER = "first: seen1", "LAST=seen2"


def hidden(text):
    """What is shown of a text between two other lines; both must be shown."""
    shown = masked(f"{BEFORE}\n{text}\n{AFTER}")
    assert S not in shown, text
    lines = shown.split("\n")
    assert lines[0] == BEFORE, (text, shown)
    assert lines[-1] == AFTER or "<<" in text, (text, shown)  # perhaps a here-document
    return shown


@given(NAMES, VALUES, INDENTS, st.integers(0, 2))
def test_a_value_in_json_is_masked_to_its_end(name, value, indent, depth):
    text = json.dumps({"x": 1, name: value, "y": "seen3"}, indent=indent)
    for _ in range(depth):  # a text in a text
        text = json.dumps({"message": text, "z": 2})
    assert "seen3" in hidden(text)


@given(NAMES, VALUES)
def test_a_value_in_a_repr_is_masked_to_its_end(name, value):
    assert "seen3" in hidden(repr({"x": 1, name: value, "y": "seen3"}))
    hidden(repr((name, value)))
    hidden(json.dumps([name, str(value)], indent=1))
    # Whether this is Python or a shell is not known: more may be hidden.
    assert S not in masked(f"f({name}={value!r}, y=1)")


@given(NAMES, SECRET_LINES, st.sampled_from(["", "export ", "  ", "X=1 ", "# "]))
def test_a_value_of_a_shell_is_masked_to_its_end(name, value, lead):
    double = "".join(f"\\{c}" if c in '"\\$`' else c for c in value)
    ansi = value.replace("\\", "\\\\").replace("'", "\\'")
    for quoted in (shlex.quote(value), f'"{double}"', f"$'{ansi}'", f"x{shlex.quote(value)}"):
        hidden(f"{lead}{name}={quoted}")
        hidden(f'{lead}TOKEN="a\nb" {name}={quoted}')
        # Whether an apostrophe in brackets is one of a shell is not known: more may be hidden.
        assert S not in masked(f"{lead}{name}=({quoted}\n{quoted})")


@given(NAMES, VALUES, st.sampled_from([None, "'", '"', "|", ">"]), st.sampled_from([20, 80]))
def test_a_value_in_yaml_is_masked_to_its_end(name, value, style, width):
    text = yaml.safe_dump(
        {"x": 1, name: value, "y": "seen3"}, default_style=style, width=width, sort_keys=False
    )
    shown = masked(f"{text}\n{AFTER}")
    assert S not in shown, text
    # Perhaps a long string of Python, a quote in a quoted text, or a shell's: more may be hidden.
    is_clear = not any(sign in text for sign in DOUBTFUL)
    assert not is_clear or shown.endswith(AFTER), shown


@given(st.sampled_from(["--password", "--token", "--auth", "--api-key"]), SECRET_LINES, INDENTS)
def test_an_argument_with_a_secret_is_masked_to_its_end(option, value, indent):
    assume(not value.startswith("--"))  # the next option
    for words in (
        ["run", option, value, "seen3"],
        ["run", f"{option}={value}", "seen3"],
        ["mysql", f"-p{value}", "seen3"],
        ["sshpass", "-p", value, "seen3"],
        ["docker", "login", f"-p={value}", "seen3"],
        ["curl", f"--user=me:{value}", "seen3"],
        ["curl", f"-ume:{value}", "seen3"],
    ):
        shown = masked_words(words)
        assert S not in " ".join(shown)
        assert shown[-1] == "seen3"
        hidden(json.dumps(words, indent=indent))
        hidden(repr(words))
        # Whether an apostrophe is one of a shell is not known: more may be hidden.
        for shell in (" ", " \\\n  "):
            assert S not in masked(shell.join(shlex.quote(word) for word in words))


@given(NAMES, SECRET_LINES)
def test_a_value_in_xml_is_masked_to_its_end(name, value):
    hidden(f"<x><{name}>{escape(value)}</{name}></x>")
    hidden(f'<{name} kind="a">\n  {escape(value)}\n</{name}>')


@given(st.lists(st.sampled_from([S, f"x{S}", "a", "'", '"', "AbC+/="]), min_size=1, max_size=5))
def test_a_private_key_is_masked_to_its_end(lines):
    body = "\n".join(lines)
    for kind, dashes in (("RSA PRIVATE KEY", "-----"), ("PGP PRIVATE KEY BLOCK", "-----")):
        hidden(f"{dashes}BEGIN {kind}{dashes}\n{body}\n{dashes}END {kind}{dashes}")
        hidden(f'TLS_KEY="{dashes}BEGIN {kind}{dashes}\n{body}\n{dashes}END {kind}{dashes}"')
    kind = "SSH2 ENCRYPTED PRIVATE KEY"
    hidden(f"---- BEGIN {kind} ----\n{body}\n---- END {kind} ----")
    hidden(f"Public-Lines: 1\nabc\nPrivate-Lines: {len(lines)}\n{body}\nPrivate-MAC: {S}")


@pytest.mark.parametrize(
    "text",
    [
        f"TOKEN=$(cat <<E\nit's\n)\n{S}\nE\n)",
        f'"secret: "a\n  {S}"',
        f"'password': 'x\\'', {S}'",
        f"KEY={{\n  {S}\n}}",
        f"SECRET=(a\n{S}\nc)",
        f"password: # why\n  {S}",
        f"password: !!str\n  {S}",
        f"password: &a\n  {S}",
        f"password: >2\n  {S}",
        f"tokens:\n- {S}\n- {S}",
        f"args:\n- --password\n- {S}",
        f"Authorization: Basic\n {S}",
        f'password = """\nab"c\n{S}\n"""',
        f"docker login --password-stdin <<< {S}",
        f"docker login --password-stdin <<E\n{S}\nE",
        f"ALTER USER x PASSWORD '{S}'",
        f"CREATE LOGIN x WITH PASSWORD = N'{S}'",
        f"CREATE USER x IDENTIFIED BY '{S}'",
        f"SET PASSWORD FOR x = PASSWORD('{S}')",
        f"machine h login y password {S}",
        f"machine h\n  login y\n  password {S}",
        f"x?PASSWORD%3D{S}",
        f"%22password%22%3A%22{S}%22",
        f"password&quot;:&quot;{S}&quot;",
        f"$config['password'] = '{S}';",
        f"https://x/y?sig={S}",
        f"//user:{S}@host",
        f"see user:{S}@host/x",
        f"mssql://user:{S}",
        f"sqlcmd -S h -U sa -P {S}",
        f"curl --user=me:{S}",
        f"docker login -p {S}",
    ],
)
def test_other_forms_of_a_value_are_masked_to_their_end(text):
    hidden(text)


@pytest.mark.parametrize(
    "words",
    [
        ["sshpass", "-p", "12345"],
        ["sshpass", "-p", ".pw."],
        ["sshpass", "-p", "-x"],
        ["docker", "login", "-p", "12345"],
        ["curl", "-u", "1:2345"],
        ["curl", "-H", "Authorization:", "x"],
    ],
)
def test_a_number_or_a_path_is_a_password_where_only_one_is_expected(words):
    assert masked_words([*words, "x"])[-2].endswith(MASK)
    assert words[-1] not in masked(" ".join([*words, "x"])).split(" ")


def test_the_end_of_a_traceback_is_shown_whatever_was_open_before():
    lines = ["Traceback (most recent call last):", "    headers = {'x': '", "ValueError: it failed"]
    assert masked("\n".join(lines)).split("\n")[-1] == lines[-1]


@pytest.mark.parametrize(
    "text",
    [
        "docker run -p 80:80 -p 127.0.0.1:8080:80/tcp --user 1000:1000 --user=1000:1000 x",
        "docker run -u1000:1000 -u 1000:1000 -p 8000-8010:8000-8010 x",
        "sshpass -p *** ssh -p 22 host",
        "mysql -p -u root",
        "ssh -p '22' host",
        "Author: Ada <ada@example.org>",
        "fatal: Authentication failed for 'https://github.com/org/x'",
        "ghcr.io/org/x:v1@sha256:0123abc",
        "usage: login <user> <password> [option]\n  next",
        "PATH=/usr/bin",
        "error: unit user@1000.service: failed",
        "rsync: host:/srv/a@b",
        "http://[::1]:80/x http://localhost:8000",
        "the key 'abc' is not there",
        "sudo did not accept the password",
        "signal: 9, path: /x, pattern: y, author: z",
    ],
)
def test_words_that_people_need_stay(text):
    assert masked(text) == text


@example("0?")
@example("1#")
@given(st.text(st.characters(exclude_characters="/@ \n\t", exclude_categories=["Z", "C"])))
def test_a_password_in_an_address_is_masked_also_without_its_scheme(noise):
    for address in (f"//user:{noise}{S}@host", f"user:{noise}{S}@host/x", f"a://u:{noise}{S}@h"):
        assert S not in masked(f"cannot connect to {address} now")


def test_the_last_lines_of_an_error_are_cut_after_the_masking():
    key = "\n".join(["-----BEGIN PRIVATE KEY-----", *[S] * 20, "-----END PRIVATE KEY-----"])
    tail = Result("x", 1, "", f"{key}\n{BEFORE}\n").tail()
    assert S not in tail
    assert tail.endswith(BEFORE)
