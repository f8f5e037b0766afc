"""YAML with plain values, where duplicate keys are errors."""

import pytest
import yaml

from opstasks.fleet.strict_yaml import parse_yaml


def test_plain_values_are_read():
    assert parse_yaml("a: {b: [1, yes, 'x']}") == {"a": {"b": [1, True, "x"]}}


@pytest.mark.parametrize("text", ["a: 1\na: 2", "x: {a: 1, 'a': 2}", "- {b: 1, b: 1}"])
def test_a_duplicate_key_is_an_error_with_its_place(text):
    with pytest.raises(yaml.YAMLError, match=r"duplicate key '[ab]'[^$]*line 1, column"):
        parse_yaml(text)


@pytest.mark.parametrize("text", ["!!python/object/apply:os.system [true]", "!mine x"])
def test_tags_that_make_objects_are_errors(text):
    with pytest.raises(yaml.YAMLError):
        parse_yaml(text)
