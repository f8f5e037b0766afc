"""What is masked: every form of a secret, and nothing else."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.onhost import masking
from opstasks.onhost.masking import MASK, masked, masked_env, masked_words

S = "opensesame7"
NAMES = (
    "password",
    "DB_PASSWORD",
    "PGPASSWORD",
    "api-key",
    "token",
    "JOB_SERVER_TOKEN",
    "client_secret",
    "DEFAULT_DATABASE_URL",
    "private-key",
    "Authorization",
    "Cookie",
    "X-Auth-Token",
    "STATA_LICENSE",
    "OTEL_EXPORTER_OTLP_HEADERS",
)
# A value with a secret name, in every form in which people and programs write it.
FORMS = (
    "{name}={S}",
    "export {name}={S}",
    "{name} = {S}",
    "{name}='{S} {S}'",
    '{name}="{S} {S}" next',
    "{name}=a'{S}'b",
    "{name}: {S}",
    "{name}: |\n  {S}\n  {S}\n",
    "{name}:\n  {S}\n",
    '{name}="first\n{S}\n{S}" next',
    "{name}='first\n{S}'",
    "{name}=first\\\n{S}\\\n{S}",
    "sh -c \"{name}='a'{S}\"",
    "{name}=a\u2028{S}",
    "{name}=a\x85{S}\r{S}",
    '{{"{name}": "{S}", "other": 1}}',
    '{{"{name}" : "a\\"{S}"}}',
    "{{'{name}': '{S}'}}",
    "--{name} {S}",
    "--{name}={S}",
    "--{name} '{S} {S}' --next",
    "raise ValueError('--{name} {S}')",
    "['run', '--{name}', '{S}']",
    "raise ValueError('--{name}={S}')",
    "run --other x --{name}  {S}",
    "# {name}={S}",
    "-    {name}: {S}",
    "{name} => {S}",
)
OTHERS = (
    f"Bearer {S}",
    f"curl -H 'authorization: Bearer {S}' x",
    f"the header is bearer  {S}",
    f"Basic {S}=",
    f"postgres://user:{S}@host/db",
    f"see https://{S}@host/path, then",
    f"mssql://user:p/{S}@host",
    f"mssql://user:p@{S}@host",
    f"mssql://user:?{S}#@host:1433/db",
    f"a://b/c://d:{S}@e",
    f"sshpass -p {S} ssh x",
    f"sshpass -p{S} ssh x",
    f"/usr/bin/mysql -u me -p{S}",
    f"docker login -u me -p {S}",
    f"curl -u me:{S} x",
    f"curl --user me:{S} x",
    f"-----BEGIN PRIVATE KEY-----\n{S}\n{S}\n-----END PRIVATE KEY-----",
    f"x -----BEGIN OPENSSH PRIVATE KEY-----\n{S}",
)
PLAIN = (
    "KeyError: 'crash'",
    "mkdir -p /srv/x; ssh -p 22 host; docker run -p 80:80 x; ps -p $$",
    "https://github.com/opensafely-core/job-runner@main",
    "http://host:8000/a@b",
    "git clone git@github.com:org/repo",
    "basic set of rules, bearer",
    "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----",
    "a password is required",
    "",
    "\n\n",
    " indented\n  more\n",
    "fatal: couldn't find remote ref 0123456789abcdef0123456789abcdef01234567",
)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", NAMES)
def test_a_value_with_a_secret_name_is_masked_in_every_form(name, form):
    assert S not in masked("before\n" + form.format(name=name, S=S) + "\n")


@pytest.mark.parametrize("text", OTHERS)
def test_a_secret_without_a_name_is_masked(text):
    assert S not in masked(text)


@pytest.mark.parametrize("text", PLAIN)
def test_a_text_without_secrets_stays_as_it_is(text):
    assert masked(text) == text


@given(st.text(max_size=200))
def test_lines_keep_their_number(text):
    assert masked(text).count("\n") == text.count("\n")
    assert masked(masked(text)).count(MASK) >= masked(text).count(MASK)


def test_the_lines_after_a_secret_are_shown():
    text = f'A="{S}\n{S}"\nTOKEN="{S}\n{S}"\nB=1\nTOKEN: |\n  {S}\nC: 2\nSECRET=x\\\n{S}\nD=3'
    shown = masked(text).split("\n")
    assert [line for line in shown if line in ("B=1", "C: 2", "D=3")] == ["B=1", "C: 2", "D=3"]


def test_a_diff_masks_what_looks_like_a_token_and_errors_do_not():
    token = "ghp0123456789abcdefghij"
    for text in (token, f"x={token}", f"say '{token}'", f"{token}=="):
        assert token not in masked(text, tokens=True)
        assert token in masked(text)
    assert masked(f"/path/{token}", tokens=True) == f"/path/{token}"


@pytest.mark.parametrize(
    "words",
    [
        ["psql", "--password", S],
        ["psql", f"--password={S}"],
        ["mysql", f"-p{S}"],
        ["sshpass", "-p", S, "ssh", "x"],
        ["curl", "-H", f"Authorization: Bearer {S}"],
        ["curl", "-u", f"me:{S}"],
        ["env", f"PGPASSWORD={S}", "psql"],
        ["bash", "-c", f"PGPASSWORD={S} psql; mysql -p{S}"],
        ["curl", f"https://me:{S}@host"],
        ["curl", "-d", json.dumps({"token": S})],
    ],
)
def test_the_words_of_a_command_are_masked(words):
    shown = masked_words(words)
    assert S not in " ".join(shown)
    assert len(shown) == len(words)
    assert shown[0] == words[0]


def test_a_key_is_secret_by_its_name_its_value_or_its_file():
    assert masking.is_secret("JOB_SERVER_TOKEN")
    assert masking.is_secret("ARGUMENTS", [f"--password {S}"])
    assert masking.is_secret("X", [f"mssql://u:{S}@h"])
    assert masking.is_secret("X", [], ["X"])
    assert not masking.is_secret("HIGH_PRIVACY_STORAGE_BASE", ["/srv/high_privacy", ""])


@pytest.mark.parametrize(
    ("value", "instead"),
    [
        ("", ""),
        (S, "masked"),
        ("12345", "0"),
        ("/home/x/tls.key", "/dev/null"),
        (f"mssql://u:{S}@h/db?x={S}", "mssql://masked:masked@masked/masked"),
        (f"mssql://u:{S}@h:1433/db", "mssql://masked:masked@masked:1/masked"),
        (f"https://{S}@h", "https://masked:masked@masked/masked"),
        (f"https://u:1{S}@h", "https://masked:masked@masked/masked"),
        (f"x-team={S},x-set=a", "masked=masked"),
        (f'{{"token": "{S}"}}', "{}"),
        (f'["{S}"]', "[]"),
    ],
)
def test_a_placeholder_is_of_the_same_kind_and_tells_nothing(value, instead):
    assert masking.placeholder(value) == instead


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("# don't set HASH='x for now\nA=4\n", "# don't set HASH=***\nA=4\n"),
        ("# PASSWORD=it's\n; b\nA=4\n", "# PASSWORD=***\n***\nA=4\n"),
        ("PASSWORD='a\n# b\nc'\nA=4\n", "PASSWORD=***\n***\n***\nA=4\n"),
        (
            "# -----BEGIN PRIVATE KEY-----\n# abc\n# -----END PRIVATE KEY-----\nA=4\n",
            "# ***\n***\n***\nA=4\n",
        ),
    ],
)
def test_what_opens_in_a_comment_of_an_env_file_ends_with_the_next_assignment(text, shown):
    assert masked_env(text) == shown


KEY = f"-----BEGIN RSA PRIVATE KEY-----\nMIIE{S}==\n{S}=\n-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize("lead", ["#", "# ", "; ", "# old: ", "# don't: "])
@pytest.mark.parametrize(
    "secret",
    [
        KEY,
        f'SSH_KEY="{KEY}"',
        f"SSH_KEY='{KEY}'",
        f"TOKEN='abc\n{S}'",
        f'TOKEN="abc\n\n{S}=="',
        f"TOKEN=abc\\\n{S}",
        f"TOKEN=abc\\\nx\\\n{S}",
        f"TOKEN=$(cat <<E\nA={S}\nE\n)",
        f"password: |\n  {S}\n  {S}",
    ],
)
def test_a_secret_in_a_comment_of_an_env_file_is_masked_to_its_end(lead, secret):
    shown = masked_env(f"A=1\n{lead}{secret}\nB=2\n# seen\nC=3\n")
    assert S not in shown
    assert shown.startswith("A=1\n")
    assert shown.endswith("B=2\n# seen\nC=3\n")


@given(
    st.text("ab'\"`(){}[]\\<$ #=:", max_size=20), st.sampled_from(["A=4", "export A=4", "A='4 5'"])
)
def test_no_sentence_in_a_comment_of_an_env_file_hides_what_follows(sentence, line):
    assert masked_env(f"# it's {sentence}\n{line}\n").split("\n")[1] == line


# So many that the limit of `masked_options` is reached.
SPENT = "--a $( " * 12 + "filler word " * 100
LONG = "x" * 300


@pytest.mark.parametrize(
    "text",
    [
        SPENT + f"--password 'a b {S}' --x",
        SPENT + f'--password="a b {S}" --x',
        SPENT + f"mysql -p'a b {S}'",
        SPENT + f"curl -u 'me:a {S}' --x {S}",
        SPENT + f"['run', '--password', 'a {S}', '--x']",
        SPENT + f"--password 'a\n{S}\n{S}' --x",
        SPENT + f"--token a --password 'b\n{S}' --x",
        SPENT + f"--token a --password b --token \\\n  {S}",
        SPENT + f"--password <<E\n{S}\nE\n",
        f'<password a="{LONG}">{S}</password>',
        f'<password a="{LONG}">\n{S}\n</password>',
        f"<x><{LONG}:password>{S}</{LONG}:password></x>",
        f"<{LONG}:password>\n{S}\n</{LONG}:password>",
        f"mysql{LONG} -p{S}",
        f"'password': '{LONG * 4}''{S}'",
        f"['password', {LONG * 4}, 'password': '\\''{S}'",
    ],
)
def test_a_secret_is_masked_also_behind_each_limit_of_the_work(text):
    assert S not in masked(f"{text}\n")
