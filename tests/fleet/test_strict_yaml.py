"""YAML with plain values, where everything surprising is an error."""

import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from opstasks.fleet.strict_yaml import MOST_BYTES, line_numbers, parse_yaml, yaml_problem


def test_plain_values_are_read():
    text = "a: {b: [1, true, 'x', -2, 0, 1.5, 0.25]}\nc: 'a*b & c'\nd: ~"
    assert parse_yaml(text) == {
        "a": {"b": [1, True, "x", -2, 0, 1.5, 0.25]},
        "c": "a*b & c",
        "d": None,
    }


def refused(text):
    """The error of a text in one line: its place, and the reason."""
    with pytest.raises(yaml.YAMLError) as caught:
        parse_yaml(text)
    return yaml_problem("f", caught.value)


@pytest.mark.parametrize(
    ("text", "line"), [("a: 1\na: 2", 2), ("x: {a: 1, 'a': 2}", 1), ("- {a: 1,\n\n a: 1}", 3)]
)
def test_a_duplicate_key_is_an_error_with_its_line(text, line):
    assert refused(text) == f"f:{line}: duplicate key 'a'"


TAGS = [
    *("!!python/object/apply:os.system [true]", "!mine x", "! x", "!!bool x", "!!bool true"),
    *("!!timestamp x", "!!int '22:22'", "!!float '0x1'", "!!int x", "!!null ''", "!!str 1"),
    *("!!binary x", "!!set {x}", "!!omap []", "!!pairs []", "!!map {}", "!!seq []", "!<x> y"),
]


@pytest.mark.parametrize("written", TAGS)
def test_every_tag_is_an_error_with_its_line(written):
    text = "tags (!) are not supported; quote it if it is a text"
    assert refused(f"a: 1\nb: {written}") == f"f:2: {text}"


@pytest.mark.parametrize(
    "written", ["yes", "no", "on", "off", "Yes", "NO", "On", "OFF", "True", "FALSE"]
)
def test_only_true_and_false_are_truth_values(written):
    expected = f"f:2: '{written}' is not `true` or `false`; quote it if it is a text"
    assert refused(f"a: 1\nb: {written}") == expected
    assert parse_yaml(f"'b': '{written}'") == {"b": written}


@pytest.mark.parametrize("written", ["2026-01-01", "2026-99-99", "2026-01-01 10:00:00", "=", "<<"])
def test_other_special_values_are_errors_with_their_line(written):
    assert refused(f"a: 1\nb: {written}").startswith(f"f:2: '{written}' is not a plain value")


@pytest.mark.parametrize("key", ["1", "no", "~", "1.5", "2026-01-01", "=", "[a]", "{a: 1}"])
def test_a_key_is_a_text(key):
    said = refused(f"a: 1\n? {key}\n: 2")
    assert "f:2: " in said
    assert "is not a text: quote it" in said or "a list or a mapping cannot be a key" in said


@pytest.mark.parametrize("sign", ["\0", "\x07", "\x1b", "\x7f", "\x9b", "\uffff", "\ud800"])
def test_a_control_character_is_an_error_with_its_line(sign):
    expected = f"f: line 2 has the control character U+{ord(sign):04X}"
    assert refused(f"a: 1\nb: x{sign}") == expected


@given(st.text(max_size=40))
def test_every_error_of_a_text_is_one_line_with_a_reason(text):
    try:
        parse_yaml(f"a: {text}")
    except yaml.YAMLError as error:
        said = yaml_problem("f", error)
        assert "\n" not in said
        assert re.match(r"f:\d+: .|f: line \d+ has ", said), said


def test_the_line_of_each_value_is_known():
    text = "a:\n  b: 1\n  c:\n    - x\n    - {d: 1,\n       e: 2}\n"
    assert line_numbers(text) == {
        **{("a",): 1, ("a", "b"): 2, ("a", "c"): 3, ("a", "c", 0): 4, ("a", "c", 1): 5},
        **{("a", "c", 1, "d"): 5, ("a", "c", 1, "e"): 6},
    }
    assert line_numbers("# nothing") == {}


