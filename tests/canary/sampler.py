"""Runs on a host as root: reads words, then searches every process for them again and again.

Prints one line for each finding at its end: what, uid, word, and the program's name. It ends when
the file of its first argument exists; its second argument is its pause in seconds. The words are
only on its input.
"""

import contextlib
import os
import sys
import time


def looked_at(folder, words, found, mine):
    """Look at the arguments and the environment of each process once."""
    for pid in filter(str.isdigit, os.listdir(folder)):
        if int(pid) == mine:
            continue
        for what in ("cmdline", "environ"):
            with contextlib.suppress(OSError):
                with open(f"{folder}/{pid}/{what}", "rb") as file:
                    data = file.read()
                for word in words:
                    if word in data:
                        uid = os.stat(f"{folder}/{pid}").st_uid
                        with open(f"{folder}/{pid}/comm", "rb") as file:
                            name = file.read().strip().decode()
                        found.add((what, uid, word.decode(), name))


def main():
    words = [line.encode() for line in sys.stdin.readline().split()]
    found, rounds = set(), 0
    while not os.path.exists(sys.argv[1]):
        looked_at("/proc", words, found, os.getpid())
        rounds += 1
        time.sleep(float(sys.argv[2]))
    print("rounds", rounds, "-", "-")
    for item in sorted(found):
        print(*item)


main()
