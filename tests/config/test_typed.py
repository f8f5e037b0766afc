"""config: the keys and values that an operator types."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from opstasks.config import typed
from opstasks.config.keys import secret_keys
from opstasks.config.templates import templates
from opstasks.core.errors import Refused
from opstasks.fleet.inventory import HostSpec

SECRETS = secret_keys(templates(HostSpec(name="h", backend="test")))
HOSTILE = (
    *("", " ", "-", "--", "=", "a b", "a;b", "$(id)", "`id`", "A\n", "A\nB", "A\0", "1A", "é"),
    *("A-B", "A.B", "../x", "A=", "%s", "A'", 'A"', "A\\", "A\x1b[31m", "export A", "A" * 200),
)


@pytest.mark.parametrize("key", [*HOSTILE, "PATH", "IFS", "BASH_ENV", "LD_PRELOAD", "PYTHONPATH"])
def test_an_invalid_key_is_refused(key):
    with pytest.raises(Refused):
        typed.valid_key(key)


@pytest.mark.parametrize("key", HOSTILE)
def test_a_key_that_no_file_can_have_is_not_asked_for(key):
    with pytest.raises(Refused):
        typed.plain_key(key)


@pytest.mark.parametrize("key", ["PATH", "BASH_ENV", "LD_PRELOAD", "PYTHONPATH", "GCONV_PATH", "A"])
def test_what_may_not_be_set_can_be_shown_and_removed(key):
    assert typed.plain_key(key) == key


@settings(deadline=None)
@given(st.text(max_size=20))
@example("A\n")
def test_a_valid_key_is_a_plain_name(text):
    try:
        typed.valid_key(text)
    except Refused:
        return
    assert text.isascii()
    assert text.isidentifier()


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "\0", "\x1b", "\x9b", "\ud800", "x" * 9000])
def test_an_invalid_value_is_refused_without_being_shown(value):
    with pytest.raises(Refused) as caught:
        typed.valid_value("KEY", value)
    assert value not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["JOB_SERVER_TOKEN=abc", "X_PASSWORD=1", "ANY=mssql://u:p@h/d", "STATA_LICENSE=abc"],
)
def test_a_secret_on_the_command_line_is_refused(text):
    with pytest.raises(Refused) as caught:
        typed.assignment(text, SECRETS)
    assert "abc" not in str(caught.value)


def test_an_assignment_is_a_key_and_a_value():
    assert typed.assignment("MAX_WORKERS=3", SECRETS) == ("MAX_WORKERS", "3")
    assert typed.assignment("JOB_SERVER_TOKEN=-", SECRETS) == ("JOB_SERVER_TOKEN", typed.ASK)
    assert typed.assignment("JOB_SERVER_TOKEN=", SECRETS) == ("JOB_SERVER_TOKEN", "")
    with pytest.raises(Refused):
        typed.assignment("MAX_WORKERS", SECRETS)


@pytest.mark.parametrize(
    ("before", "word", "message"),
    [
        ("KEY=", "value", "KEY= is followed by a blank"),
        ("KEY=YWJjZA==", "OTHER", "'OTHER' has no equals sign"),
        ("KEY=x", "OTHER", "'OTHER' has no equals sign"),
        ("", "OTHER", "'OTHER' has no equals sign"),
    ],
)
def test_the_word_that_is_wrong_is_named(before, word, message):
    with pytest.raises(Refused, match=message):
        typed.assignment(word, SECRETS, before)
