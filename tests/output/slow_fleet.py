"""A program for tests in a terminal: a fleet whose hosts answer when a file appears.

    python -m tests.output.slow_fleet MODE FOLDER [HOST...]

The file has the name of the host. Its text is the state of the host, or "dead".
"""

import sys
import threading
import time
from pathlib import Path

from opstasks.cli.password import PasswordBox
from opstasks.cli.reading import HostReader
from opstasks.core import events
from opstasks.core.errors import Interrupted, OpsError, Unreachable
from opstasks.fleet.fleet import Fleet
from opstasks.output.console import Console
from opstasks.output.parts import good
from opstasks.output.screens import Screen, no_answer
from opstasks.output.summary import Summary, Told
from opstasks.output.table import Column

SCREEN = Screen(
    [Column("HOST"), Column("STATE"), Column("TEXT", long="clip"), Column("MORE", 1)],
    lambda host, state: [[host, good(state), "some words about the host " * 3, "x" * 30]],
    failed=no_answer,
    headline=lambda result: [f"{len(result.values)} of {len(list(result))} answered"],
)
TOLD = Told(
    lambda value: "v2",
    lambda count: f"{count} hosts changed",
    lambda hosts: f"undo {hosts}",
)


class SlowHost:
    """Stands in for a host."""

    def __init__(self, name, folder):
        self.name, self._file = name, folder / name

    def let_go(self):
        """What is to be closed."""
        return []

    def wait(self, suffix=""):
        """Wait for the file."""
        path = self._file.with_name(self.name + suffix)
        while not path.exists():
            time.sleep(0.02)
        if path.read_text() == "dead":
            raise Unreachable("no answer", host=self.name, hint="is the host up?")
        return path.read_text()


class Changed:
    """The result of a change."""

    changed = True


def main(mode, folder, *names):
    """Run in a mode."""
    console = Console()
    box = PasswordBox(None, lambda: names, console.held)
    fleet = Fleet(
        [SlowHost(name, Path(folder)) for name in names],
        observer=console.observe,
        show=console.arrived,
        is_held=lambda: box.is_asking,
        stop=threading.Event(),
    )

    def password(host):
        with box.for_host(host.name) as secret:
            return f"got {len(secret.value)}"

    def stepped(host):
        for brief in ("stopped", "snapshot"):
            console.observe(events.StepReached(host.name, f"{brief} now", brief=brief))
            host.wait(f".{brief}")
        console.observe(events.StepReached(host.name, "watching", brief="watched", lasts_s=15))
        host.wait()
        return Changed()

    def with_question(host):
        return password(host) if host.name == "asks" else host.wait()

    try:
        if mode == "read":
            HostReader(fleet, console).screen(SlowHost.wait, SCREEN)
        elif mode == "ask":
            HostReader(fleet, console).screen(with_question, SCREEN)
        elif mode == "change":
            summary = Summary(console, names, TOLD)
            summary.end(fleet.roll(stepped, summary.show))
    except Interrupted as error:
        console.error(error)
    except OpsError as error:
        console.error(error)
    finally:
        console.close()
    print("the end", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
