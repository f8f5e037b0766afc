"""The soak: three operators change two hosts at random, and a quarter of their clients are killed.

``python -m tests.faults.soak``, also the end of `make faults`. At the end every host must be
healthy, `history` must be equal to what happened, and doctor must name what is left over.
SOAK_S changes the time, 20 minutes. Fewer than 400 operations in 20 minutes count as wrong.
"""

import json
import os
import random
import signal
import sys
import threading
import time
from dataclasses import dataclass

from opstasks.sandbox import api
from tests.faults import observer, soak_end
from tests.faults.client import ROOT, Client, environment
from tests.faults.ground import FOLDER_HERE, look, ready
from tests.faults.machine import Machine

OPERATORS = ("one", "two", "three")
HOSTS = ("sandbox-1", "sandbox-2")
LASTS_S = float(os.environ.get("SOAK_S", "1200"))
LEAST_PER_S = 400 / 1200
# Some clients end before they are killed: a quarter of all is killed.
CHOSEN_PART = 0.38
# The longest that a client runs before it is killed.
KILL_WITHIN_S = 2.5
# Commands and their weights. Most are quick, so that most operations meet another one.
WORK = (
    (("service.restart", "--yes", "--watch", "1"), 3),
    (("service.stop", "--yes"), 1),
    (("service.start", "--watch", "1"), 2),
    (("deploy", "--yes", "--watch", "1", "--unfinished", "finish"), 4),
    (("deploy", "--yes", "--watch", "1", "--unfinished", "back"), 1),
    (("deploy.rollback", "--yes", "--watch", "1"), 2),
    (("config.set", "MAX_WORKERS=2", "--yes"), 2),
    (("config.unset", "MAX_WORKERS", "--yes"), 2),
    (("pause", "--reason", "soak"), 2),
    (("unpause",), 3),
    (("prepare-reboot", "--delay", "4h", "--yes", "--replace"), 1),
    (("sync.start",), 1),
    (("sync.once",), 1),
    (("sync.stop", "--yes"), 1),
    (("manage", "--yes"), 1),
    (("outputs.rm",), 2),
    (("jobs.kill",), 2),
    (("status",), 1),
    (("jobs.ls",), 1),
)


@dataclass
class Done:
    """One operation, as its operator saw it."""

    operator: str
    host: str
    words: tuple[str, ...]
    killed: bool
    code: int
    outcome: str
    message: str
    started_at: float
    text: str = ""


class Soak:
    """The hosts, the operators, and what they did."""

    def __init__(self):
        os.environ.setdefault("OPSTASKS_SANDBOX_DIR", str(ROOT / ".sandbox"))
        api.up(hosts=len(HOSTS))
        self.grounds = {
            name: ready(Machine(name, os.environ["OPSTASKS_SANDBOX_DIR"])) for name in HOSTS
        }
        self.done, self._lock = [], threading.Lock()
        self._end_at = 0.0
        self.before = {}

    def prepare(self):
        """Restore every host, and forget the operators' own records."""
        for name, ground in self.grounds.items():
            ground.reset("old")
            self.before[name] = look(ground.machine) | {"job": ground.job}
            for operator in OPERATORS:
                record = environment(ground, f"soak-{operator}")["XDG_STATE_HOME"]
                for path in os.scandir(record):
                    if path.name == "opstasks":
                        os.rename(path.path, f"{path.path}.{time.time()}")

    def run(self):
        """All operations; returns when the last one has ended."""
        self._end_at = time.monotonic() + LASTS_S
        threads = [threading.Thread(target=self._operate, args=(name,)) for name in OPERATORS]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _operate(self, operator):
        chance = random.Random(operator)
        while time.monotonic() < self._end_at:
            done = self._one(operator, chance)
            with self._lock:
                self.done.append(done)

    def _one(self, operator, chance):
        ground = self.grounds[chance.choice(HOSTS)]
        (words,) = chance.choices([w for w, _ in WORK], [weight for _, weight in WORK])
        words = self._complete(ground, words, chance)
        killed = chance.random() < CHOSEN_PART
        started_at = time.time()
        client = Client(ground, list(words), operator=f"soak-{operator}")
        if killed:
            time.sleep(chance.uniform(0.2, KILL_WITHIN_S))
            killed = client.runs
            client.signal(signal.SIGKILL)
        end = client.end(300)
        message = end.error.get("message", "") or ("hung" if end.hung else "")
        name = ground.machine.name
        outcome = end.host.get("outcome", "")
        text = end.text if "Traceback" in end.text else ""
        return Done(operator, name, words, killed, end.code, outcome, message, started_at, text)

    def _complete(self, ground, words, chance):
        """The words, with a file or a job that there is."""
        if words == ("outputs.rm",):
            file = f"out/soak-{chance.randrange(10**6)}.csv"
            path = f"/srv/medium_privacy/workspaces/faults/{file}"
            ground.machine.run(f"runuser -u opensafely -- sh -c 'echo x >{path}'")
            return ("outputs.rm", "faults", file, "--yes")
        if words == ("jobs.kill",):
            try:
                (job,) = api.submit(ground.machine.name, "longer", "soak")
            except Exception:  # the service may be anywhere now
                return ("jobs.ls",)
            return ("jobs.kill", job, "--yes")
        return words


def main():
    """Run it; exit 1 when something is wrong at the end."""
    soak = Soak()
    soak.prepare()
    started = time.monotonic()
    soak.run()
    took_s = time.monotonic() - started
    wrong = []
    if len(soak.done) < LASTS_S * LEAST_PER_S:
        wrong.append(f"only {len(soak.done)} operations in {LASTS_S:g} s")
    for name, ground in soak.grounds.items():
        observer.settled(ground.machine, soak.before[name]["cursor"], 120)
        wrong += [
            f"{name}: {text}" for text in soak_end.check(ground, soak.before[name], soak.done)
        ]
    summary = {
        "operations": len(soak.done),
        "killed": sum(done.killed for done in soak.done),
        "minutes": round(took_s / 60, 1),
        "codes": {
            code: sum(d.code == code for d in soak.done) for code in {d.code for d in soak.done}
        },
        "wrong": wrong,
    }
    path = FOLDER_HERE / "soak.json"
    path.write_text(json.dumps({**summary, "done": [vars(d) for d in soak.done]}))
    print(json.dumps(summary, indent=1))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
