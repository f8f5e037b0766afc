"""Odd values in every key of hosts.yaml, at every level: each is refused with its line and key."""

import json
import re

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opstasks.core.errors import Refused
from opstasks.fleet import host_settings, hosts_file
from opstasks.fleet.inventory import EXAMPLE, HostSpec
from tests.fleet.odd_values import (
    NEVER_GOOD,
    WRONG,
    YAML_ERRORS,
    block,
    every_field,
    is_refused_for_all,
    kind_of,
)

# The type decides: a new key is tried without a change here.
FIELDS = {
    path: (kind, default)
    for path, kind, default in every_field(HostSpec)
    if path[0] in hosts_file.HOST_KEYS
}
LEVELS = [("defaults",), ("groups", "g"), ("hosts", "h")]
# The parts of the file itself.
SECTIONS = {
    ("include",): tuple[str, ...],
    ("defaults",): HostSpec,
    ("groups",): dict[str, HostSpec],
    ("groups", "g"): HostSpec,
    ("groups", "g", "hosts"): tuple[str, ...],
    ("groups", "g", "children"): tuple[str, ...],
    ("hosts",): dict[str, HostSpec],
    ("hosts", "h"): HostSpec,
}


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fleet")

    def _load(text, included="defaults: {}"):
        (folder / "hosts.yaml").write_text(text)
        (folder / "more.yaml").write_text(included)
        return host_settings.load(folder / "hosts.yaml")

    return _load


def check_refused(load, path, value, *, included=False):
    """Check that a value is refused with the file, the line, the key and a reason."""
    text = block(path, value)
    line = len(path)
    with pytest.raises(Refused) as caught:
        if included:
            load("include: [more.yaml]\n", text)
        else:
            load(text)
    error = caught.value
    assert error.hint == f"see {EXAMPLE}"
    file = "more.yaml" if included else "hosts.yaml"
    assert f"{file}:{line}: " in error.message, (value, error.message)
    for said in (error.message, *error.tail.split("\n")):
        # An error of YAML itself has no key.
        assert ".".join(path) in said or f"/{file}:{line}: " in said or not said, (value, said)
        assert said.isprintable()
        assert len(said) < 500


@pytest.mark.parametrize("path", FIELDS, ids=".".join)
def test_a_value_that_no_key_has_is_refused_at_every_level(load, path):
    for value in NEVER_GOOD:
        if is_refused_for_all(FIELDS[path][0], value):
            for level in LEVELS:
                check_refused(load, (*level, *path), value)
            check_refused(load, ("hosts", "h", *path), value, included=True)
    for value in YAML_ERRORS:
        check_refused(load, ("hosts", "h", *path), value)


@pytest.mark.parametrize("path", FIELDS, ids=".".join)
def test_a_value_of_another_type_or_range_is_refused(load, path):
    for value in WRONG[kind_of(FIELDS[path][0])]:
        for level in LEVELS:
            check_refused(load, (*level, *path), value)


def test_a_variable_is_a_text_a_number_or_a_truth_value(load):
    for value in (*NEVER_GOOD, *YAML_ERRORS, "1.5", "[]", "{}", "[x]", "'a b'", "'$x'"):
        check_refused(load, ("hosts", "h", "vars", "name"), value)
    for value, read in (("''", ""), ("x", "x"), ("0", 0), ("true", True), ("false", False)):
        assert load(block(("hosts", "h", "vars", "name"), value)).hosts["h"].vars == {"name": read}


def value_at(spec, path):
    for part in path:
        spec = getattr(spec, part)
    return spec


@pytest.mark.parametrize("path", FIELDS, ids=".".join)
def test_an_empty_text_is_a_value_only_where_it_is_the_default(load, path):
    # The default of a repository's address is that of `deploy`.
    if value_at(HostSpec(name="h"), path) == "":
        host = load(block(("hosts", "h", *path), "''")).hosts["h"]
        assert value_at(host, path) == ("h" if path == ("address",) else "")
    else:
        check_refused(load, ("hosts", "h", *path), "''")


@pytest.mark.parametrize("path", SECTIONS, ids=".".join)
def test_a_section_with_an_odd_value_is_refused(load, path):
    kind = SECTIONS[path]
    for value in (*NEVER_GOOD, *YAML_ERRORS, *WRONG[kind_of(kind)]):
        if value != "[1]" or kind_of(kind) is not tuple:
            check_section(load, path, value)


def check_section(load, path, value):
    with pytest.raises(Refused) as caught:
        load(block(path, value))
    assert f"hosts.yaml:{len(path)}: " in caught.value.message, (value, caught.value.message)


NESTED = [path for path, (kind, _) in FIELDS.items() if kind_of(kind) is msgspec.Struct]


