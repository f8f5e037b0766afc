"""Plays a row twice in the same lane: with `ssh`, then with our tool, from the same files."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fleet.openssh.client import HOME
from tests.fleet.openssh.row import Row, fill
from tests.fleet.openssh.servers import Farm, Lane
from tests.fleet.openssh.verdict import differences, lack_problem, refusal_problem, summary

ROOT = Path(__file__).resolve().parents[3]
LIMIT_S = 40
_AD_HOC = re.compile(r"(?:(?P<user>[^@]+)@)?(?P<name>\[[^\]]+\]|[^:]+)(?::(?P<port>\d+))?")


@dataclass
class Outcome:
    """Both results of one row, and where they differ."""

    theirs: dict[str, Any]
    ours: dict[str, Any]
    problems: list[str]


class Stage:
    """Lanes, each with its servers and a process that runs both programs."""

    def __init__(self, farm: Farm, lanes: int, folder: Path) -> None:
        self.folder = folder
        self._numbers = iter(range(1_000_000))
        with contextlib.ExitStack() as stack:
            self._free: queue.Queue[tuple[Lane, subprocess.Popen[str]]] = queue.Queue()
            for number in range(lanes):
                lane = Lane(farm, number)
                stack.callback(lane.close)
                self._free.put((lane, stack.enter_context(client())))
            self._stack = stack.pop_all()

    def close(self) -> None:
        """End the servers and the processes."""
        self._stack.close()

    def play(self, row: Row) -> Outcome:
        """The outcome of a row; waits for a free lane."""
        pair = self._free.get()
        try:
            return self._play(row, *pair)
        finally:
            self._free.put(pair)

    def _play(self, row: Row, lane: Lane, process: subprocess.Popen[str]) -> Outcome:
        results, seen = [], []
        for tool in ("ssh", "ours"):
            scene = Scene(row, lane, self.folder / f"{next(self._numbers)}")
            lane.reset()
            result = scene.run(tool, process)
            seen.append(summary(result, lane.visits()) | scene.learned())
            results.append(result)
        if row.refused_by_name:
            problems = refusal_problem(results[1], row.refused_by_name)
        elif row.lacks:
            problems = lack_problem(results[1], row.lacks)
        else:
            problems = differences(*seen)
        theirs, ours = (one | {"err": res["err"]} for one, res in zip(seen, results, strict=True))
        return Outcome(theirs, ours, problems)


@contextlib.contextmanager
def client() -> Iterator[subprocess.Popen[str]]:
    """A process that answers requests (client.py); ended at the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.fleet.openssh.client"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        yield process
    finally:
        process.communicate(timeout=30)


