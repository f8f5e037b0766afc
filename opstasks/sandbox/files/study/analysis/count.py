"""Print a line each second, then write a file."""

import pathlib
import sys
import time

seconds, output = int(sys.argv[1]), pathlib.Path(sys.argv[2])
for second in range(1, seconds + 1):
    print(f"second {second} of {seconds}", flush=True)
    time.sleep(1)
output.parent.mkdir(parents=True, exist_ok=True)
output.write_text(f"{seconds} seconds\n")
