"""A sandbox host as the fault matrix handles it: as root, through docker, without our code."""

import json
import subprocess
import time
from pathlib import Path

from opstasks.sandbox import api, machines
from opstasks.sandbox.execute import execute

HERE = Path(__file__).resolve().parent
FOLDER = "/opt/faults"


class Machine:
    """One host: run something there as root, read and write its files."""

    def __init__(self, name, sandbox_dir):
        self.name, self.sandbox_dir = name, Path(sandbox_dir)
        found = api.find(name)
        self.container, self.address = found.container, found.address

    def run(self, script, *, timeout_s=120, stdin=None):
        """Run a script of bash; returns the completed process."""
        return execute(
            self.container, ["/bin/bash", "-c", script], stdin=stdin, timeout_s=timeout_s
        )

    def sh(self, script, *, timeout_s=120, stdin=None):
        """Run a script that must succeed; returns its output."""
        done = self.run(script, timeout_s=timeout_s, stdin=stdin)
        assert done.returncode == 0, f"{script[:200]}: {done.returncode}: {done.stderr[-500:]}"
        return done.stdout.strip()

    def put(self, path, text, mode="0755"):
        """Write a file."""
        self.sh(f"mkdir -p $(dirname {path}); cat >{path}; chmod {mode} {path}", stdin=text)

    def file(self, name):
        """The text of a file of this folder, which runs on the host."""
        return (HERE / "onhost" / name).read_text()

    def json(self, script, *, timeout_s=60):
        """Run a script that must succeed and prints JSON."""
        return json.loads(self.sh(script, timeout_s=timeout_s))

    def docker(self, *words):
        """Do something with the container itself: kill, start, pause, unpause."""
        subprocess.run(["docker", *words, self.container], check=True, capture_output=True)

    @property
    def is_up(self):
        """Whether the machine answers docker at all."""
        return self.run("true").returncode == 0

    def power_cut(self):
        """Power off at once."""
        self.docker("kill")

    def power_on(self, timeout_s=60):
        """Power on, and wait until sshd answers and systemd has started what it can."""
        self.docker("start")
        deadline = time.monotonic() + timeout_s
        while not machines.greets(self.address, 22) and time.monotonic() < deadline:
            time.sleep(0.2)
        self.run("systemctl is-system-running --wait", timeout_s=timeout_s)

    def reboot(self):
        """An orderly reboot from inside; waits for the new boot."""
        before = self.boot_id
        self.run("systemctl reboot")
        deadline = time.monotonic() + 60
        while self.boot_id in ("", before) and time.monotonic() < deadline:
            time.sleep(0.3)
        self.power_on()

    @property
    def boot_id(self):
        """The id of the present boot; empty while it is down."""
        done = self.run("cat /proc/sys/kernel/random/boot_id")
        return done.stdout.strip() if done.returncode == 0 else ""
