"""-H @failed and -H @FILE."""

import io
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.core.errors import Refused
from opstasks.fleet.host_patterns import expand
from opstasks.fleet.inventory import HostSpec, Inventory

HOSTS = ("tpp", "emis", "test")
FLEET = Inventory(
    {name: HostSpec(name=name, address=name) for name in HOSTS}, {"prod": ("tpp", "emis")}
)


def chosen(*patterns, failed=()):
    return [spec.name for spec in FLEET.choose(expand(patterns, lambda: list(failed)))]


@pytest.fixture
def hosts_file(tmp_path, monkeypatch):
    """Write a file of hosts into the working directory."""
    monkeypatch.chdir(tmp_path)
    return lambda text, name="list": (tmp_path / name).write_bytes(text.encode())


@pytest.mark.parametrize(
    ("patterns", "failed", "names"),
    [
        (["@failed"], ["test", "tpp"], ["tpp", "test"]),
        (["@failed,!test"], ["test", "tpp"], ["tpp"]),
        (["@failed", "emis"], ["test"], ["emis", "test"]),
        (["!@failed"], ["test"], ["tpp", "emis"]),
        (["prod,!@failed"], ["tpp"], ["emis"]),
        (["@failed"], ["root@10.0.0.1:22", "root@[::1]:22"], ["root@10.0.0.1:22", "root@[::1]:22"]),
    ],
)
def test_the_hosts_that_failed(patterns, failed, names):
    assert chosen(*patterns, failed=failed) == names


def test_the_record_is_only_read_for_failed():
    def never():
        raise AssertionError

    assert [item.text for item in expand(["tpp, emis"], never)] == ["tpp", "emis"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("tpp\nemis\n", ["tpp", "emis"]),
        ("# all of them\n\n  prod # two\n", ["tpp", "emis"]),
        ("tpp emis,test\r\n", ["tpp", "emis", "test"]),
        ("t*\n!test\n", ["tpp"]),
        ("root@10.0.0.1:22", ["root@10.0.0.1:22"]),
    ],
)
def test_a_file_has_names_and_patterns(hosts_file, text, names):
    hosts_file(text)
    assert chosen("@list") == names


def test_a_file_is_one_pattern_among_others(hosts_file):
    hosts_file("tpp\ntest\n")
    assert chosen("@list,emis,!test") == ["tpp", "emis"]
    assert chosen("all,!@list") == ["emis"]
    assert chosen("@./list") == ["tpp", "test"]


def test_failed_wins_over_a_file_of_that_name(hosts_file):
    hosts_file("emis", name="failed")
    assert chosen("@failed", failed=["tpp"]) == ["tpp"]
    assert chosen("@./failed") == ["emis"]


def test_names_from_standard_input(monkeypatch):
    data = SimpleNamespace(buffer=io.BytesIO(b"tpp\n"))
    monkeypatch.setattr("sys.stdin", data)
    assert chosen("@-") == ["tpp"]


@pytest.mark.parametrize(
    ("text", "pattern", "said"),
    [
        ("tpp\nemiss\n", "@list", "list, line 2: no host or group is called 'emiss'; did you mean"),
        ("tpp\nx@y@z\n", "@list", "list, line 2: 'x@y@z' is not user@host"),
        (
            "tpp\n@other\n",
            "@list",
            "list, line 2: '@other' is not a host (next: a file of hosts cannot",
        ),
        ("tpp\n!test\n", "!@list", "list, line 2: '!test' has a !, and the file has one too"),
        ("!\n", "@list", "list, line 1: a name is empty"),
        ("# none\n", "@list", "'list' names no host"),
        ("", "@none", "cannot read 'none': no such file"),
        ("", "@.", "cannot read '.': is a directory"),
        ("", "@", "a file name is missing after @"),
        ("x" * (2 << 20), "@list", "'list' is longer than 1 MiB"),
        ("!tpp,!emis,!test", "@list", "selects no host"),
    ],
)
def test_a_mistake_names_the_file_and_the_line(hosts_file, text, pattern, said):
    hosts_file(text)
    with pytest.raises(Refused) as caught:
        chosen(pattern)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.binary(max_size=200))
def test_any_file_is_read_or_refused(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(data)
    try:
        assert set(chosen(f"@{path}")) <= set(HOSTS) or data
    except Refused as error:
        assert "\n" not in str(error)