class Scene:
    """The files of one run of one row."""

    def __init__(self, row: Row, lane: Lane, folder: Path) -> None:
        self.row, self.lane, self.folder = row, lane, folder
        for name in ("dot_ssh", "etc_ssh", "tmp", "state"):
            (folder / name).mkdir(parents=True, mode=0o700)
        (folder / "etc_ssh").chmod(0o755)
        (folder / "hosts").write_text(lane.hosts_file())
        (folder / "nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files\n")
        for path, text in self._texts().items():
            self._write(path, text)

    def _texts(self) -> dict[str, str]:
        row = self.row
        texts = {"~/.ssh/known_hosts": self.lane.known_hosts() if row.known is None else row.known}
        if row.config:
            texts["~/.ssh/config"] = row.config
        for pair in row.keys.split():
            name, _, key = pair.partition("=")
            texts[f"~/.ssh/{name}"] = f"<private:{key}>"
            texts[f"~/.ssh/{name}.pub"] = f"<key:{key}>\n"
        texts.update(row.files)
        return {path: text for path, text in texts.items() if text}

    def _write(self, path: str, text: str) -> None:
        target = self._real(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(self._fill(text).encode("utf-8", "surrogateescape"))
        target.chmod(self.row.modes.get(path, 0o600))

    def _real(self, path: str) -> Path:
        """Where the file of a row really is."""
        for start, name in (("~/.ssh/", "dot_ssh"), ("/etc/ssh/", "etc_ssh"), ("<tmp>/", "tmp")):
            if path.startswith(start):
                return self.folder / name / path.removeprefix(start)
        raise ValueError(path)

    def _fill(self, text: str) -> str:
        return fill(
            text,
            lambda place: (
                {"tmp": str(self.folder / "tmp"), "home": str(HOME)}.get(place)
                or self.lane.look_up(place)
            ),
        )

    def run(self, tool: str, process: subprocess.Popen[str]) -> dict[str, Any]:
        """The result of `ssh` or of our tool."""
        request = {
            "tool": tool,
            "folder": str(self.folder),
            "env": self._environment(),
            "argv": self._argv(),
            "options": self._options(),
            "limit_s": LIMIT_S,
        }
        assert process.stdin and process.stdout
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
        result: dict[str, Any] = json.loads(process.stdout.readline())
        assert result.get("kind") != "defect", result["err"]
        result["err"] = result["err"].replace(str(self.folder), "")
        return result

    def _environment(self) -> dict[str, str]:
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(HOME),
            "USER": HOME.name,
            "SHELL": "/bin/sh",
            "TMPDIR": str(self.folder / "tmp"),
            "XDG_STATE_HOME": str(self.folder / "state"),
            "XDG_RUNTIME_DIR": str(self.folder / "tmp"),
        }
        if self.row.agent is not None:
            env["SSH_AUTH_SOCK"] = self._fill(f"<agent:{self.row.agent or 'nothing'}>")
        return env | {name: self._fill(text) for name, text in self.row.env.items()}

    def _argv(self) -> list[str]:
        row = self.row
        typed = _AD_HOC.fullmatch(self._fill(row.host))
        assert typed
        flags = [self._fill(flag) for flag in row.ssh_flags]
        for flag, value in (("-i", row.identity), ("-F", row.ssh_config)):
            flags += [flag, self._plain(value)] if value else []
        for flag, value in (("-l", typed["user"]), ("-p", typed["port"])):
            flags += [flag, value] if value else []
        return [*flags, typed["name"].strip("[]")]

    def _plain(self, path: str) -> str:
        """A path of a flag, as the shell passes it to both programs."""
        return self._fill(path).replace("~", str(HOME), 1)

    def _options(self) -> dict[str, Any]:
        row = self.row
        typed = self._fill(row.host)
        inventory = self.folder / "hosts.yaml"
        hosts = {}
        if "@" not in typed and ":" not in typed:
            hosts = {typed: {"address": typed, **self._settings()}}
        gateway = str(row.settings.get("gateway", ""))
        if gateway and not {"@", ":"} & set(gateway):
            hosts[gateway] = {"address": gateway}
        inventory.write_text(json.dumps({"hosts": hosts}))
        return {
            "hosts": [typed],
            "inventory": str(inventory),
            "identity": self._plain(row.identity),
            "ssh_config": self._plain(row.ssh_config),
        }

    def _settings(self) -> dict[str, Any]:
        return json.loads(self._fill(json.dumps(dict(self.row.settings))))

    def learned(self) -> dict[str, Any]:
        """The keys in known_hosts after the run, if the row is about that."""
        path = self.folder / "dot_ssh" / "known_hosts"
        if not self.row.learns:
            return {}
        lines = path.read_text().splitlines() if path.exists() else []
        return {"known": sorted(re.sub(r"^\|1\|\S+", "(hashed)", line) for line in lines)}


def play_all(stage: Stage, rows: list[Row], lanes: int) -> dict[str, Outcome]:
    """The outcomes of many rows, played side by side."""
    outcomes: dict[str, Outcome] = {}
    # Those that wait for a time limit first: they cost no computing.
    waiting = iter(sorted(rows, key=lambda row: "Timeout" not in row.config))
    lock = threading.Lock()
    errors: list[BaseException] = []

    def work() -> None:
        while not errors:
            with lock:
                row = next(waiting, None)
            if row is None:
                return
            try:
                outcomes[row.name] = stage.play(row)
            except BaseException as error:
                errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(lanes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    shutil.rmtree(stage.folder, ignore_errors=True)
    return outcomes
