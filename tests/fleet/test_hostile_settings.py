"""Hostile text in every key of hosts.yaml: refused with the key, or used literally everywhere."""

import json
import shlex
import subprocess
import typing

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.core.command import cmd
from opstasks.core.errors import Refused
from opstasks.fleet import host_settings, hosts_file
from opstasks.fleet import setting_shapes as shapes
from opstasks.fleet.inventory import HostSpec, parse_ad_hoc

# Characters with a special meaning in a shell, env file, unit file, sudoers or placeholder.
SPECIAL = frozenset("%$`~*?[]{}|&;<>()!#\"'\\ \t\r\n\0")
HOSTILE = [
    *(";touch y", "$(touch y)", "`touch y`", "|sh", "&", ">y", "<y", "(y)", "\ntouch y", "\r\ny"),
    *("'", '"', "\\", " y", "\ty", "#y", "!y", "*", "?", "[a]", "{a,b}", "~", "$HOME", "%h", "%%"),
    *("/..", "/../etc", "/.", "//", "/", "..", "-", "-oProxyCommand=touch y", "\0", "\x07", "\x7f"),
    *("\x1b[31m", "\x85", "\u2028", "\u202e", "é", "ALL", ", ALL", "@home@", "@{1}", ".lock", "=y"),
    *(":y", "@y", ",y", "+y"),
]
# A valid value of each key, to which hostile text is added.
VALID = {
    "address": "192.0.2.1",
    "hostname": "tpp-vm",
    "user": "alice",
    "identity_file": "~/.ssh/id_ed25519",
    "ssh_config": "~/.ssh/config",
    "gateway": "jump@level3.example:22",
    "host_keys": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINxiwIpOoWGGhWj6F5dmhXigDbBM599H5fLxFarLgdj3",
    "host_key_checking": "strict",
    "sudo": "ask",
    "keep_connection": "10m",
    "backend": "tpp",
    "backends": "/srv/descriptions",
    "service_user": "opensafely",
    "unit": "jobrunner",
    "registry": "ghcr.io/opensafely-core",
    "registry_proxy": "proxy.example:5000/x",
    "level4_folder": "D:\\Level4Files\\workspaces",
    "tools_run_args": "--privileged",
    "vars": "4",
    "vars.NAME": "cpu_count",
    "deploy.code.url": "https://github.com/opensafely-core/job-runner",
    "deploy.code.ref": "main",
    "deploy.lib.url": "git@github.com:opensafely-core/lib",
    "deploy.lib.ref": "v1.0",
}
PATHS = ("home", "high_privacy", "medium_privacy", "level3_source", "lock_dir")
NUMBERS = ("port", "connect_timeout_s", "deploy.watch_s", "deploy.keep_snapshots")
FLAGS = ("privacy.contents_in_pipes",)
# These are never written into a text on a host.
HERE_ONLY = {*shapes.LINES, *shapes.LOCAL_PATHS, "host_keys", "tools_run_args", "address"}


def keys_of(kind, path=""):
    """Every key of a settings type, with the keys inside of it."""
    for field in msgspec.structs.fields(kind):
        name = f"{path}{field.name}"
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            yield from keys_of(field.type, f"{name}.")
        else:
            yield name
            if typing.get_origin(field.type) is dict:
                yield f"{name}.NAME"


KEYS = [key for key in keys_of(HostSpec) if key.partition(".")[0] in hosts_file.HOST_KEYS]


def settings(key, text):
    """A host's settings with a text at a key."""
    if key == "vars.NAME":
        return {"vars": {text: 1}}
    if key == "vars":
        return {"vars": {"a": text}}
    value = [text] if key in ("host_keys", "tools_run_args") else text
    for part in reversed(key.split(".")):
        value = {part: value}
    return value


@pytest.fixture
def load(tmp_path):
    def _load(value):
        path = tmp_path / "hosts.yaml"
        path.write_text(json.dumps({"hosts": {"h": value}}))  # JSON is YAML
        return host_settings.load(path).hosts["h"]

    return _load


def found_at(spec, key):
    if key.startswith("vars"):
        ((name, value),) = spec.vars.items()
        return name if key == "vars.NAME" else value
    value = spec
    for part in key.split("."):
        value = getattr(value, part)
    return value[0] if isinstance(value, tuple) else value


def is_literal(text):
    """Whether a shell, an env file, a unit file and sudoers take a text literally."""
    words = f"KEY={text}"
    return shlex.split(words) == [words] and not SPECIAL & set(text) and text.isascii()


def check_use(spec, key, text):
    """Check that an accepted text is used unchanged everywhere."""
    if key in shapes.LOCAL_PATHS:
        assert text.isprintable()
        assert text[:1] != "-"
    elif key == "tools_run_args":
        words = ["docker", "run", *spec.tools_run_args]
        assert shlex.split(cmd(*words).line()) == words
        assert text.isprintable()
    elif key == "address":
        assert is_literal(text.replace("%", ""))
    elif key == "host_keys":
        assert text.isascii()
        assert text.isprintable()
    elif key in shapes.LINES:
        assert text.isprintable()
    elif key == "keep_connection":
        assert spec.keep_connection_s >= 0  # only the number is used
    else:
        assert is_literal(text)
        assert key not in PATHS or text == "/" + "/".join(p for p in text.split("/") if p)
        assert key == "vars" or not {".", ".."} & set(text.split("/"))


