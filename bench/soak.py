"""20,000 batches over real SSH while other processes use every core: no answer may be late.

Each command writes to both streams, in mixed order and sizes, and its last words are the time. So
the wait is known exactly: from the end of the command to the return of `batch`. Many hosts take
part with one channel each, and one host with many. Exits with 1 if a wait is longer than the limit,
or an answer is wrong or missing.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from bench.environment import ROOT
from opstasks.core.command import Command, cmd
from opstasks.core.errors import OpsError
from opstasks.core.result import Result
from opstasks.fleet.host import Host
from opstasks.fleet.host_settings import load
from opstasks.fleet.ssh import SSHTransport
from opstasks.sandbox import instance
from opstasks.sandbox.many import many_down, many_up

BATCHES = 20_000
HOSTS, CHANNELS = 40, 10
LIMIT_S = 2.0
# A lost answer shows as an error after this long and the session's grace of 15 s.
COMMAND_S = 30.0
TOTAL_S = 3000
SIZES = (0, 1, 63, 500, 4096, 70_000)
SHARES = (0.5, 0.9, 0.99, 0.999, 1.0)
Batch = Callable[[list[Command]], list[Result]]


@dataclass
class Waits:
    """What all workers found. `left` is how many batches are still to be started."""

    left: int
    seconds: list[float] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next(self) -> bool:
        """Whether to start another batch."""
        with self.lock:
            self.left -= 1
            return self.left >= 0

    def add(self, wait_s: float, problem: str) -> None:
        """Note how a batch ended."""
        with self.lock:
            self.seconds.append(wait_s)
            if problem:
                self.problems.append(problem)


def make_command() -> tuple[Command, int, int]:
    """A command that writes to both streams, and how many bytes to each before the time."""
    writes = [(random.choice((1, 2)), random.choice(SIZES)) for _ in range(random.randint(1, 6))]
    text = "".join(f"printf '%{size}s' '' >&{stream};" for stream, size in writes if size)
    script = f'{text} printf "\\n$EPOCHREALTIME" >&{random.choice((1, 2))}'
    sums = [sum(size for stream, size in writes if stream == number) for number in (1, 2)]
    return cmd("bash", "-c", script).within(COMMAND_S), sums[0], sums[1]


def one(batch: Batch, waits: Waits, name: str) -> bool:
    """Run a batch and note its wait; False when the channel cannot be used any more."""
    command, out_bytes, err_bytes = make_command()
    started = time.time()
    try:
        (result,) = batch([command])
    except OpsError as error:
        waits.add(time.time() - started, f"{name}: {error.message}")
        return False
    now = time.time()
    out, _, out_end = result.out.partition("\n")
    err, _, err_end = result.err.partition("\n")
    if (len(out), len(err), result.code) != (out_bytes, err_bytes, 0):
        waits.add(0.0, f"{name}: {len(out)} and {len(err)} bytes, not {out_bytes} and {err_bytes}")
        return True
    wait_s = now - float(out_end or err_end)
    waits.add(wait_s, f"{name}: {wait_s:.1f} s late" if wait_s > LIMIT_S else "")
    return True


def work(open_batch: Callable[[], Batch], waits: Waits, name: str) -> None:
    """Run batches on one channel until all are done; a channel that failed is opened again."""
    batch = None
    while waits.next():
        try:
            batch = batch or open_batch()
        except OpsError as error:
            waits.add(0.0, f"{name}: {error.message}")
            continue
        if not one(batch, waits, name):
            batch = None


@contextmanager
def all_cores_busy() -> Iterator[None]:
    """A process for each core that does nothing but work."""
    busy = [multiprocessing.Process(target=spin, daemon=True) for _ in range(os.cpu_count() or 1)]
    for process in busy:
        process.start()
    try:
        yield
    finally:
        for process in busy:
            process.kill()


def spin() -> None:
    """Use a core; ends with its parent, also when that is killed."""
    parent = os.getppid()
    while os.getppid() == parent:
        for _ in range(100_000):
            pass


def run(batches: int) -> Waits:
    """All workers to their end, or until the time limit."""
    waits = Waits(batches)
    many_up(HOSTS)
    known = load(instance.current().directory / "many.yaml").select(["many"])
    hosts = [Host(spec, connect=SSHTransport) for spec in known]
    first = hosts[0]
    first.login.open()
    openers: list[Callable[[], Batch]] = [partial(getattr, host.login, "batch") for host in hosts]
    openers += [lambda: first.open_session("").batch] * CHANNELS
    names = [host.name for host in hosts] + [f"{first.name}, more channels"] * CHANNELS
    workers = [
        threading.Thread(target=work, args=(opener, waits, name), daemon=True)
        for name, opener in zip(names, openers, strict=True)
    ]
    deadline = time.monotonic() + TOTAL_S
    with all_cores_busy():
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(max(0.0, deadline - time.monotonic()))
    waits.problems += ["the time limit was reached"] * any(each.is_alive() for each in workers)
    return waits


def report(waits: Waits, elapsed_s: float) -> None:
    """Print the distribution of the waits, and what was wrong."""
    waits.seconds.sort()
    number = len(waits.seconds)
    print(f"{number} batches in {elapsed_s:.0f} s, {HOSTS} hosts, {CHANNELS} more channels on one")
    print("seconds from the end of a command to its result:")
    for share in SHARES if number else ():
        found = waits.seconds[min(number - 1, int(share * number))]
        print(f"  {share:7.1%} within {found:.3f} s")
    print(f"{len(waits.problems)} problems (limit: {LIMIT_S:g} s)")
    for problem in waits.problems[:20]:
        print(f"  {problem}")


def main() -> None:
    """Run and report."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--batches", type=int, default=BATCHES)
    batches = parser.parse_args().batches
    os.environ["OPSTASKS_SANDBOX_DIR"] = str(ROOT / ".sandbox-soak")
    # Ended from outside, it must remove its hosts too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    started = time.monotonic()
    try:
        waits = run(batches)
    finally:
        many_down()
    report(waits, time.monotonic() - started)
    sys.stdout.flush()
    # Workers that hang must not keep the program alive.
    os._exit(bool(waits.problems) or len(waits.seconds) < batches)


if __name__ == "__main__":
    main()
