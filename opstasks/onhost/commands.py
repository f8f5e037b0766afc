"""Runs on the host: commands and their results.

A command inherits the host's lock, and what else our shell gave us for the processes of a change
(`opstasks.fleet.leftover`): it may outlive us, and then continues to change the host. Descriptors
that we opened ourselves are not inherited: Python opens them so.
"""

import os
import selectors
import subprocess
import time
from collections.abc import Sequence
from typing import Any

from opstasks.onhost.formats import ended_text, signal_of
from opstasks.onhost.protocol import HostFailure, error_text

# More than any useful output. A program of another account must not fill our memory.
MAX_OUTPUT_BYTES = 32 << 20


# sudo closes the descriptors that it gets; this shell waits for it and keeps them.
_KEEPER = ("/bin/sh", "-c", '"$@"; exit "$?"', "sh")


# The cause of a failure: a command ended by a signal.
KILLED = "killed"
# How many lines of a failed command's output explain its failure.
LAST_LINES = 12


class OutputLimitError(subprocess.SubprocessError):
    """A command printed more than MAX_OUTPUT_BYTES; it was killed."""


def call(
    *args: str, input: str = "", timeout: float | None = None, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run a command and keep its output; raises OSError, TimeoutExpired, OutputLimitError.

    A command that takes too long or prints too much is killed.
    """
    pipe, given = subprocess.PIPE, _given(input)
    try:
        process = subprocess.Popen(
            _kept(args), stdin=given, stdout=pipe, stderr=pipe, close_fds=False, **options
        )
    finally:
        os.close(given)
    with process:
        try:
            out, err = _outputs(process, timeout)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(args, process.returncode, _text(out), _text(err))


def _kept(words: Sequence[str]) -> Sequence[str]:
    """The words of a command whose lock stays held until it ends."""
    return (*_KEEPER, *words) if words[0] == "sudo" else words


def _given(text: str) -> int:
    """A file in memory with a command's input: unlike a pipe, it never blocks."""
    fd = os.memfd_create("input")
    with os.fdopen(fd, "wb", closefd=False) as file:
        file.write(text.encode(errors="replace"))
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _outputs(process: subprocess.Popen[bytes], timeout: float | None) -> list[bytearray]:
    """Both outputs of a command, until it has ended."""
    deadline = time.monotonic() + (float("inf") if timeout is None else timeout)
    streams = [stream for stream in (process.stdout, process.stderr) if stream]
    found = {stream.fileno(): bytearray() for stream in streams}
    with selectors.DefaultSelector() as selector:
        for fd in found:
            selector.register(fd, selectors.EVENT_READ)
        while selector.get_map():
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise subprocess.TimeoutExpired(process.args, timeout or 0.0)
            for key, _ in selector.select(min(left_s, 3600.0)):
                data = os.read(key.fd, 1 << 16)
                found[key.fd] += data
                if not data:
                    selector.unregister(key.fd)
            if sum(map(len, found.values())) > MAX_OUTPUT_BYTES:
                raise OutputLimitError(f"it printed more than {MAX_OUTPUT_BYTES >> 20} MiB")
    process.wait(None if timeout is None else max(0.1, deadline - time.monotonic()))
    return list(found.values())


def _text(data: bytearray) -> str:
    return data.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")


def attempt(*args: str, timeout_s: float, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command; its exit code is 127 if it is missing, 124 if it takes too long.

    125 if it prints too much.
    """
    try:
        return call(*args, timeout=timeout_s, **options)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(args, 124, "", f"no answer within {timeout_s:g} s")
    except OutputLimitError as error:
        return subprocess.CompletedProcess(args, 125, "", str(error))
    except OSError as error:
        return subprocess.CompletedProcess(args, 127, "", str(error))


def said(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The lines that explain a failure; how it ended if it printed nothing."""
    text = done.stderr.strip() or done.stdout.strip()
    if text:
        return text.split("\n")
    return [ended_text(done.returncode)] if done.returncode else []


def was_killed(done: subprocess.CompletedProcess[str]) -> bool:
    """Whether a command ended by a signal."""
    return signal_of(done.returncode) > 0


def failure(reason: str, done: subprocess.CompletedProcess[str]) -> HostFailure:
    """The error for a command that failed, with its last lines."""
    from opstasks.onhost.disk_errors import cause_in  # a good answer does not need it

    detail = "\n".join(said(done)[-LAST_LINES:])
    return HostFailure(reason, detail, KILLED if was_killed(done) else cause_in(detail))


def required(reason: str, *args: str, **options: Any) -> str:
    """Run a command that must succeed; returns what it printed. Raises HostFailure."""
    try:
        done = call(*args, **options)
    except (OSError, subprocess.SubprocessError) as error:
        raise HostFailure(reason, error_text(error)) from error
    if done.returncode:
        raise failure(reason, done)
    return done.stdout.strip()