ODD_NUMBERS = [
    "0022",
    "022",
    "0o22",
    "0x16",
    "0b1",
    "22:22",
    "1:30.5",
    "1_0",
    "1_0.5",
    "007",
    "09.5",
    ".inf",
    "-.INF",
    ".nan",
    "1.",
    "1.5e+3",
    "9" * 19,
    "9" * 5000,
    f"{'9' * 400}.0",
    f"0.{'1' * 400}",
    f"-{'9' * 19}",
]


@pytest.mark.parametrize("written", ODD_NUMBERS)
def test_a_number_that_is_not_plain_decimal_is_a_text_or_an_error(written):
    try:
        found = parse_yaml(f"port: {written}")["port"]
    except yaml.YAMLError as error:
        said = yaml_problem("f", error)
        assert said.startswith("f:1: ")
        assert "is not a plain decimal number of at most 18 digits; quote it" in said
        assert len(said) < 200
    else:
        assert found == written


@pytest.mark.parametrize("written", ["0022", "22:22", "1_0", "0x16", ".inf"])
def test_yaml_itself_reads_these_numbers_otherwise(written):
    assert not isinstance(yaml.safe_load(written), str)
    with pytest.raises(yaml.YAMLError, match="plain decimal"):
        parse_yaml(written)


@given(st.integers(-(10**12), 10**12) | st.decimals(-1000, 1000, places=2))
def test_plain_numbers_keep_their_value(number):
    assert parse_yaml(f"a: {number}") == {"a": type(0.0 if "." in str(number) else 0)(number)}


LAUGHS = "a0: &a0 [x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)


@pytest.mark.parametrize(
    "text", [LAUGHS, "a: &a [*a]", "a: &a 1\nb: *a", "a: &a 1", "a: &a {p: 1}\nb: {<<: *a}"]
)
def test_anchors_and_aliases_are_refused_by_name(text):
    with pytest.raises(yaml.YAMLError, match="anchors and aliases"):
        parse_yaml(text)


def test_merge_keys_are_refused_by_name():
    with pytest.raises(yaml.YAMLError, match=r"merge keys \(<<\) are not supported[^$]*line 1"):
        parse_yaml("b: {<<: {port: 1}, user: x}")


DEEP = 200_000


@pytest.mark.parametrize(
    "text",
    ["[" * DEEP, "{a: " * DEEP, "- " * DEEP, "? " * DEEP, "[" * 200 + "]" * 200],
    ids=["lists", "mappings", "items", "keys", "closed"],
)
def test_deep_nesting_is_an_error(text):
    with pytest.raises(yaml.YAMLError, match="more than 100 levels"):
        parse_yaml(text)


def test_deep_nesting_by_lines_is_an_error():
    text = "".join(f"{' ' * level}a:\n" for level in range(200))
    with pytest.raises(yaml.YAMLError, match="more than 100 levels"):
        parse_yaml(text)


def test_a_long_text_is_an_error():
    with pytest.raises(yaml.YAMLError, match="longer than 4 MiB"):
        parse_yaml("a" * (MOST_BYTES + 1))


@pytest.mark.parametrize(
    "text", ["a:\n\tb: 1", "a\0: 1", "a: 1\n---\nb: 2", "? [a]\n: 1", "a: \x07"]
)
def test_texts_that_are_not_one_plain_document_are_errors(text):
    with pytest.raises(yaml.YAMLError):
        parse_yaml(text)


@pytest.mark.parametrize("sign", ["\r", "\x85", "\u2028", "\u2029", "\u202e", "\u2066", "\u200b"])
def test_a_sign_that_hides_what_follows_is_an_error_with_its_line(sign):
    """For YAML, some of these end a comment: what follows looks like one, and is a setting."""
    with pytest.raises(yaml.YAMLError, match=f"line 2 has the invisible sign U.{ord(sign):04X}"):
        parse_yaml(f"a: 1\nb: 2  # old:{sign}c: 3\n")


def test_line_ends_of_windows_are_read():
    assert parse_yaml("a: 1  # x\r\nb: 2\r\n") == {"a": 1, "b": 2}


def test_a_byte_order_mark_changes_nothing():
    assert parse_yaml("\ufeffa: 1") == {"a": 1}


@given(st.text(alphabet="ab: -?[]{}*&!<>|%@`'\"\\#,\n\t\0\ufeff09._", max_size=60))
def test_any_text_is_read_or_is_an_error(text):
    try:
        parse_yaml(text)
    except (yaml.YAMLError, ValueError):
        return
