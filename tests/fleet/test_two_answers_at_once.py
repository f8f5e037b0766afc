"""Two hosts whose first answers of a program arrive together: msgspec must not crash Python."""

import subprocess
import sys

# Each round has new types; `slowly` makes sure that the second thread sees a half-built one.
TWO_THREADS = """
import threading, time
from dataclasses import make_dataclass
import msgspec._utils as inside
from opstasks.core.result import Result
from opstasks.fleet.program import Program

real = inside.get_class_annotations

def slowly(kind):
    found = real(kind)
    time.sleep(0.05)
    return found

inside.get_class_annotations = slowly
for number in range(5):
    inner = make_dataclass(f"Inner{number}", [("b", int)])
    kind = make_dataclass(f"Outer{number}", [("a", inner), ("c", str)])
    program = Program("opstasks.x.onhost.y", kind, kind)
    result = Result("x", 0, '{"ok": {"a": {"b": 1}, "c": "d"}}', "")
    threads = [threading.Thread(target=program.decode, args=(result, "tpp")) for _ in range(3)]
    for thread in threads:
        thread.start()
        time.sleep(0.02)
    for thread in threads:
        thread.join()
print("alive")
"""


def test_first_answers_that_arrive_together_are_all_decoded():
    done = subprocess.run(
        [sys.executable, "-c", TWO_THREADS], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr[-2000:]
