"""What every transport must do: run for this machine and over real SSH (see the two users)."""

import contextlib
import threading
import time

import pytest

from opstasks.core.command import Raw, Secret, cmd, pipe
from opstasks.core.errors import CommandFailed, OpsError, Refused, TimedOut, TooMuchOutput
from opstasks.fleet import lock
from opstasks.fleet.change import change
from tests.look import until


def sleeps(host, seconds):
    """Whether a `sleep` of that many seconds runs there; a plain Debian has no pgrep."""
    look = (
        "import glob; from contextlib import suppress\nfound = False\n"
        "for path in glob.glob('/proc/[0-9]*/cmdline'):\n"
        "    with suppress(OSError):\n"
        f"        found |= open(path, 'rb').read() == b'sleep\\x00{seconds}\\x00'\n"
        "raise SystemExit(not found)"
    )
    return host.login.test(cmd("python3", "-c", look))


def leave_running(shell, text):
    """Begin a step in a framed shell; it continues when the client closes the shell."""

    def step():
        with contextlib.suppress(OpsError, OSError):
            shell.session.evaluate(text, timeout_s=600)

    threading.Thread(target=step, daemon=True).start()
    time.sleep(0.3)


class HostSuite:
    """Needs a fixture `host`, and a fixture `other` that is a second connection to it."""

    def test_arguments_arrive_unchanged(self, host):
        words = ["a b", "$HOME", "'", '"', "*", "\\", "\n", "ü", "-n", "", ";id", "`id`"]
        script = "import sys; print(ascii(sys.argv[1:]))"
        assert host.login.output(cmd("python3", "-I", "-", *words, stdin=script)) == ascii(words)

    def test_exit_codes_and_both_streams_are_kept_apart(self, host):
        (result,) = host.login.batch([cmd("sh", "-c", "echo out; echo err >&2; exit 7")])
        assert (result.code, result.out, result.err) == (7, "out\n", "err\n")

    def test_a_batch_keeps_its_order(self, host):
        results = host.login.batch([cmd("echo", number) for number in range(50)])
        assert [result.text for result in results] == [str(number) for number in range(50)]

    def test_a_failing_command_reports_command_host_and_reason(self, host):
        with pytest.raises(CommandFailed) as caught:
            host.login.run(cmd("ls", "/no/such/place"))
        assert caught.value.host == host.name
        assert caught.value.returned == 2
        assert "No such file" in caught.value.tail

    def test_the_verb_test_and_accepted_exit_codes(self, host):
        assert host.login.test(cmd("true"))
        assert not host.login.test(cmd("false"))
        assert host.login.run(cmd("false").accepting(0, 1)).code == 1

    def test_standard_input_arrives_complete(self, host):
        text = "".join(f"line {n} $HOME `id` \\ 'x'\n" for n in range(5000))
        assert host.login.run(cmd("cat", stdin=text)).out == text

    def test_a_secret_arrives_on_standard_input_and_not_in_argv(self, host):
        script = "read -r s; ps -ef; echo got:${#s}"
        out = host.login.output(cmd("bash", "-c", script, stdin=Secret("opensesame")))
        assert out.endswith("got:10")
        assert "opensesame" not in out

    def test_a_command_that_reads_input_does_not_swallow_the_next(self, host):
        first, second = host.login.batch([cmd("cat"), cmd("echo", "still here")])
        assert (first.out, second.text) == ("", "still here")

    def test_large_output_arrives_complete(self, host):
        out = host.login.run(cmd("seq", 400_000)).out
        assert out.count("\n") == 400_000
        assert out.endswith("\n400000\n")

    def test_output_with_no_line_end_and_odd_bytes(self, host):
        assert host.login.run(cmd("printf", "no end")).out == "no end"
        (result,) = host.login.batch([cmd("printf", r"\303\050\0x")])
        assert result.out.encode("utf-8", "surrogateescape") == b"\303\050\0x"

    def test_too_much_output_is_the_hosts_error_and_a_new_shell_serves_it(self, host):
        before = host.login.output(cmd(Raw("echo $PPID")))
        with pytest.raises(TooMuchOutput, match="more than 2 MiB") as caught:
            host.login.run(cmd("sh", "-c", "while :; do seq 100000; done").printing(2 << 20))
        assert caught.value.host == host.name
        assert host.login.output(cmd("echo", "next")) == "next"
        assert host.login.output(cmd(Raw("echo $PPID"))) != before

    def test_too_much_error_output_counts_as_well(self, host):
        with pytest.raises(TooMuchOutput):
            host.login.run(cmd("sh", "-c", "seq 1000000 >&2").printing(1 << 20))

    def test_a_command_may_print_up_to_its_own_limit(self, host):
        size = 40 << 20
        command = cmd("head", "-c", size, "/dev/zero")
        with pytest.raises(TooMuchOutput):
            host.login.run(command)
        assert len(host.login.run(command.printing(64 << 20)).out) == size

    def test_a_pipe_fails_when_any_part_fails(self, host):
        assert not host.login.test(pipe(cmd("false"), cmd("cat")))

    def test_a_command_that_takes_too_long_is_stopped_on_the_host(self, host):
        started = time.monotonic()
        with pytest.raises(TimedOut):
            host.login.run(cmd("sleep", "61.5").within(0.5))
        assert time.monotonic() - started < 30
        assert not sleeps(host, "61.5")

    def test_the_environment_of_a_shell_is_the_same_everywhere(self, host):
        assert host.login.output(cmd("printenv", "LC_ALL")) == "C.UTF-8"
        assert host.login.output(cmd("pwd")) == "/"

    def test_a_shell_survives_commands_that_kill_their_parent(self, host):
        host.login.batch([cmd(Raw("exit 3")), cmd(Raw("kill -9 $$"))])
        assert host.login.output(cmd("echo", "up")) == "up"

    def test_streams_pass_on_lines_as_they_arrive_and_the_exit_code(self, host):
        chunks = []
        result = host.login.stream(
            cmd("sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.3; done; exit 4"), chunks.append
        )
        assert b"".join(chunks) == b"1\n2\n3\n"
        assert len([chunk for chunk in chunks if chunk]) > 1
        assert result.code == 4

    def test_a_stream_that_is_closed_leaves_nothing_running(self, host):
        host.login.run(cmd("true"))
        session = host.open_session("")
        seen = threading.Event()

        def follow():
            try:
                session.stream(
                    cmd("sh", "-c", "echo x; exec sleep 62.5"), lambda data: data and seen.set()
                )
            except Exception:
                return

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        assert seen.wait(5)
        until(lambda: sleeps(host, "62.5"), "it does not sleep", 5, 0.1)
        session.close()
        deadline = time.monotonic() + 5
        while sleeps(host, "62.5"):
            assert time.monotonic() < deadline, "still running"
            time.sleep(0.1)

    def test_only_one_change_at_a_time_and_others_see_who(self, host, other):
        with change(host.login, "first", {"a": "b"}):
            held = lock.parse_owner(other.login.output(lock.holder(other.spec)))
            assert held is not None
            assert held.task == "first"
            with pytest.raises(Refused, match="first"), change(other.login, "second"):
                pass
        assert lock.parse_owner(other.login.output(lock.holder(other.spec))) is None
        with change(other.login, "second"):
            pass

    def test_a_lock_is_free_when_its_client_is_gone(self, host, other):
        with change(other.login, "second"):
            other.close()
        with change(host.login, "third"):
            pass

    def test_a_step_without_its_client_still_holds_the_lock(self, host, other):
        with change(other.login, "slow"):
            leave_running(other.login, "sleep 8")
            other.close()
        with pytest.raises(Refused, match="slow"), change(host.login, "fast"):
            pass
        deadline = time.monotonic() + 15
        while lock.parse_owner(host.login.output(lock.holder(host.spec))):
            assert time.monotonic() < deadline, "the lock is still held"
            time.sleep(0.2)
        with change(host.login, "fast"):
            pass