@pytest.mark.parametrize("path", [(), *NESTED], ids=".".join)
def test_an_unknown_inner_key_is_refused_with_its_line(load, path):
    known = next(name for *above, name in FIELDS if tuple(above) == path)
    for name in ("nonsense", f"{known}x", "name", "local"):
        with pytest.raises(Refused, match=rf"hosts\.yaml:\d+: .*\.{name}: unknown key; "):
            load(block(("hosts", "h", *path, name), "x"))


def test_each_mistake_is_reported_once_where_it_is_written(load):
    text = "defaults:\n  port: x\ngroups:\n  g:\n    hosts: [a, b]\n    unit: ''\nhosts:\n  a: {}\n"
    with pytest.raises(Refused) as caught:
        load(text + "  b:\n    vars: {x y: 1, z: 1.5}\n")
    error = caught.value
    assert error.message.endswith(
        "has 4 mistakes: hosts.yaml:2: defaults.port: 'x': Expected `int`, got `str`"
    )
    assert error.tail.split("\n") == [
        "hosts.yaml:6: groups.g.unit: is empty: write a value, or remove it",
        "hosts.yaml:10: hosts.b.vars.z: 1.5: Expected `bool | int | str`, got `float`",
        "hosts.yaml:10: hosts.b.vars.x y: 'x y' is not a name of letters, digits and _",
    ]


def test_a_mistake_in_the_names_of_others_has_its_line(load):
    text = "groups:\n  g:\n    hosts:\n    - a\n    - b\n    gateway: nobody\nhosts:\n  a: {}\n"
    with pytest.raises(Refused) as caught:
        load(text)
    found = (caught.value.message.partition(": ")[2], *caught.value.tail.split("\n"))
    assert found == (
        "hosts.yaml:5: groups.g.hosts[1]: 'b' is not defined",
        "hosts.yaml:6: groups.g.gateway: 'nobody' is not a host or user@host[:port]",
    )


def test_a_name_that_two_files_define_is_refused(load):
    for section in ("groups", "hosts"):
        with pytest.raises(
            Refused, match=rf"more\.yaml:2: {section}\.x: hosts\.yaml:3 has this name"
        ):
            load(f"include: [more.yaml]\n{section}:\n  x: {{}}\n", f"{section}:\n  x: {{}}\n")


def test_an_odd_key_stays_in_one_line(load):
    for key in ("a\nb", "a\x1b[31m", "a" * 900):
        with pytest.raises(Refused, match=r"hosts\.yaml:1: hosts\.h\..*: unknown key; ") as caught:
            load(json.dumps({"hosts": {"h": {key: 1}}}))
        assert caught.value.message.isprintable()
        assert len(caught.value.message) < 1000


def test_a_part_of_deploy_keeps_the_other_parts(load):
    deploy = load("hosts: {h: {deploy: {code: {ref: v1}}}}").hosts["h"].deploy
    assert (deploy.code.ref, deploy.lib.ref) == ("v1", "main")
    assert deploy.code.url == "https://github.com/opensafely-core/job-runner"


@pytest.mark.parametrize("name", ["~nobody-here/x", "x" * 5000, "a\\0b"], ids=lambda name: name[:9])
def test_a_path_that_cannot_exist_is_a_missing_file_or_refused(load, name, monkeypatch):
    try:
        assert load(f'include: ["{name}"]').hosts == {}
    except Refused as error:
        assert re.search(r"hosts\.yaml:1: include\[0\]: '(xxx|a\\x00b)", error.message)
    monkeypatch.setenv("XDG_CONFIG_HOME", "~nobody-here")
    with pytest.raises(Refused, match="which is not a file"):
        hosts_file.find_inventory(name.replace("\\0", "\0"))


def test_groups_may_nest_a_thousand_levels(load):
    groups = {f"g{n}": {"children": [f"g{n + 1}"]} for n in range(1100)} | {
        "g1100": {"hosts": ["h"]}
    }
    known = load(json.dumps({"groups": groups, "hosts": {"h": {}}}))
    assert known.groups["g0"] == ("h",)
    groups["g1100"] = {"children": ["g0"]}
    with pytest.raises(Refused, match="'g0' is not free of cycles"):
        load(json.dumps({"groups": groups}))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([("include",), *LEVELS]),
    st.sampled_from([(), *FIELDS]),
    VALUES,
)
def test_any_value_is_read_or_refused_with_its_file(load, level, path, value):
    for part in reversed((*level, *path)):
        value = {part: value}
    try:
        load(json.dumps(value))
    except Refused as error:
        assert "/hosts.yaml" in error.message
        assert "\n" not in error.message


def test_a_gateway_to_itself_is_refused_where_it_is_written(load):
    with pytest.raises(Refused, match=r"yaml:1: defaults\.gateway: 'h' cannot be reached through "):
        load("defaults: {gateway: h}\nhosts: {h: {}}\n")
    known = load("defaults: {gateway: h}\nhosts: {h: {gateway: ''}, b: {}}\n")
    assert [spec.gateway for spec in known.hosts.values()] == ["", "h"]