def test_every_key_is_tried():
    assert set(KEYS) == {*VALID, *PATHS, *NUMBERS, *FLAGS}


@pytest.mark.parametrize("key", [key for key in KEYS if key not in NUMBERS + FLAGS])
def test_hostile_text_is_refused_by_name_or_used_literally(load, key):
    valid = VALID.get(key, "/srv/opensafely")
    assert found_at(load(settings(key, valid)), key) == valid
    for text in [each for bad in HOSTILE for each in (bad, valid + bad)]:
        try:
            spec = load(settings(key, text))
        except Refused as error:
            assert key.removesuffix(".NAME") in str(error) or "hosts.yaml: line 1 " in str(error)
        else:
            assert found_at(spec, key) == text
            check_use(spec, key, text)


@pytest.mark.parametrize("key", NUMBERS + FLAGS)
def test_text_for_a_number_or_a_flag_is_refused_by_name(load, key):
    for text in [*HOSTILE, "22", "true"]:
        with pytest.raises(Refused, match=rf"hosts\.h\.{key}|hosts\.yaml: line 1 "):
            load(settings(key, text))


@pytest.mark.parametrize(
    "written", ["0022", "22:22", "0x16", "2_2", ".inf", "yes", "22.0", "65536"]
)
def test_a_port_is_a_plain_number(tmp_path, written):
    path = tmp_path / "hosts.yaml"
    path.write_text(f"hosts: {{h: {{port: {written}}}}}")
    with pytest.raises(Refused, match=r"plain decimal|`true` or `false`|hosts\.h\.port"):
        host_settings.load(path)


@pytest.mark.parametrize("place", ["hosts", "groups"])
@pytest.mark.parametrize("bad", HOSTILE)
def test_names_of_hosts_and_groups_are_plain(tmp_path, place, bad):
    for name in (bad, "a" + bad, bad + "a"):
        (tmp_path / "hosts.yaml").write_text(json.dumps({place: {name: {}}}))
        try:
            known = host_settings.load(tmp_path / "hosts.yaml")
        except Refused as error:
            assert place in str(error) or "hosts.yaml: line 1 " in str(error)
        else:
            assert name in {**known.hosts, **known.groups}
            assert is_literal(name)


SAFE = {key: shape for key, shape in shapes.SHAPES.items() if key not in HERE_ONLY}
SAFE |= {"vars": shapes.VALUE, "url": shapes.URL, "ref": shapes.REF}


@pytest.mark.parametrize("key", SAFE)
@given(data=st.data())
def test_every_text_that_a_shape_allows_is_literal(key, data):
    text = data.draw(st.from_regex(SAFE[key].pattern, fullmatch=True))
    assert is_literal(text)


@given(st.text(max_size=40))
def test_a_gateway_that_is_not_a_host_is_literal(text):
    if (found := parse_ad_hoc(text)) is not None:
        assert all(is_literal(str(part).replace("%", "")) for part in found)


@pytest.mark.parametrize(
    "url",
    [
        "ext::sh -c touch% y",
        "https://user:secret@example.org/x",
        "http://u@example.org/x",
        "git@-oProxyCommand=x:y",
        "ssh://-oProxyCommand=x/y",
        "file:///srv/../etc",
        "https://example.org/a?b",
        "-u/x",
    ],
)
def test_urls_that_git_reads_in_another_way_are_refused(load, url):
    with pytest.raises(Refused, match=r"hosts\.h\.deploy\.code\.url"):
        load(settings("deploy.code.url", url))


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/opensafely-core/job-runner",
        "https://git.example.org:8443/a/b.git",
        "ssh://git@example.org:22/me/x.git",
        "git@github.com:opensafely-core/job-runner.git",
        "file:///srv/git/x",
        "/srv/git/x.git",
    ],
)
def test_the_usual_urls_are_accepted(load, url):
    assert load(settings("deploy.code.url", url)).deploy.code.url == url


def test_generated_texts_read_back_to_the_same_values(load, tmp_path):
    """The oddest values that are accepted, through a real shell."""
    from opstasks.manage import describe

    home = str(tmp_path / "a.b_c+d-e" / "-x")
    wanted = {"home": home, "backend": "test", "unit": "j.r_1-x", "service_user": "a-b_1"}
    spec = load({**wanted, "deploy": {"code": {"url": "https://x.example/a+b/c_d"}}})
    contents = describe.describe(spec).contents
    script = '. "$1"; printf "%s\\n%s" "$PYTHONPATH" "$PATH"'
    (tmp_path / "load-env").write_text(contents[f"{home}/config/load-env"])
    done = subprocess.run(
        ["bash", "-c", script, "bash", tmp_path / "load-env"],
        capture_output=True,
        text=True,
        check=True,
    )
    path, programs = done.stdout.split("\n")
    assert path == f"{home}/jobrunner/code:{home}/jobrunner/lib"
    assert programs.startswith(f"{home}/bin:")
    unit = contents["/etc/systemd/system/j.r_1-x.service"]
    assert f"\nWorkingDirectory={home}/jobrunner/code\n" in unit
    assert "\nUser=a-b_1\n" in unit
    assert "\na-b_1 ALL=(root) NOPASSWD: " in contents["/etc/sudoers.d/opstasks-jobrunner"]
