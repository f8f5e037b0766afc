"""Traps: stop a host at one call of one program, so that a fault happens exactly there.

Programs of the host (python3, git, systemctl, docker ...) get a stand-in that runs the real one.
An armed trap matches one call. The stand-in then reports its process id, and waits until the fault
has been made (before, after), or goes on at once (during). Programs of ours are started as
``python3 ... NAME``, so a pattern such as ``python3 deploy.steps`` names one of them.
"""

import contextlib
import queue
import subprocess
import threading
from dataclasses import dataclass

from tests.faults.machine import FOLDER

# Found first in every PATH: sudo's, a login's and the service's.
PLACE = "/usr/local/bin"
# When a trap stops a call.
MOMENTS = ("before", "during", "after")
# sudoers names these with their path, so the real one moves aside.
BY_PATH = ("systemctl",)
IN_PATH = ("python3", "git", "docker", "journalctl", "rsync")
# Arms a trap, reads the reports of the stand-ins, and lets them go on when it is told to; when its
# input ends, the trap is gone.
LISTEN = f"""
cd {FOLDER}; rm -rf hit go armed count.*; mkfifo -m 666 hit go; exec 3<>hit 4<>go
printf '%s\\n' "$@" >armed; chmod 644 armed; echo ready
(cat <&3) & while read -r word; do echo go >&4; done
rm -rf armed count.*; echo go >&4; kill $!; rm -f hit go
"""


@dataclass(frozen=True)
class Trap:
    """A moment: before, during or after the `number`-th call that matches a pattern."""

    pattern: str
    when: str = "before"
    number: int = 1


@dataclass(frozen=True)
class Hit:
    """A call that a trap has stopped: its process, its parent, and what was called."""

    pid: int
    parent: int
    call: str


def install(machine):
    """Put the stand-ins on a host."""
    machine.put(f"{FOLDER}/wrap.sh", machine.file("wrap.sh"))
    lines = [f"chmod 1777 {FOLDER}"]
    for name in IN_PATH:
        text = f'#!/bin/bash\nexec {FOLDER}/wrap.sh {name} /usr/bin/{name} "$@"\n'
        lines.append(f"printf '%s' '{text}' >{PLACE}/{name}; chmod 755 {PLACE}/{name}")
    for name in BY_PATH:
        real = f"/usr/bin/{name}.real"
        text = f'#!/bin/bash\nexec {FOLDER}/wrap.sh "$(basename "$0")" {real} "$@"\n'
        lines.append(f"[ -e {real} ] || mv /usr/bin/{name} {real}")
        lines.append(f"printf '%s' '{text}' >/usr/bin/{name}; chmod 755 /usr/bin/{name}")
    machine.sh("; ".join(lines))


class Trapper:
    """Arms one trap after another on a host, and hears when it is hit."""

    def __init__(self, machine):
        self.machine = machine
        self.hits = queue.Queue()
        self._process = None

    def arm(self, trap):
        """Arm a trap; the one before is gone."""
        self.disarm()
        shell = ["/bin/bash", "-c", LISTEN, "bash", trap.pattern, trap.when, str(trap.number)]
        self._process = subprocess.Popen(
            ["docker", "exec", "-i", self.machine.container, *shell],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout.readline() == "ready\n"
        self.hits = queue.Queue()
        threading.Thread(target=self._listen, args=(self._process, self.hits), daemon=True).start()

    @staticmethod
    def _listen(process, hits):
        for line in process.stdout:
            words = line.split(maxsplit=2)
            if len(words) == 3:
                hits.put(Hit(int(words[0]), int(words[1]), words[2].strip()))

    def wait(self, timeout_s):
        """The hit; None when there was none in this time."""
        try:
            return self.hits.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def release(self):
        """Let the call go on."""
        with contextlib.suppress(OSError, ValueError):  # the host was powered off
            self._process.stdin.write("go\n")
            self._process.stdin.flush()

    def disarm(self):
        """Remove the trap; calls go on undisturbed."""
        if self._process is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:  # the host hangs: the next trap removes it
                self._process.kill()
                self._process.wait()
            self._process = None
