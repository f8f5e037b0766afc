"""The end of a soak: what must be true of a host, its history and its doctor."""

import json
from pathlib import Path

from tests.faults import observer
from tests.faults.client import Client, environment
from tests.faults.ground import look

OPERATORS = ("soak-one", "soak-two", "soak-three")
# A word of doctor's answer for each problem that the observer may find.
NAMED = {
    "is unfinished": "unfinished",
    "the service is": "service",
    "left over": "left",
    "removal": "removal",
    "the lock": "lock",
    "code ": "code",
}
# What brings a host back: as an operator does it who reads doctor.
MEND = (
    ("deploy", "--yes", "--watch", "1", "--unfinished", "finish"),
    ("service.start", "--watch", "1"),
    ("unpause",),
)


def check(ground, before, done):
    """What is wrong on a host after the soak."""
    here = [item for item in done if item.host == ground.machine.name]
    seen = look(ground.machine, before["cursor"])
    wrong = _of_clients(here) + _of_history(ground, seen, here)
    wrong += _of_doctor(ground, observer.problems(seen))
    wrong += _lost(before, seen)
    for words in MEND:
        end = Client(ground, list(words)).end()
        if end.code:
            wrong.append(f"{' '.join(words)}: {end.code}: {end.error.get('message')}")
    left = observer.problems(look(ground.machine))
    return wrong + [f"after mending: {text}" for text in left]


def _of_clients(here):
    wrong = [f"{' '.join(d.words)}: a traceback" for d in here if d.text]
    wrong += [f"{' '.join(d.words)}: hung" for d in here if d.message == "hung"]
    return wrong + [
        f"{' '.join(d.words)}: exit code {d.code}: {d.message}"
        for d in here
        if not d.killed and d.code not in (0, 1, 2)
    ]


def _of_history(ground, seen, here):
    """`history` has exactly the runs that began, with the ends that were recorded."""
    rows = {row["run_id"]: row for row in _history(ground)}
    begun, ended = {}, {}
    for entry in [*seen["audit"], *_local(ground)]:
        if entry.get("host") != ground.machine.name:
            continue
        (begun if entry.get("phase") == "start" else ended)[entry["run_id"]] = entry
    wrong = [f"history lacks {begun[run]['task']} {run}" for run in set(begun) - set(rows)]
    for run, entry in ended.items():
        shown = rows.get(run, {}).get("outcome")
        if run in rows and shown != entry.get("outcome"):
            wrong.append(
                f"history: {entry['task']} {run} is {shown}, it was {entry.get('outcome')}"
            )
    for run in set(begun) - set(ended):
        if rows.get(run, {}).get("outcome") not in ("begun", None):
            wrong.append(f"history: {run} has an end that nobody recorded")
    finished = sum(entry.get("outcome") == "changed" for entry in ended.values())
    told = sum(d.outcome == "changed" for d in here)
    if finished < told:
        wrong.append(f"{told} clients reported a change, {finished} are recorded")
    return wrong


def _history(ground):
    end = Client(ground, ["history", "--since", "1h", "--limit", "2000"]).end()
    return end.host.get("value") or []


def _local(ground):
    """What the operators' own machines recorded."""
    found = []
    for operator in OPERATORS:
        path = Path(environment(ground, operator)["XDG_STATE_HOME"]) / "opstasks" / "audit.jsonl"
        if path.exists():
            found += [json.loads(line) for line in path.read_text().splitlines()]
    return found


def _of_doctor(ground, problems):
    if not problems:
        return []
    said = Client(ground, ["doctor"]).end().text.lower()
    wanted = {text: word for text in problems for part, word in NAMED.items() if part in text}
    unnamed = [text for text in problems if wanted.get(text, "?") not in said]
    return [f"doctor does not name: {text}" for text in unnamed]


def _lost(before, seen):
    jobs = set(before["database"]["jobs"]) - set(seen["database"]["jobs"] or {})
    wrong = [f"job {job} is gone" for job in jobs]
    container = f"os-job-{before['job']}"
    if (seen["containers"] or {}).get(container) != "running":
        wrong.append("the container of the kept job does not run")
    return wrong + [
        f"{path} is gone"
        for path in before["files"]
        if path not in seen["files"] and "/soak-" not in path
    ]
