"""`make faults`: run the table on sandbox hosts, one worker for each, and print what was found.

FAULTS=PATTERN runs the pairs whose name matches; without it, pairs that have a result already are
skipped (delete .faults/results.jsonl to begin again). FAULTS=@wrong runs those with findings again,
FAULTS=@chosen those of `make test`.
FAULTS_HOSTS names the hosts (sandbox-1,sandbox-2).
"""

import json
import os
import queue
import random
import re
import sys
import threading
import time

from opstasks.sandbox import api
from tests.faults import report, soak, table
from tests.faults.client import ROOT
from tests.faults.ground import FOLDER_HERE, ready
from tests.faults.machine import Machine
from tests.faults.run import Pair

RESULTS = FOLDER_HERE / "results.jsonl"


def main():
    """Run the pairs; exit 1 when one of them found something that is not known."""
    pattern = os.environ.get("FAULTS", "")
    todo = queue.Queue()
    for case in wanted(pattern, report.read(RESULTS)):
        todo.put(case)
    os.environ.setdefault("OPSTASKS_SANDBOX_DIR", str(ROOT / ".sandbox"))
    names = os.environ.get("FAULTS_HOSTS", "sandbox-1,sandbox-2").split(",")
    api.up(hosts=max(int(name.rpartition("-")[2]) for name in names))
    workers = [threading.Thread(target=work, args=(name, todo), daemon=True) for name in names]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    found = report.read(RESULTS)
    print(report.table(found))
    is_wrong = bool(report.unknown(found)) or not todo.empty()
    if not pattern and todo.empty():
        is_wrong |= bool(soak.main())
    return int(is_wrong)


def wanted(pattern, found):
    """The pairs to run: the chosen ones, then the others, so that a short run sees some of all."""
    cases = [case for case in table.cases() if case not in table.chosen()]
    random.Random(12).shuffle(cases)
    cases = [*table.chosen(), *cases]
    if pattern == "@chosen":
        return table.chosen()
    if pattern == "@wrong":
        return [case for case in cases if found.get(case.name, {}).get("wrong")]
    if pattern:
        return [case for case in cases if re.search(pattern, case.name)]
    return [case for case in cases if case.name not in found]


def work(name, todo):
    """Run pairs on one host until none is left."""
    machine = Machine(name, os.environ["OPSTASKS_SANDBOX_DIR"])
    ground = ready(machine)
    while True:
        try:
            case = todo.get_nowait()
        except queue.Empty:
            return
        verdict = Pair(ground, case).run()
        report.write(RESULTS, verdict)
        mark = "ok" if not verdict.wrong else f"WRONG {json.dumps(verdict.wrong)[:300]}"
        print(f"{time.strftime('%H:%M:%S')} {case.name}: {verdict.code}: {mark}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
