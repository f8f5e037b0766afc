"""Odd values in every key of a description: each is refused with its line and key."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opstasks.core.errors import Refused
from opstasks.manage.layers import read_layer
from opstasks.manage.model import SECTIONS, BackendOptions
from tests.fleet.odd_values import (
    NEVER_GOOD,
    WRONG,
    YAML_ERRORS,
    every_field,
    is_refused_for_all,
    kind_of,
)
from tests.manage.manage_help import spec, write_backends

# The types decide: a new section or key is tried without a change here.
FIELDS = [
    (section, *path, kind, default)
    for section, (entry, _) in SECTIONS.items()
    for path, kind, default in every_field(entry)
]
OPTIONS = [(*path, kind, default) for path, kind, default in every_field(BackendOptions)]
NAMES = [f"{section}.{name}" for section, name, *_ in FIELDS]


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    folder = tmp_path_factory.mktemp("backends")

    def _read(text):
        write_backends(folder, own=text)
        return read_layer(folder / "mine", spec())

    return _read


def check_refused(read, text, key, value):
    """Check that the value in the last line is refused with its line, its key and a reason."""
    with pytest.raises(Refused) as caught:
        read(text)
    error = caught.value
    place = f"backends/mine/host.yaml:{text.count(chr(10))}: "
    assert place in error.message, (value, error.message)
    assert key in error.message or " mine: " not in error.message, (value, error.message)
    assert error.message.isprintable()
    assert len(error.message) < 500


def entry(section, name, value):
    """An entry with one odd value in its last line."""
    key = SECTIONS[section][1]
    first = f"{section}:\n- " if name == key else f"{section}:\n- {key}: /x\n  "
    return f"{first}{name}: {value}\n"


@pytest.mark.parametrize(("section", "name", "kind", "default"), FIELDS, ids=NAMES)
def test_a_value_that_a_key_cannot_have_is_refused(read, section, name, kind, default):
    empty = [] if default == "" else ["''"]
    for value in (*NEVER_GOOD, *YAML_ERRORS, *WRONG[kind_of(kind)], *empty):
        check_refused(read, entry(section, name, value), name, value)
    if default == "":
        assert read(entry(section, name, "''"))[section][0][name] == ""


@pytest.mark.parametrize(("name", "kind", "default"), OPTIONS, ids=[name for name, *_ in OPTIONS])
def test_an_option_with_an_odd_value_is_refused(read, name, kind, default):
    empty = [] if default == "" else ["''"]
    for value in (*NEVER_GOOD, *YAML_ERRORS, *WRONG[kind_of(kind)], *empty):
        check_refused(read, f"options:\n  {name}: {value}\n", f"options.{name}", value)


@pytest.mark.parametrize("section", [*SECTIONS, "options", "people"])
def test_a_section_with_an_odd_value_is_refused(read, section):
    for value in (*NEVER_GOOD, *WRONG[tuple if section in SECTIONS else dict]):
        if is_refused_for_all(dict, value) or section == "options":
            check_refused(read, f"{section}: {value}\n", section, value)


def test_people_are_lists_of_names(read):
    for value in (*NEVER_GOOD, *YAML_ERRORS, *WRONG[tuple]):
        check_refused(read, f"people:\n  developers: {value}\n", "people.developers", value)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([*SECTIONS, "options", "people"]), VALUES)
def test_any_section_is_read_or_refused(read, section, value):
    try:
        read({section: value})
    except Refused as error:
        assert "backends/mine/host.yaml" in error.message
        assert "\n" not in error.message
