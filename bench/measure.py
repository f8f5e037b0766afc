"""Run a client and measure it: time, CPU time on both sides, peak memory, each line's arrival."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from opstasks.sandbox.engine import client

SAMPLE_S = 0.05
LIMIT_S = 3600
PR_SET_CHILD_SUBREAPER = 36
CGROUPS = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))
PAGE_BYTES = resource.getpagesize()


@dataclass
class Sample:
    """One run of one tool. `problem` says why its figures do not count; "" if they do."""

    seconds: float = 0.0
    client_s: float = 0.0
    host_s: float = 0.0
    peak_bytes: int = 0
    problem: str = ""
    round_trips: int = 0
    lines: list[tuple[float, str]] = field(default_factory=list)

    def slim(self) -> dict[str, float | int | str]:
        """The part that is kept."""
        return {name: value for name, value in vars(self).items() if name != "lines"}


def adopt_orphans() -> None:
    """Make background processes of the clients (SSH masters) our children, to measure and end."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_leftovers() -> float:
    """End what clients left running; returns the CPU seconds that it used in its whole life."""
    for pid in children(os.getpid()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    used_s = 0.0
    while True:
        try:
            _, _, usage = os.wait4(-1, 0)
        except ChildProcessError:
            return used_s
        used_s += usage.ru_utime + usage.ru_stime


def children(pid: int) -> list[int]:
    """The child processes of all threads of a process."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for listed in Path(f"/proc/{pid}/task").glob("*/children"):
            found += map(int, listed.read_text().split())
    return found


def memory_bytes(pid: int) -> int:
    """Memory of a process and its descendants; what they share is counted once.

    Not `ru_maxrss`: that includes what this process used when it started the client.
    """
    tree = [pid]
    for each in tree:
        tree += children(each)
    with contextlib.suppress(OSError):
        if len(tree) == 1:
            return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES
    return sum(map(share_bytes, tree))


def share_bytes(pid: int) -> int:
    """A process's memory, with its share of what it has in common with others."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


class PeakMemory(threading.Thread):
    """Samples the memory of a process tree until it is stopped."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid, self._done, self.bytes = pid, threading.Event(), 0
        self.start()

    def run(self) -> None:
        """Sample."""
        pause_s = SAMPLE_S
        while not self._done.wait(pause_s):
            started = time.perf_counter()
            self.bytes = max(self.bytes, memory_bytes(self._pid))
            # A twentieth of a core at most.
            pause_s = max(SAMPLE_S, 20 * (time.perf_counter() - started))

    def stop(self) -> int:
        """The highest sample, in bytes."""
        self._done.set()
        self.join()
        return self.bytes


def cpu_clock(container: str) -> Callable[[], float]:
    """A function that returns the CPU seconds that a container has used so far."""
    found = client().containers.get(container)
    lines = Path(f"/proc/{found.attrs['State']['Pid']}/cgroup").read_text().splitlines()
    place = next(line for line in lines if line.startswith("0::"))[3:]
    # systemd in a container moves itself into a group below the container's.
    assert found.id
    inside = place.partition(found.id)[0].lstrip("/") + found.id
    stat = next(
        base / (inside + end) / "cpu.stat"
        for base in CGROUPS
        for end in (".scope", "")
        if (base / (inside + end) / "cpu.stat").exists()
    )
    return lambda: int(stat.read_text().split()[1]) / 1e6


def measure(
    line: Sequence[str | Path],
    check: Callable[[Sample], str],
    *,
    clock: Callable[[], float] = lambda: 0.0,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Sample:
    """Run a client to its end; `check` says what is wrong with its output."""
    sample = Sample()
    host_before_s = clock()
    with tempfile.TemporaryFile() as errors:
        started = time.perf_counter()
        process = subprocess.Popen(
            list(map(str, line)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**clean_environment(), **(env or {})},
            cwd=cwd,
        )
        watchdog = threading.Timer(LIMIT_S, process.kill)
        watchdog.start()
        memory = PeakMemory(process.pid)
        assert process.stdout
        for text in process.stdout:
            sample.lines.append((time.perf_counter() - started, text.decode(errors="replace")))
        _, status, usage = os.wait4(process.pid, 0)
        sample.seconds = time.perf_counter() - started
        watchdog.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        sample.client_s = usage.ru_utime + usage.ru_stime
        sample.peak_bytes = memory.stop()
        sample.problem = check(sample)
        if sample.problem:
            errors.seek(0)
            sample.problem += f" ({errors.read().decode(errors='replace').strip()[-300:]})"
    time.sleep(0.1)  # sshd's processes end a moment later
    sample.host_s = clock() - host_before_s
    return sample


def clean_environment() -> dict[str, str]:
    """The environment without the person's agent and settings."""
    unwanted = ("SSH_AUTH_SOCK", "PYTHONPATH", "OPSTASKS_HOSTS", "OPSTASKS_BACKENDS")
    return {name: value for name, value in os.environ.items() if name not in unwanted}
