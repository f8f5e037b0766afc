"""The tools container's command line, and the keys that drop a connection."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.core.errors import Refused
from opstasks.fleet.inventory import HostSpec
from opstasks.fleet.terminal import Escape
from opstasks.jobs import tools as jobs_tools
from opstasks.jobs.model import Job, Match

JOB = Job("abc", "ws", "act", "running", "executing")
MATCH = Match("h", JOB, volume=("volume", "os-volume-abc"))


def test_mount_takes_the_rights_that_the_inventory_names():
    spec = HostSpec(name="h", tools_run_args=("--cap-add=SYS_PTRACE",))
    words = jobs_tools.mount_words(spec, MATCH, "n", ["bash", "-l"], read_only=False)
    assert "--cap-add=SYS_PTRACE" in words
    assert "--privileged" not in words
    assert "--mount=type=volume,source=os-volume-abc,target=/workspace" in words
    assert words[-3:] == ["--entrypoint=bash", "ghcr.io/opensafely-core/tools", "-l"]
    assert "--rm" in words


def test_mount_is_privileged_unless_told_otherwise_and_strace_never_is():
    spec = HostSpec(name="h")
    assert "--privileged" in jobs_tools.mount_words(spec, MATCH, "n", ["sh"], read_only=True)
    words = jobs_tools.strace_words(spec, MATCH, "n", [7, 8], ["-e", "trace=%file"])
    assert "--privileged" not in words
    assert [w for w in words if "mount" in w] == []
    assert words[words.index("ghcr.io/opensafely-core/tools") + 1 :] == [
        "-f",
        "-y",
        "-e",
        "trace=%file",
        "--attach=7",
        "--attach=8",
    ]


def test_a_folder_is_bound_and_a_volume_can_be_read_only():
    bind = Match("h", JOB, volume=("bind", "/srv/high_privacy/volumes/abc"))
    option = jobs_tools.volume_option(bind, read_only=True)
    assert option == "type=bind,source=/srv/high_privacy/volumes/abc,target=/workspace,readonly"


@pytest.mark.parametrize("place", ["a,target=/etc", 'a"b', "a\nb"])
def test_a_volume_whose_name_would_be_read_as_options_is_refused(place):
    with pytest.raises(Refused):
        jobs_tools.volume_option(Match("h", JOB, volume=("volume", place)), read_only=False)


def test_a_job_without_a_volume_is_refused():
    with pytest.raises(Refused, match="no volume"):
        jobs_tools.volume_option(Match("h", JOB), read_only=False)


@given(st.text(st.characters(exclude_characters=',"\n', exclude_categories=["Cs"]), min_size=1))
def test_whatever_a_volume_is_called_it_stays_one_word(name):
    match = Match("h", JOB, volume=("volume", name))
    words = jobs_tools.mount_words(HostSpec(name="h"), match, "n", ["sh"], read_only=False)
    if "\0" not in name:
        assert shlex.split(shlex.join(words)) == words


def test_every_process_but_dockers_own_init_is_traced():
    listed = (
        "PID                 COMMAND\n806                 docker-init\n823                 python\n"
    )
    assert jobs_tools.parse_top(listed) == [823]
    assert jobs_tools.parse_top("PID COMMAND\n806 tini\n") == [806]
    assert jobs_tools.parse_top("") == []


def typed(*pieces):
    escape, sent = Escape(), b""
    for piece in pieces:
        data, dropped = escape.feed(piece)
        sent += data
        if dropped:
            return sent, True
    return sent, False


@pytest.mark.parametrize(
    ("keys", "sent", "dropped"),
    [
        (b"~.", b"", True),
        (b"ls\r~.more", b"ls\r", True),
        (b"a~.", b"a~.", False),
        (b"~~", b"~", False),
        (b"~a", b"~a", False),
        (b"\x03", b"\x03", False),
    ],
)
def test_a_tilde_and_a_dot_drop_the_connection_at_the_start_of_a_line(keys, sent, dropped):
    assert typed(keys) == (sent, dropped)
    assert typed(*(bytes([key]) for key in keys)) == (sent, dropped)


@given(st.lists(st.binary(max_size=6)))
def test_how_keys_are_cut_into_pieces_does_not_matter(pieces):
    assert typed(*pieces) == typed(b"".join(pieces))


@given(st.binary().filter(lambda data: b"~" not in data))
def test_every_other_key_is_sent_as_it_is(data):
    assert typed(data) == (data, False)
