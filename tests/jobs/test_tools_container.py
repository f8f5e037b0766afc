"""`jobs.mount`, `jobs.strace`: the tools container, its command line and its removal."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.core.command import cmd
from opstasks.core.errors import (
    Interrupted,
    InvalidResponse,
    OpsError,
    Refused,
    Unreachable,
    VerifyFailed,
)
from opstasks.core.result import Result
from opstasks.fleet.inventory import HostSpec
from opstasks.fleet.terminal import Escape
from opstasks.jobs import tools_container as tools
from opstasks.jobs.model import Job, Match
from opstasks.jobs.mount import check, mount_words, volume_option
from opstasks.jobs.strace import parse_top, processes, strace_words
from tests.fake_host import FakeHost, Reply

JOB = Job("abc", "ws", "act", "running", "executing")
MATCH = Match("h", JOB, volume=("volume", "os-volume-abc"))


# -- jobs.mount ------------------------------------------------------------------------------


def test_mount_takes_its_rights_from_the_inventory():
    spec = HostSpec(name="h", tools_run_args=("--cap-add=SYS_PTRACE",))
    words = mount_words(spec, MATCH, "n", ["bash", "-l"], read_only=False)
    assert "--cap-add=SYS_PTRACE" in words
    assert "--privileged" not in words
    assert "--mount=type=volume,source=os-volume-abc,target=/workspace" in words
    assert words[-3:] == ["--entrypoint=bash", "ghcr.io/opensafely-core/tools", "-l"]
    assert "--rm" in words


def test_mount_is_privileged_by_default_and_strace_never():
    spec = HostSpec(name="h")
    assert "--privileged" in mount_words(spec, MATCH, "n", ["sh"], read_only=True)
    words = strace_words(spec, MATCH, "n", [7, 8], ["-e", "trace=%file"])
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


def test_a_folder_is_bind_mounted_and_a_volume_can_be_read_only():
    bind = Match("h", JOB, volume=("bind", "/srv/high_privacy/volumes/abc"))
    option = volume_option(bind, read_only=True)
    assert option == "type=bind,source=/srv/high_privacy/volumes/abc,target=/workspace,readonly"


@pytest.mark.parametrize("place", ["a,target=/etc", 'a"b', "a\nb"])
def test_a_volume_name_that_docker_would_read_as_options_is_refused(place):
    with pytest.raises(Refused):
        volume_option(Match("h", JOB, volume=("volume", place)), read_only=False)


def test_a_job_without_a_volume_is_refused(fake_host):
    with pytest.raises(Refused, match="no volume"):
        check(fake_host(), Match("h", JOB), read_only=False)


def test_a_host_without_the_image_is_refused(fake_host):
    host = fake_host()
    host.expect(tools.image_command(host.spec), Reply(1), user="opensafely")
    with pytest.raises(Refused, match="there is no image ghcr") as caught:
        check(host, MATCH, read_only=False)
    assert caught.value.message.endswith("ghcr.io/opensafely-core/tools")
    assert caught.value.hint == "inv -H tpp images.update tools"


def test_a_job_with_a_volume_can_be_mounted(fake_host):
    host = fake_host()
    host.expect(tools.image_command(host.spec), "ok\n")
    check(host, MATCH, read_only=True)


@given(st.text(st.characters(exclude_characters=',"\n', exclude_categories=["Cs"]), min_size=1))
def test_any_volume_name_stays_one_word(name):
    match = Match("h", JOB, volume=("volume", name))
    words = mount_words(HostSpec(name="h"), match, "n", ["sh"], read_only=False)
    if "\0" not in name:
        assert shlex.split(shlex.join(words)) == words


# -- jobs.strace -----------------------------------------------------------------------------

TOP = "PID                 COMMAND\n806                 docker-init\n823                 python\n"
TOP_COMMAND = cmd("docker", "top", "os-job-abc", "-o", "pid,comm")


def test_every_process_except_dockers_init_is_traced():
    assert parse_top(TOP, "h") == [823]
    assert parse_top("PID COMMAND\n806 tini\n", "h") == [806]
    assert parse_top("", "h") == []


@pytest.mark.parametrize("row", ["x python", "-1 python", "² python", "1.5 python"])
def test_a_process_id_that_is_not_a_number_is_an_invalid_response(row):
    with pytest.raises(InvalidResponse) as caught:
        parse_top(f"PID COMMAND\n{row}\n", "tpp")
    assert caught.value.host == "tpp"


def test_processes_are_listed_in_one_round_trip(fake_host):
    host = fake_host()
    host.expect(TOP_COMMAND, TOP, user="opensafely")
    host.expect(tools.image_command(host.spec), "ok\n")
    assert processes(host, MATCH) == [823]


def test_a_job_without_processes_is_refused(fake_host):
    host = fake_host()
    host.expect(TOP_COMMAND, Reply(1, "", "is not running"))
    host.expect(tools.image_command(host.spec), "ok\n")
    with pytest.raises(Refused, match=r"abc \(running, executing\) has no process to trace"):
        processes(host, MATCH)


# -- the container ---------------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(tools, "new_name", lambda: "opstasks-tools-x")
    monkeypatch.setattr(tools, "REMOVAL_POLL_S", 0.01)
    monkeypatch.setattr(tools, "REMOVAL_TIMEOUT_S", 0.1)


def removed(host, *listed, times=1):
    """Expect a removal and a list for each of these."""
    for found in listed:
        host.expect(cmd("docker", "rm", "--force", "opstasks-tools-x"), Reply(1), times=times)
        still = cmd("docker", "ps", "--all", "--quiet", "--filter=name=^opstasks-tools-x$")
        host.expect(still, found, times=times)


class TrapHost(FakeHost):
    """A host that also records the traps of its shell: `traps`, in order."""

    def __init__(self):
        super().__init__()
        self.traps = []

    def take_lock(self, text):
        if text.startswith("trap "):
            self.traps.append(text)
            return Result("", 0, "", "")
        return super().take_lock(text)


@pytest.fixture
def host(quick):
    made = TrapHost()
    yield made
    made.finish()


TRAP = "trap 'docker rm --force opstasks-tools-x >/dev/null 2>&1' EXIT"


def opened(host):
    with tools.tools_container(host, MATCH, "jobs.mount") as name:
        assert name == "opstasks-tools-x"


def test_a_container_is_removed_after_use(host):
    removed(host, "")
    opened(host)
    assert host.traps == [TRAP, "trap - EXIT"]


def test_a_container_is_also_removed_after_an_error(host):
    removed(host, "")
    with pytest.raises(ZeroDivisionError), tools.tools_container(host, MATCH, "jobs.mount"):
        raise ZeroDivisionError


def test_the_task_waits_while_docker_is_removing_the_container(host):
    removed(host, "1234\n", "1234\n", "")
    opened(host)


def test_a_container_that_is_not_removed_is_a_failure_with_a_hint(host):
    removed(host, "1234\n", times=None)
    with pytest.raises(VerifyFailed, match="opstasks-tools-x is still there") as caught:
        opened(host)
    assert caught.value.hint.endswith("run -- docker rm --force opstasks-tools-x")


def test_a_container_that_cannot_be_listed_is_a_failure(host):
    removed(host, Reply(1, "", "docker does not answer"))
    with pytest.raises(VerifyFailed) as caught:
        opened(host)
    assert caught.value.tail == "docker does not answer"


@pytest.mark.parametrize("error", [Unreachable("connection lost"), Interrupted("stopped")])
def test_an_interrupted_removal_says_that_the_host_finishes_it(host, error):
    host.expect(cmd("docker", "rm", "--force", "opstasks-tools-x"), error)
    with pytest.raises(OpsError) as caught:
        opened(host)
    assert caught.value.hint == "the host removes opstasks-tools-x by itself within a minute"
    assert host.traps == [TRAP]


# -- keys that drop a connection -------------------------------------------------------------


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
def test_a_tilde_and_a_dot_at_a_line_start_drop_the_connection(keys, sent, dropped):
    assert typed(keys) == (sent, dropped)
    assert typed(*(bytes([key]) for key in keys)) == (sent, dropped)


@given(st.lists(st.binary(max_size=6)))
def test_keys_may_arrive_in_any_pieces(pieces):
    assert typed(*pieces) == typed(b"".join(pieces))


@given(st.binary().filter(lambda data: b"~" not in data))
def test_every_other_key_is_sent_unchanged(data):
    assert typed(data) == (data, False)
